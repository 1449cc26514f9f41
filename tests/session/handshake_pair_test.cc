// Both handshakes against each other: every credential, family, plugin and transport.
#include <gtest/gtest.h>

#include "tests/session/handshake_support.h"

namespace bulkhead::session {
namespace {

using ClientAction = ClientHandshake::Action;
using BackendAction = BackendHandshake::Action;

// A login between the two, packet by packet; TLS is only a word between them.
class Wire {
 public:
  Wire(ClientHandshake* server, BackendHandshake* client) : server_(server), client_(client) {}

  // True if the client is logged on in the end. `start`: what the side that begins has written.
  bool RunFromGreeting() {
    wire::ByteBuffer greeting;
    EXPECT_EQ(server_->Start(&greeting), ClientAction::kSend);
    return ToClient(greeting);
  }
  bool RunChangeUser(const BackendLoginResult& connection) {
    wire::ByteBuffer command;
    EXPECT_EQ(client_->StartChangeUser(connection, &command), BackendAction::kSend);
    const std::vector<Packet> packets = Split(command);
    wire::ByteBuffer out;
    return OnServerAction(server_->StartChangeUser(packets.at(0).payload, packets[0].sequence,
                                                   connection.capabilities, &out),
                          &out);
  }

  LoginResult result;
  bool used_tls = false;
  int round_trips = 0;

 private:
  bool ToClient(std::span<const uint8_t> bytes) {
    for (const Packet& packet : Split(bytes)) {
      wire::ByteBuffer out;
      BackendAction action = client_->OnPacket(packet.payload, packet.sequence, &out);
      switch (action) {
        case BackendAction::kStartTls: {
          used_tls = true;
          const std::vector<Packet> request = Split(out);
          wire::ByteBuffer nothing;
          EXPECT_EQ(server_->OnPacket(request.at(0).payload, request[0].sequence, &nothing),
                    ClientAction::kStartTls);
          EXPECT_TRUE(nothing.empty());
          out.clear();
          EXPECT_EQ(client_->OnTlsReady(&out), BackendAction::kSend);
          return ToServer(out);
        }
        case BackendAction::kSend:
          return ToServer(out);
        case BackendAction::kNeedMore:
          continue;
        case BackendAction::kReady:
          return true;
        case BackendAction::kFailed:
          return false;
      }
    }
    ADD_FAILURE() << "the server fell silent";
    return false;
  }

  bool ToServer(std::span<const uint8_t> bytes) {
    ++round_trips;
    const std::vector<Packet> packets = Split(bytes);
    EXPECT_EQ(packets.size(), 1u);
    wire::ByteBuffer out;
    return OnServerAction(server_->OnPacket(packets.at(0).payload, packets[0].sequence, &out),
                          &out);
  }

  bool OnServerAction(ClientAction action, wire::ByteBuffer* out) {
    while (action == ClientAction::kCompute) {
      action = server_->OnJobDone(auth::RunPasswordJob(server_->job()), out);
    }
    if (action == ClientAction::kAccepted) {
      result = server_->TakeResult();
      wire::OkPacket ok;
      ok.status = wire::kStatusAutocommit;
      server_->WriteOk(ok, result.capabilities, out);
    }
    return ToClient(*out);
  }

  ClientHandshake* server_;
  BackendHandshake* client_;
};

struct Setting {
  std::string user;
  std::string password = "secret";
  ServerFamily family = ServerFamily::kMysql;
  auth::Plugin plugin = auth::Plugin::kCachingSha2;
  bool tls = false;
  bool unix_socket = false;
  bool rsa = false;

