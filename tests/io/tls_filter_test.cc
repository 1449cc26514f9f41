#include "proxy/io/tls_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "proxy/io/compression_filter.h"
#include "proxy/io/tls_context.h"
#include "tests/io/loop_fixture.h"

namespace bulkhead::io {
namespace {

using ::testing::HasSubstr;

// What one end makes goes into a string, for filters without sockets.
class StringSink : public FilterSink {
 public:
  void Up(std::span<uint8_t> plain) override {
    up.append(reinterpret_cast<const char*>(plain.data()), plain.size());
    if (on_up) on_up();
  }
  void Down(std::span<const uint8_t> encoded) override {
    ++writes;
    down.append(reinterpret_cast<const char*>(encoded.data()), encoded.size());
  }
  bool paused() const override { return false; }

  std::string up;
  std::string down;
  int writes = 0;
  std::function<void()> on_up;
};

// Feeds what one end sent to the other, at most `piece` bytes at a time. False: it refused.
[[nodiscard]] bool Feed(TlsFilter* to, StringSink* to_sink, StringSink* from, size_t piece) {
  std::string bytes = std::exchange(from->down, {});
  for (size_t at = 0; at < bytes.size(); at += piece) {
    const size_t n = std::min(piece, bytes.size() - at);
    if (!to->Decode({reinterpret_cast<uint8_t*>(bytes.data()) + at, n}, to_sink)) return false;
  }
  return true;
}

[[nodiscard]] bool Shake(TlsFilter* client, StringSink* client_sink, TlsFilter* server,
                         StringSink* server_sink, size_t piece = SIZE_MAX) {
  if (!client->Start(client_sink) || !server->Start(server_sink)) return false;
  while (!client_sink->down.empty() || !server_sink->down.empty()) {
    if (!Feed(server, server_sink, client_sink, piece)) return false;
    if (!Feed(client, client_sink, server_sink, piece)) return false;
  }
  return true;
}

class TlsFilterTest : public LoopTest {
 protected:
  void SetUp() override {
    directory_ =
        std::filesystem::temp_directory_path() / ("tls_filter_test." + std::to_string(getpid()));
    std::filesystem::create_directories(directory_);
    server_ = SelfSigned("db.example");
    ASSERT_NE(server_, nullptr);
    std::ofstream(ca_file()) << server_->CertificatePem();
    client_ = Client({});
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string ca_file() const { return directory_ / "ca.pem"; }

  static TlsContext::Ptr SelfSigned(std::string_view name, TlsServerOptions options = {},
                                    int64_t now_s = time(nullptr)) {
    std::string error;
    auto context = TlsContext::MakeSelfSigned(options, name, now_s, &error);
    EXPECT_NE(context, nullptr) << error;
    return context;
  }
  static TlsContext::Ptr Client(const TlsClientOptions& options) {
    std::string error;
    auto context = TlsContext::MakeClient(options, &error);
    EXPECT_NE(context, nullptr) << error;
    return context;
  }

  // Connected streams, TLS begun on both.
  void ConnectTls(Recorder* client, Recorder* server, const TlsContext::Ptr& client_context,
                  const TlsContext::Ptr& server_context, std::string_view host = "db.example") {
    ConnectStreams(client, server);
    auto server_filter = TlsFilter::MakeServer(server_context);
    auto client_filter = TlsFilter::MakeClient(client_context, host);
    server_tls_ = server_filter.get();
    client_tls_ = client_filter.get();
    ASSERT_TRUE(server->stream->PushFilter(std::move(server_filter)));
    ASSERT_TRUE(client->stream->PushFilter(std::move(client_filter)));
  }

  // Tries to log in and returns what the client says of the server ("" if all is well).
  std::string ClientVerdict(const TlsContext::Ptr& client_context,
                            const TlsContext::Ptr& server_context, std::string_view host) {
    Recorder client, server;
    ConnectTls(&client, &server, client_context, server_context, host);
    client.stream->Write(AsBytes("hello"));
    const bool over = RunUntil([&] { return client.ends > 0 || server.received == "hello"; });
    EXPECT_TRUE(over);
    EXPECT_EQ(client.ends > 0, !client_tls_->established());
    if (client.ends > 0 && server.ends == 0) {
      // The server is told by an alert, not by silence.
      EXPECT_TRUE(RunUntil([&] { return server.ends > 0; }));
      EXPECT_THAT(server.end.detail, HasSubstr("alert"));
    }
    return client.ends > 0 ? client.end.detail : "";
  }

  std::filesystem::path directory_;
  TlsContext::Ptr server_;
  TlsContext::Ptr client_;
  TlsFilter* server_tls_ = nullptr;
  TlsFilter* client_tls_ = nullptr;
};

TEST_F(TlsFilterTest, EncryptsBothWays) {
  Recorder client, server;
  ConnectTls(&client, &server, client_, server_);
  int established = 0;
  client_tls_->set_on_established([&] { ++established; });
  server_tls_->set_on_established([&] {
    ++established;
    EXPECT_EQ(server.reads, 0);
  });
  client.stream->Write(AsBytes("sent before the handshake was complete"));
  server.on_bytes = [&](std::span<uint8_t>) { server.stream->Write(AsBytes("answer")); };
  ASSERT_TRUE(RunUntil([&] { return client.received == "answer"; }));
  EXPECT_EQ(server.received, "sent before the handshake was complete");
  EXPECT_EQ(established, 2);
  EXPECT_TRUE(client_tls_->established());
  EXPECT_EQ(client_tls_->version(), "TLSv1.3");
  EXPECT_EQ(client_tls_->cipher(), server_tls_->cipher());
  EXPECT_EQ(client_tls_->PeerSubject(), "CN=db.example");
  EXPECT_EQ(server_tls_->PeerSubject(), "");
}

TEST_F(TlsFilterTest, CarriesTenMegabytesBothWaysAtOnce) {
  Recorder client, server;
  ConnectTls(&client, &server, client_, server_);
  const std::string up = NoiseText(10 << 20, 1);
  const std::string down = NoiseText(10 << 20, 2);
  server_tls_->set_on_established([&] { server.stream->Write(AsBytes(down)); });
  client_tls_->set_on_established([&] { client.stream->Write(AsBytes(up)); });
  ASSERT_TRUE(RunUntil([&] {
    return client.received.size() >= down.size() && server.received.size() >= up.size();
  }));
  EXPECT_TRUE(client.received == down);
  EXPECT_TRUE(server.received == up);
  EXPECT_LT(client.reads, 1000);  // records are gathered, not handed up one by one
}

TEST_F(TlsFilterTest, WorksWhateverTheCuts) {
  const std::string text = NoiseText(100'000, 3);
  for (const TlsVersion version : {TlsVersion::kTls12, TlsVersion::kTls13}) {
    for (const size_t piece : {1U, 2U, 5U, 7U, 1000U, 16'384U, 16'385U, 50'000U}) {
      const auto context = Client({});
      if (version == TlsVersion::kTls12) {
        SSL_CTX_set_max_proto_version(context->native(), TLS1_2_VERSION);
      }
      auto server = TlsFilter::MakeServer(server_);
      auto client = TlsFilter::MakeClient(context, "db.example");
      StringSink server_sink, client_sink;
      ASSERT_TRUE(Shake(client.get(), &client_sink, server.get(), &server_sink, piece)) << piece;
      ASSERT_TRUE(client->established());
      ASSERT_TRUE(server->established());
      for (size_t at = 0; at < text.size(); at += 33'333) {
        ASSERT_TRUE(
            client->Encode(AsBytes(std::string_view(text).substr(at, 33'333)), &client_sink));
      }
      ASSERT_TRUE(server->Encode(AsBytes(text), &server_sink));
      ASSERT_TRUE(Feed(server.get(), &server_sink, &client_sink, piece)) << server->error();
      ASSERT_TRUE(Feed(client.get(), &client_sink, &server_sink, piece)) << client->error();
      ASSERT_TRUE(server_sink.up == text);
      ASSERT_TRUE(client_sink.up == text);
    }
  }
}

TEST_F(TlsFilterTest, WritesOncePerCall) {
  auto server = TlsFilter::MakeServer(server_);
  auto client = TlsFilter::MakeClient(client_, "");
  StringSink server_sink, client_sink;
  ASSERT_TRUE(Shake(client.get(), &client_sink, server.get(), &server_sink));
  EXPECT_LE(server_sink.writes, 2);
  EXPECT_LE(client_sink.writes, 2);
  client_sink.writes = 0;
  ASSERT_TRUE(client->Encode(AsBytes(NoiseText(100'000, 1)), &client_sink));
  EXPECT_EQ(client_sink.writes, 1);
  int ups = 0;
  server_sink.on_up = [&] { ++ups; };
  ASSERT_TRUE(Feed(server.get(), &server_sink, &client_sink, SIZE_MAX));
  EXPECT_EQ(ups, 1);
}

TEST_F(TlsFilterTest, AnAnswerFromWithinUpIsEncryptedInOrder) {
  auto server = TlsFilter::MakeServer(server_);
  auto client = TlsFilter::MakeClient(client_, "");
  StringSink server_sink, client_sink;
  server_sink.on_up = [&] { ASSERT_TRUE(server->Encode(AsBytes("pong"), &server_sink)); };
  ASSERT_TRUE(Shake(client.get(), &client_sink, server.get(), &server_sink));
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client->Encode(AsBytes(NoiseText(300'000, 1)), &client_sink));
    ASSERT_TRUE(Feed(server.get(), &server_sink, &client_sink, SIZE_MAX));
  }
  ASSERT_TRUE(Feed(client.get(), &client_sink, &server_sink, SIZE_MAX)) << client->error();
  EXPECT_THAT(client_sink.up, testing::StartsWith("pongpong"));
}

TEST_F(TlsFilterTest, WhatCameBehindTheRequestForTlsIsTheHello) {
  Recorder client, server;
  ConnectStreams(&client, &server);
  server.on_bytes = [&](std::span<uint8_t> bytes) {
    server.on_bytes = nullptr;
    server.received.clear();
    ASSERT_TRUE(server.stream->PushFilter(TlsFilter::MakeServer(server_)));
    server.stream->Reinject(bytes.subspan(10));
  };
  // The request and the hello leave in one piece, as MySQL's clients may do.
  std::string first = "SSLRequest";
  StringSink sink;
  auto probe = TlsFilter::MakeClient(client_, "");
  ASSERT_TRUE(probe->Start(&sink));
  first += sink.down;
  client.stream->Write(AsBytes(first));
  client.on_bytes = [&](std::span<uint8_t> bytes) {
    ASSERT_TRUE(probe->Decode(bytes, &sink));
    if (!sink.down.empty()) client.stream->Write(AsBytes(std::exchange(sink.down, {})));
  };
  sink.down.clear();
  ASSERT_TRUE(probe->Encode(AsBytes("login"), &sink));
  ASSERT_TRUE(RunUntil([&] { return server.received == "login"; }));
}

TEST_F(TlsFilterTest, VerifiesTheChain) {
  const TlsClientOptions options{.verify = TlsVerify::kCa, .ca_file = ca_file()};
  EXPECT_EQ(ClientVerdict(Client(options), server_, "another.name"), "");
  const auto stranger = SelfSigned("db.example");
  EXPECT_THAT(ClientVerdict(Client(options), stranger, "db.example"),
              AllOf(HasSubstr("certificate verify failed"), HasSubstr("self-signed")));
  const auto expired = SelfSigned("db.example", {}, 1'000'000'000);
  std::ofstream(ca_file()) << expired->CertificatePem();
  EXPECT_THAT(ClientVerdict(Client(options), expired, "db.example"), HasSubstr("expired"));
}

TEST_F(TlsFilterTest, VerifiesTheHostName) {
  const TlsClientOptions options{.verify = TlsVerify::kIdentity, .ca_file = ca_file()};
  EXPECT_EQ(ClientVerdict(Client(options), server_, "db.example"), "");
  EXPECT_THAT(ClientVerdict(Client(options), server_, "other.example"),
              HasSubstr("ostname mismatch"));
  EXPECT_THAT(ClientVerdict(Client(options), server_, "127.0.0.1"),
              HasSubstr("IP address mismatch"));
}

TEST_F(TlsFilterTest, RefusesToVerifyNoName) {
  const TlsClientOptions options{.verify = TlsVerify::kIdentity, .ca_file = ca_file()};
  auto filter = TlsFilter::MakeClient(Client(options), "");
  StringSink sink;
  EXPECT_FALSE(filter->Start(&sink));
  EXPECT_THAT(filter->error(), HasSubstr("host name"));
}

TEST_F(TlsFilterTest, EncryptsWithoutVerifying) {
  EXPECT_EQ(ClientVerdict(client_, SelfSigned("whoever"), "db.example"), "");
}

TEST_F(TlsFilterTest, AsksForClientCertificates) {
  std::string error;
  // The client's own certificate is its CA here.
  const std::string certificate = directory_ / "client.pem";
  ASSERT_EQ(system(("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
                    "-subj /CN=app -keyout " +
                    certificate + " -out " + certificate + ".crt 2>/dev/null && cat " +
                    certificate + ".crt >> " + certificate)
                       .c_str()),
            0);
  TlsServerOptions options{.cert_file = certificate, .client_ca_file = certificate + ".crt"};
  const auto server = TlsContext::MakeServer(options, &error);
  ASSERT_NE(server, nullptr) << error;
  Recorder a, b;
  ConnectTls(&a, &b, Client({.cert_file = certificate}), server);
  a.stream->Write(AsBytes("x"));
  ASSERT_TRUE(RunUntil([&] { return b.received == "x"; })) << b.end.detail;
  EXPECT_EQ(server_tls_->PeerSubject(), "CN=app");
}

TEST_F(TlsFilterTest, ResumesWithATicketOnAnotherConnection) {
  // OpenSSL's own client, because ours keeps no sessions.
  const std::string session = directory_ / "session";
  std::string error;
  auto run = [&](const std::string& option) {
    Recorder server;
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    SocketAddress address = *SocketAddress::FromNumeric("127.0.0.1", 0);
    EXPECT_EQ(bind(listener, address.get(), address.length), 0);
    EXPECT_EQ(listen(listener, 1), 0);
    EXPECT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address.storage), &address.length),
              0);
    FILE* client =
        popen(("(sleep 0.3; echo hi; sleep 0.3) | openssl s_client -quiet -no_ign_eof " + option +
               " " + session + " -connect " + address.ToText() + " >/dev/null 2>&1")
                  .c_str(),
              "r");
    const int fd = accept(listener, nullptr, nullptr);
    SetNonBlocking(fd);
    server.stream = Stream::Adopt(&loop_, fd, &server);
    auto filter = TlsFilter::MakeServer(server_);
    TlsFilter* tls = filter.get();
    EXPECT_TRUE(server.stream->PushFilter(std::move(filter)));
    EXPECT_TRUE(RunUntil([&] { return server.ends > 0; }));
    EXPECT_EQ(server.received, "hi\n");
    pclose(client);
    close(listener);
    return tls->resumed();
  };
  EXPECT_FALSE(run("-sess_out"));
  EXPECT_TRUE(run("-sess_in"));
}

TEST_F(TlsFilterTest, RefusesOldVersionsAndOthersThanTls) {
  std::string error;
  const auto modern = SelfSigned("db.example", {.min_version = TlsVersion::kTls13});
  const auto old = Client({.ciphers = "ECDHE+AESGCM"});
  SSL_CTX_set_max_proto_version(old->native(), TLS1_2_VERSION);
  EXPECT_THAT(ClientVerdict(old, modern, "db.example"), HasSubstr("protocol version"));

  Recorder server;
  const int peer = ConnectStreamToFd(&server);
  ASSERT_TRUE(server.stream->PushFilter(TlsFilter::MakeServer(server_)));
  ASSERT_EQ(send(peer, "SELECT 1 FROM dual\n", 19, 0), 19);
  ASSERT_TRUE(RunUntil([&] { return server.ends > 0; }));
  EXPECT_EQ(server.end.kind, StreamEnd::Kind::kFilterError);
  EXPECT_EQ(server.end.detail, "TLS handshake: wrong version number");
  close(peer);
}

TEST_F(TlsFilterTest, RefusesRenegotiation) {
  auto server = TlsFilter::MakeServer(server_);
  const auto context = Client({});
  SSL_CTX_set_max_proto_version(context->native(), TLS1_2_VERSION);
  SSL_CTX_clear_options(context->native(), SSL_OP_NO_RENEGOTIATION);
  auto client = TlsFilter::MakeClient(context, "");
  StringSink server_sink, client_sink;
  ASSERT_TRUE(Shake(client.get(), &client_sink, server.get(), &server_sink));
  EXPECT_EQ(client->version(), "TLSv1.2");
  ASSERT_EQ(SSL_renegotiate(client->native()), 1);
  (void)client->Encode(AsBytes("x"), &client_sink);
  ASSERT_FALSE(client_sink.down.empty());
  ASSERT_TRUE(Feed(server.get(), &server_sink, &client_sink, SIZE_MAX)) << server->error();
  // One record: an alert, not a second hello. RFC 5246, ContentType.
  ASSERT_FALSE(server_sink.down.empty());
  EXPECT_EQ(server_sink.down[0], 21);
  EXPECT_LT(server_sink.down.size(), 100U);
  EXPECT_TRUE(server->Encode(AsBytes("still there"), &server_sink));
}

TEST_F(TlsFilterTest, BoundsWhatIsKeptBeforeTheHandshake) {
  auto client = TlsFilter::MakeClient(client_, "");
  StringSink sink;
  ASSERT_TRUE(client->Start(&sink));
  ASSERT_TRUE(client->Encode(AsBytes(std::string(TlsFilter::kEarlyLimit, 'x')), &sink));
  EXPECT_FALSE(client->Encode(AsBytes("x"), &sink));
  EXPECT_THAT(client->error(), HasSubstr("handshake"));
}

TEST_F(TlsFilterTest, SaysGoodbyeAndHearsIt) {
  Recorder client, server;
  ConnectTls(&client, &server, client_, server_);
  client.stream->Write(AsBytes("x"));
  server.on_bytes = [&](std::span<uint8_t>) { server.stream->Write(AsBytes("y")); };
  ASSERT_TRUE(RunUntil([&] { return client.received == "y"; }));  // and the ticket before it
  const uint64_t before = server.stream->bytes_in();
  client.stream.reset();
  ASSERT_TRUE(RunUntil([&] { return server.ends > 0; }));
  EXPECT_EQ(server.end.kind, StreamEnd::Kind::kPeerClosed);
  EXPECT_GT(server.stream->bytes_in(), before);
}

TEST_F(TlsFilterTest, CanBeDroppedWhenTheHandshakeIsComplete) {
  Recorder client, server;
  ConnectTls(&client, &server, client_, server_);
  server_tls_->set_on_established([&] { server.stream.reset(); });
  client.stream->Write(AsBytes("x"));
  ASSERT_TRUE(RunUntil([&] { return client.ends > 0; }));
  EXPECT_EQ(server.received, "");
}

TEST_F(TlsFilterTest, CompressionGoesOnTop) {
  Recorder client, server;
  ConnectTls(&client, &server, client_, server_);
  ASSERT_TRUE(client.stream->PushFilter(
      MakeCompressionFilter(CompressionSide::kClient, CompressionMethod::kZlib, 6)));
  ASSERT_TRUE(server.stream->PushFilter(
      MakeCompressionFilter(CompressionSide::kServer, CompressionMethod::kZlib, 6)));
  auto frame = [](uint8_t number, const std::string& payload) {
    const size_t n = payload.size();
    return std::string{static_cast<char>(n), static_cast<char>(n >> 8), static_cast<char>(n >> 16),
                       static_cast<char>(number)} +
           payload;
  };
  const std::string command = frame(0, std::string(10'000, 'c') + NoiseText(10'000, 1));
  const std::string answer = frame(1, std::string(10'000'000, 'a'));
  client.stream->Write(AsBytes(command));
  ASSERT_TRUE(RunUntil([&] { return server.received.size() >= command.size(); }));
  EXPECT_TRUE(server.received == command);
  server.stream->Write(AsBytes(answer));
  ASSERT_TRUE(RunUntil([&] { return client.received.size() >= answer.size(); }));
  EXPECT_TRUE(client.received == answer);
  EXPECT_LT(client.stream->bytes_in(), 100'000U);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED
#endif
#endif

TEST_F(TlsFilterTest, AnIdleConnectionCostsAtMost20KiB) {
#ifdef SANITIZED
  GTEST_SKIP() << "the allocator is not the one that counts";
#endif
  for (const TlsVersion version : {TlsVersion::kTls12, TlsVersion::kTls13}) {
    const auto context = Client({});
    if (version == TlsVersion::kTls12) {
      SSL_CTX_set_max_proto_version(context->native(), TLS1_2_VERSION);
    }
    constexpr size_t kConnections = 200;
    std::vector<std::unique_ptr<TlsFilter>> servers;
    servers.reserve(kConnections + 10);
    size_t before = 0;
    for (size_t i = 0; i < kConnections + 10; ++i) {
      if (i == 10) before = mallinfo2().uordblks;  // the first ones fill caches
      auto server = TlsFilter::MakeServer(server_);
      auto client = TlsFilter::MakeClient(context, "");
      StringSink server_sink, client_sink;
      ASSERT_TRUE(Shake(client.get(), &client_sink, server.get(), &server_sink));
      // A statement and its answer, then idle.
      server_sink.on_up = [&] {
        ASSERT_TRUE(server->Encode(AsBytes(NoiseText(20'000, 1)), &server_sink));
      };
      ASSERT_TRUE(client->Encode(AsBytes(NoiseText(20'000, 1)), &client_sink));
      ASSERT_TRUE(Feed(server.get(), &server_sink, &client_sink, SIZE_MAX));
      servers.push_back(std::move(server));
    }
    const size_t each = (mallinfo2().uordblks - before) / kConnections;
    std::printf("idle TLS connection, server side, %s: %zu bytes\n",
                std::string(servers.front()->version()).c_str(), each);
    RecordProperty("bytes_per_idle_connection", static_cast<int>(each));
    EXPECT_LE(each, 20U * 1024);
    EXPECT_GT(each, 1024U);
  }
}

}  // namespace
}  // namespace bulkhead::io
