// What a session does where a connection can't be had, or not be brought into its state.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "proxy/session/session.h"
#include "proxy/wire/capabilities.h"

namespace bulkhead::session {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes PacketOf(uint8_t sequence, std::string_view payload) {
  std::string packet(1, static_cast<char>(payload.size()));
  packet.append({'\0', '\0', static_cast<char>(sequence)});
  packet.append(payload);
  return {packet.begin(), packet.end()};
}

class FakeLink final : public BackendLink {
 public:
  void Send(std::span<const uint8_t> bytes) override {
    sent.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void BeginExchange(bool /*may_write*/) override { in_exchange = true; }
  void EndExchange(bool /*committed*/) override { in_exchange = false; }

  std::string sent;
  bool in_exchange = false;
};

// Gives out `next` where it is set; otherwise the test calls OnLink or OnLinkFailed.
class FakeShell final : public SessionShell {
 public:
  uint64_t NowNs() const override { return 1'000'000'000; }
  void SendToClient(std::span<const uint8_t> bytes) override {
    to_client.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void CloseClient() override { closed = true; }
  void ClientBytesWanted() override {}
  BackendLink* Acquire(const LinkRequest& request, std::optional<RouterError>* error) override {
    asked.push_back(request);
    *error = refuse;
    if (next == nullptr || refuse.has_value()) return nullptr;
    next->state = *request.state;
    next->backend = request.target.backend;
    next->capabilities = request.login->capabilities;
    next->use = BackendLink::Use::kLent;
    return std::exchange(next, nullptr);
  }
  void CancelAcquire() override {}
  void Keep(BackendLink* link) override { link->use = BackendLink::Use::kKept; }
  bool Retake(BackendLink* link) override {
    link->use = BackendLink::Use::kLent;
    return true;
  }
  void Release(BackendLink* link, ReleaseHow /*how*/) override { released.push_back(link); }
  bool GateOpen(routing::ShardId /*shard*/, bool /*is_read*/) override { return gate_open; }
  bool BackendAnswers(routing::BackendId /*backend*/) override { return true; }
  void WaitAtGate(const GateRequest& request) override {
    plain_reads.push_back(request.plain_read);
  }
  void LeaveGate() override {}
  void GateDone(routing::ShardId, uint64_t, bool ok) override { done.push_back(ok); }
  void NoteUnknown(const UnknownOutcome&) override {}
  void NoteDdl(routing::BackendId) override {}
  void Kill(uint64_t, bool) override {}
  void ChangeUser(std::span<const uint8_t>, uint8_t) override {}
  void CountStatement(routing::ShardId, sql::StatementKind, Outcome, uint64_t) override {}
  void CountRestore() override {}

  FakeLink* next = nullptr;
  std::optional<RouterError> refuse;
  bool gate_open = true;
  bool closed = false;
  std::string to_client;
  std::vector<LinkRequest> asked;
  std::vector<BackendLink*> released;
  std::vector<bool> plain_reads;  // of each wait at the gate
  std::vector<bool> done;
};

class SessionReachTest : public ::testing::Test {
 protected:
  SessionReachTest() {
    routing::TopologyBuilder builder;
    for (const char* name : {"b1", "b2"}) {
      EXPECT_TRUE(builder.AddBackend({.name = name, .address = {.host = name, .port = 3306}}).ok());
    }
    EXPECT_TRUE(builder.AddShard({.name = "s1", .primary = "b1", .replicas = {"b2"}}).ok());
    EXPECT_TRUE(builder.AddTenant({.name = "acme", .shard = "s1"}).ok());
    EXPECT_TRUE(
        builder.AddTenant({.name = "hasty", .shard = "s1", .hold = routing::HoldPolicy::kReject})
            .ok());
    context_.topology = builder.Build().value();
    context_.states = &states_;
    context_.texts = &texts_;
    context_.rules = &rules_;
    context_.server_version = 101113;
    Login("acme");
  }

  void Login(const std::string& tenant) {
    auto user = std::make_shared<auth::UserRecord>();
    user->name = "app";
    SessionLogin login;
    login.connection_id = 1;
    login.capabilities = wire::kClientProtocol41 | wire::kClientDeprecateEof |
                         wire::kClientTransactions | wire::kClientPluginAuth;
    login.collation = 45;
    login.user = user;
    login.user_as_given = "app";
    login.tenant_from_user = tenant;
    session_ = std::make_unique<Session>(&shell_, &context_, std::move(login));
  }
  void Command(std::string_view payload) {
    Bytes bytes = PacketOf(0, payload);
    EXPECT_EQ(session_->OnClientBytes(bytes), bytes.size());
  }
  void Answer(std::string_view payload) {
    Bytes bytes = PacketOf(1, payload);
    session_->OnBackendBytes(bytes);
  }
  [[nodiscard]] routing::BackendId IdOf(std::string_view name) const {
    return context_.topology->FindBackend(name)->id;
  }
  // The code of the ERR that the client got; 0: nothing, or something else.
  [[nodiscard]] int CodeToClient() const {
    const std::string& bytes = shell_.to_client;
    if (bytes.size() < 7 || static_cast<uint8_t>(bytes[4]) != 0xff) return 0;
    return static_cast<uint8_t>(bytes[5]) | static_cast<uint8_t>(bytes[6]) << 8;
  }

  StateInterner states_;
  StatementTexts texts_;
  routing::TenantRules rules_;
  SessionContext context_;
  FakeShell shell_;
  std::unique_ptr<Session> session_;
};

const RouterError kRefused{9401, "HY000", "backend b2: connection refused"};

TEST_F(SessionReachTest, AFailedRestoreEndsItsExchange) {
  FakeLink first;
  shell_.next = &first;
  Command("\x16SELECT a FROM t");
  Answer(std::string("\0\1\0\0\0\0\0\0\0\0\0\0", 12));
  ASSERT_EQ(first.use, BackendLink::Use::kKept);
  session_->OnLinkRobbed({});
  // On another connection, in a transaction, the statement can't be prepared any more.
  FakeLink second;
  shell_.next = &second;
  Command(
      "\x03"
      "BEGIN");
  Answer(std::string("\0\0\0\3\0\0\0", 7));
  ASSERT_FALSE(second.in_exchange);
  shell_.to_client.clear();
  Command(std::string("\x17\1\0\0\0\0\1\0\0\0", 10));
  ASSERT_TRUE(second.in_exchange) << "the statement is prepared again";
  Answer("\xff\x7a\x04#42S02no such table");
  EXPECT_EQ(CodeToClient(), 1146);
  EXPECT_EQ(session_->link(), &second) << "its transaction goes on";
  EXPECT_FALSE(second.in_exchange) << "nothing is awaited there: it must not look silent";
}

TEST_F(SessionReachTest, AReplicaThatRefusesSendsTheReadBackToTheGate) {
  shell_.gate_open = false;
  Command("\x03SELECT a FROM t");
  ASSERT_EQ(shell_.plain_reads, std::vector<bool>{true});
  session_->OnGateReleased(IdOf("b2"));
  ASSERT_EQ(shell_.asked.size(), 1u);
  EXPECT_EQ(shell_.asked[0].target.backend, IdOf("b2"));
  EXPECT_FALSE(shell_.asked[0].waits_out) << "there is another way";
  session_->OnLinkFailed(kRefused);
  EXPECT_TRUE(shell_.to_client.empty());
  EXPECT_EQ(shell_.plain_reads, (std::vector<bool>{true, false})) << "not to a replica again";
  EXPECT_EQ(shell_.done, std::vector<bool>{false});
  // Also where the refusal comes at once.
  session_->OnGateReleased({});
  ASSERT_EQ(shell_.asked.size(), 2u);
  EXPECT_EQ(shell_.asked[1].target.backend, IdOf("b1"));
  FakeLink link;
  shell_.next = &link;
  std::optional<RouterError> error;
  session_->OnLink(shell_.Acquire(LinkRequest(shell_.asked[1]), &error));
  EXPECT_NE(link.sent.find("SELECT a FROM t"), std::string::npos);
}

TEST_F(SessionReachTest, AReplicaThatIsKnownToRefuseToo) {
  shell_.gate_open = false;
  Command("\x03SELECT a FROM t");
  shell_.refuse = kRefused;
  session_->OnGateReleased(IdOf("b2"));
  EXPECT_TRUE(shell_.to_client.empty());
  EXPECT_EQ(shell_.plain_reads, (std::vector<bool>{true, false}));
}

TEST_F(SessionReachTest, WaitsOutWhereTheGateWouldHold) {
  Command("\x03INSERT INTO t VALUES (1)");
  ASSERT_EQ(shell_.asked.size(), 1u);
  EXPECT_TRUE(shell_.asked[0].waits_out);
  // The gate closes meanwhile: it waits there.
  shell_.gate_open = false;
  session_->OnGateClosed(shell_.asked[0].target.shard);
  EXPECT_EQ(shell_.plain_reads, std::vector<bool>{false});
  EXPECT_TRUE(shell_.to_client.empty());
}

TEST_F(SessionReachTest, GoesToTheNewPrimaryWhereTheOldOneIsGone) {
  Command("\x03INSERT INTO t VALUES (1)");
  ASSERT_EQ(shell_.asked.size(), 1u);
  routing::TopologyBuilder builder(*context_.topology);
  ASSERT_TRUE(builder.SetReplicas("s1", {}).ok());
  ASSERT_TRUE(builder.SetPrimary("s1", "b2").ok());
  context_.topology = builder.Build().value();
  session_->OnLinkFailed(kRefused);
  ASSERT_EQ(shell_.asked.size(), 2u);
  EXPECT_EQ(shell_.asked[1].target.backend, IdOf("b2"));
  EXPECT_TRUE(shell_.to_client.empty());
}

TEST_F(SessionReachTest, DoesNotWaitWhereItWouldBeRefused) {
  Login("hasty");
  Command("\x03INSERT INTO t VALUES (1)");
  ASSERT_EQ(shell_.asked.size(), 1u);
  EXPECT_FALSE(shell_.asked[0].waits_out);
  session_->OnLinkFailed(kRefused);
  EXPECT_EQ(CodeToClient(), 9401);
}

TEST_F(SessionReachTest, DoesNotWaitWhereNoGateEverCloses) {
  context_.gates_close = false;
  Command("\x03INSERT INTO t VALUES (1)");
  ASSERT_EQ(shell_.asked.size(), 1u);
  EXPECT_FALSE(shell_.asked[0].waits_out);
}

}  // namespace
}  // namespace bulkhead::session
