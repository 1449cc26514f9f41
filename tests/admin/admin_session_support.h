// A session without sockets and threads: what a client sends goes in, what it would read comes out
// as lines of text.
#ifndef BULKHEAD_TESTS_ADMIN_ADMIN_SESSION_SUPPORT_H_
#define BULKHEAD_TESTS_ADMIN_ADMIN_SESSION_SUPPORT_H_

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/admin/admin_session.h"
#include "proxy/wire/frame.h"

namespace bulkhead::admin {

inline constexpr wire::Capabilities kPlainClient =
    wire::kClientProtocol41 | wire::kClientPluginAuth | wire::kClientTransactions;
inline constexpr wire::Capabilities kModernClient = kPlainClient | wire::kClientDeprecateEof |
                                                    wire::kClientMultiStatements |
                                                    wire::kClientMultiResults;
inline constexpr wire::Capabilities kMariadbClient =
    (kModernClient | wire::kMariadbClientProgress) & ~wire::kClientMysql;

// Two backends, one shard, one tenant.
class FakeSource final : public StateSource {
 public:
  FakeSource() {
    routing::TopologyBuilder builder;
    for (const char* name : {"db1", "db2"}) {
      routing::BackendSpec backend;
      backend.name = name;
      backend.address = {.host = "127.0.0.1", .port = 3306};
      (void)builder.AddBackend(backend);
    }
    (void)builder.AddShard({.name = "s1", .primary = "db1"});
    (void)builder.AddTenant({.name = "acme", .shard = "s1"});
    state.topology = *builder.Build();
    for (const char* name : {"db1", "db2"}) {
      BackendRow row;
      row.name = name;
      row.state = row.name == "db1" ? "up" : "down";
      row.address = "127.0.0.1:3306";
      state.backends.push_back(row);
    }
    ShardRow shard;
    shard.name = "s1";
    shard.state = "serving";
    shard.primary = "db1";
    state.shards.push_back(shard);
    auto configured = std::make_shared<config::Options>();
    configured->topology = state.topology;
    options = std::move(configured);
  }

  std::shared_ptr<const LiveState> Collect(const TableSet& tables) override {
    asked = tables;
    return std::make_shared<const LiveState>(state);
  }
  std::shared_ptr<const config::Options> Options() override { return options; }

  LiveState state;
  std::shared_ptr<const config::Options> options;
  TableSet asked;
};

class FakeShell final : public AdminShell {
 public:
  void Send(std::span<const uint8_t> bytes) override {
    sent.insert(sent.end(), bytes.begin(), bytes.end());
    if (sent.size() >= full_at) full = true;
  }
  [[nodiscard]] bool OutputFull() const override { return full; }
  void Close() override { closed = true; }
  [[nodiscard]] uint64_t NowNs() const override { return now_ns; }
  void Run(std::shared_ptr<SqlWork> one) override { work = std::move(one); }
  void InterruptWork() override { ++interrupts; }
  void Submit(control::OperatorCommand command, AuditRecord audit) override {
    commands.push_back(std::move(command));
    submitted.push_back(std::move(audit));
  }
  void CancelSubmitted() override { ++cancels; }
  [[nodiscard]] KillAnswer Kill(uint64_t id, bool query_only) override {
    kills.emplace_back(id, query_only);
    return kill_answer;
  }
  [[nodiscard]] std::string Statistics() override { return "Uptime: 1"; }
  void ChangeUser(std::span<const uint8_t> payload, uint8_t sequence) override {
    change_user.assign(payload.begin(), payload.end());
    change_user_sequence = sequence;
  }
  void Audit(AuditRecord record) override {
    audits.push_back(record.statement + " -> " + record.outcome);
  }

  std::vector<uint8_t> sent;
  size_t full_at = SIZE_MAX;
  bool full = false;
  bool closed = false;
  uint64_t now_ns = 1'000'000'000;
  std::shared_ptr<SqlWork> work;
  int interrupts = 0;
  std::vector<control::OperatorCommand> commands;
  std::vector<AuditRecord> submitted;
  int cancels = 0;
  std::vector<std::pair<uint64_t, bool>> kills;
  KillAnswer kill_answer = KillAnswer::kDone;
  std::vector<uint8_t> change_user;
  int change_user_sequence = -1;
  std::vector<std::string> audits;
};

// What a client knows of the answer that it awaits.
enum class Awaits : uint8_t { kResult, kBinary, kPrepare, kFields, kText };

class SessionHarness {
 public:
  explicit SessionHarness(wire::Capabilities capabilities = kModernClient, bool read_only = false)
      : capabilities_(capabilities),
        session(&shell, {.connection_id = 7,
                         .capabilities = capabilities,
                         .user = "admin",
                         .address = "127.0.0.1",
                         .read_only = read_only}) {}

  // A command whole; what it is answered, work included.
  std::vector<std::string> Ask(wire::Command command, std::string_view body = {},
                               Awaits awaits = Awaits::kResult);
  std::vector<std::string> Query(std::string_view sql) { return Ask(wire::Command::kQuery, sql); }
  // Only sends.
  void Start(wire::Command command, std::string_view body);
  void SendPacket(std::span<const uint8_t> payload, uint8_t sequence = 0);
  // Does what query threads would, while there is something.
  void DoWork();
  // What was sent since, as lines.
  std::vector<std::string> Read(Awaits awaits = Awaits::kResult);
  void Reply(bool ok, uint16_t code, std::string message);

 private:
  const wire::Capabilities capabilities_;

 public:
  FakeSource source;
  ResultBudget budget;
  FakeShell shell;
  SqlRunner runner{{.user = "admin", .address = "127.0.0.1", .connection_id = 7, .version = "10"},
                   &source,
                   &budget};
  AdminSession session;
};

}  // namespace bulkhead::admin

#endif  // BULKHEAD_TESTS_ADMIN_ADMIN_SESSION_SUPPORT_H_