  [[nodiscard]] std::shared_ptr<ClientHandshakeOptions> Options() const {
    auto options = TestOptions();
    options->family = family;
    if (family == ServerFamily::kMariadb) {
      options->server_version = "5.5.5-10.11.6-MariaDB";
      options->capabilities |= wire::kMariadbClientCacheMetadata;
    }
    options->default_plugin = plugin;
    options->tls_available = tls;
    if (rsa) options->rsa = TestRsaKey();
    return options;
  }
  [[nodiscard]] ClientTransport Transport() const {
    ClientTransport transport = PlainTransport();
    transport.is_unix_socket = unix_socket;
    return transport;
  }
  [[nodiscard]] BackendLogin Login() const {
    BackendLogin login;
    login.user = user;
    login.secret = auth::LoginSecret::Plaintext(auth::Secret(password));
    login.schema = "tenant_acme";
    login.required = wire::kClientDeprecateEof | wire::kClientSessionTrack;
    login.optional = wire::kMariadbClientCacheMetadata;
    login.tls = tls ? BackendTls::kVerify : BackendTls::kDisabled;
    login.is_unix_socket = unix_socket;
    login.allow_public_key_request = true;
    login.attributes = {{"tenant", "acme"}};
    return login;
  }
};

std::vector<Setting> AllSettings() {
  std::vector<Setting> settings;
  for (const std::string& user : TestPolicy::Names()) {
    for (ServerFamily family : {ServerFamily::kMysql, ServerFamily::kMariadb}) {
      for (auth::Plugin plugin : {auth::Plugin::kNativePassword, auth::Plugin::kCachingSha2}) {
        for (int transport = 0; transport < 3; ++transport) {
          Setting setting;
          setting.user = user;
          setting.family = family;
          setting.plugin = plugin;
          setting.tls = transport == 0;
          setting.unix_socket = transport == 1;
          setting.rsa = transport == 2;
          settings.push_back(setting);
        }
      }
    }
  }
  return settings;
}

TEST(HandshakePair, RightPasswordGetsIn) {
  TestPolicy policy;
  for (const Setting& setting : AllSettings()) {
    ClientHandshake server(setting.Options(), 4711, TestNonces(), &policy, setting.Transport());
    BackendHandshake client(setting.Login());
    Wire wire(&server, &client);
    ASSERT_TRUE(wire.RunFromGreeting()) << setting.user << ' ' << auth::PluginName(setting.plugin)
                                        << ' ' << client.failure().message;
    EXPECT_EQ(wire.used_tls, setting.tls);
    const BackendLoginResult& at_client = client.result();
    EXPECT_EQ(at_client.thread_id, 4711u);
    EXPECT_EQ(at_client.family, setting.family);
    EXPECT_EQ(at_client.status, wire::kStatusAutocommit);
    EXPECT_EQ(at_client.capabilities, wire.result.capabilities);
    EXPECT_EQ(at_client.plugin, wire.result.plugin);
    EXPECT_EQ((at_client.capabilities & wire::kMariadbClientCacheMetadata) != 0,
              setting.family == ServerFamily::kMariadb);
    EXPECT_EQ(wire.result.user_as_given, setting.user);
    EXPECT_EQ(wire.result.schema, "tenant_acme");
    EXPECT_EQ(wire.result.attributes, (Attributes{{"tenant", "acme"}}));
    // A password that has been shown is known afterwards.
    if (wire.result.plugin == auth::Plugin::kCachingSha2) {
      EXPECT_EQ(wire.result.secret.password(), "secret");
    }
  }
}

TEST(HandshakePair, WrongPasswordDoesNot) {
  TestPolicy policy;
  for (Setting setting : AllSettings()) {
    for (const char* password : {"wrong", "", "secre", "secret\1"}) {
      setting.password = password;
      ClientHandshake server(setting.Options(), 1, TestNonces(), &policy, setting.Transport());
      BackendHandshake client(setting.Login());
      Wire wire(&server, &client);
      EXPECT_FALSE(wire.RunFromGreeting());
      EXPECT_EQ(client.failure().kind, BackendLoginFailure::Kind::kCredentialsRefused);
      EXPECT_EQ(client.failure().code, 1045);
      EXPECT_TRUE(client.failure().from_server);
    }
  }
}

TEST(HandshakePair, UnknownUserDoesNot) {
  TestPolicy policy;
  for (Setting setting : AllSettings()) {
    policy.decoy_like = setting.user;
    setting.user = "nobody";
    ClientHandshake server(setting.Options(), 1, TestNonces(), &policy, setting.Transport());
    BackendHandshake client(setting.Login());
    EXPECT_FALSE(Wire(&server, &client).RunFromGreeting());
    EXPECT_EQ(client.failure().code, 1045);
  }
}

TEST(HandshakePair, EmptyPassword) {
  TestPolicy policy;
  for (Setting setting : AllSettings()) {
    setting.user = "empty";
    for (const char* password : {"", "secret"}) {
      setting.password = password;
      ClientHandshake server(setting.Options(), 1, TestNonces(), &policy, setting.Transport());
      BackendHandshake client(setting.Login());
      EXPECT_EQ(Wire(&server, &client).RunFromGreeting(), setting.password.empty());
    }
  }
}

TEST(HandshakePair, SecretOfOneLoginLogsOnAtTheNext) {
  TestPolicy policy;
  for (const Setting& setting : AllSettings()) {
    ClientHandshake server(setting.Options(), 1, TestNonces(), &policy, setting.Transport());
    BackendHandshake client(setting.Login());
    Wire first(&server, &client);
    ASSERT_TRUE(first.RunFromGreeting());
    if (first.result.secret.kind() == auth::LoginSecret::Kind::kNone) {
      EXPECT_EQ(first.result.plugin, auth::Plugin::kEd25519);  // a signature shows nothing
      continue;
    }
    // A native server for what a scramble showed, one of the same kind for a password.
    Setting next = setting;
    if (first.result.secret.kind() == auth::LoginSecret::Kind::kNativeStage1) next.user = "native";
    BackendLogin login = next.Login();
    login.secret = std::move(first.result.secret);
    // A stage 1 can't answer where the password itself is asked for.
    next.tls = next.unix_socket = false;
    next.rsa = true;
    login.tls = BackendTls::kDisabled;
    login.is_unix_socket = false;
    ClientHandshake backend(next.Options(), 2, TestNonces(), &policy, next.Transport());
    BackendHandshake router(std::move(login));
    EXPECT_TRUE(Wire(&backend, &router).RunFromGreeting()) << router.failure().message;
  }
}

TEST(HandshakePair, ChangeUserOnALoggedInConnection) {
  TestPolicy policy;
  for (const Setting& setting : AllSettings()) {
    ClientHandshake server(setting.Options(), 1, TestNonces(), &policy, setting.Transport());
    BackendHandshake client(setting.Login());
    Wire first(&server, &client);
    ASSERT_TRUE(first.RunFromGreeting());
    for (const std::string& user : TestPolicy::Names()) {
      for (const char* password : {"secret", "wrong"}) {
        Setting next = setting;
        next.user = user;
        next.password = password;
        ClientTransport transport = next.Transport();
        transport.is_tls = next.tls;
        auth::ExchangeNonces nonces = TestNonces();
        nonces.greeting = first.result.nonce;
        ClientHandshake change(next.Options(), 1, nonces, &policy, transport);
        BackendHandshake changer(next.Login());
        Wire wire(&change, &changer);
        const bool right = next.password == "secret";
        EXPECT_EQ(wire.RunChangeUser(client.result()), right)
            << setting.user << " to " << user << ' ' << changer.failure().message;
        if (right) {
          EXPECT_EQ(wire.result.user_as_given, user);
          EXPECT_EQ(wire.result.capabilities, first.result.capabilities);
          EXPECT_EQ(changer.result().thread_id, 1u);
        }
      }
    }
  }
}

TEST(HandshakePair, PlaintextUserNeedsOneRoundTrip) {
  TestPolicy policy;
  for (const Setting& setting : AllSettings()) {
    if (setting.user != "plain") continue;
    ClientHandshake server(setting.Options(), 1, TestNonces(), &policy, setting.Transport());
    BackendHandshake client(setting.Login());
    Wire wire(&server, &client);
    ASSERT_TRUE(wire.RunFromGreeting());
    EXPECT_EQ(wire.round_trips, 1);
  }
}

}  // namespace
}  // namespace bulkhead::session
