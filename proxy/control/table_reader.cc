#include "proxy/control/table_reader.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace bulkhead::control {

namespace {

using io::QueryConnection;

constexpr uint64_t kLimitMs = 5000;
constexpr size_t kMaxSchemas = 1000;

std::string HasPrivilege(const std::string& privilege) {
  return "SELECT COUNT(*) FROM information_schema.USER_PRIVILEGES WHERE PRIVILEGE_TYPE = '" +
         privilege +
         "' AND GRANTEE = CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), '''@''', "
         "SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')";
}

std::vector<std::string> Questions() {
  const std::string system = "('mysql', 'sys', 'information_schema', 'performance_schema')";
  return {HasPrivilege("SELECT"),
          HasPrivilege("TRIGGER"),
          "SELECT DISTINCT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_TYPE = "
          "'BASE TABLE' AND COALESCE(ENGINE, '') NOT IN ('InnoDB', 'ROCKSDB', 'TokuDB', "
          "'ndbcluster') AND TABLE_SCHEMA NOT IN " +
              system + " LIMIT 1000",
          "SELECT DISTINCT TRIGGER_SCHEMA FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA "
          "NOT IN " +
              system + " LIMIT 1000",
          "SELECT DISTINCT TABLE_SCHEMA FROM information_schema.TABLES WHERE TABLE_TYPE = 'VIEW' "
          "AND TABLE_SCHEMA NOT IN " +
              system + " LIMIT 1000",
          "SELECT @@lower_case_table_names"};
}

bool Says(const QueryConnection::Answer& answer) {
  return answer.ok && !answer.rows.empty() && answer.rows[0][0].value_or("0") != "0";
}

}  // namespace

struct TableReader::Task {
  std::unique_ptr<QueryConnection> connection;
  std::unique_ptr<io::Timer> timer;
};

TableReader::TableReader(io::EventLoop* loop, QueryConnection::Options options)
    : loop_(loop), options_(std::move(options)) {}

TableReader::~TableReader() {
  done_ = nullptr;
  Finish(std::nullopt, true);
}

void TableReader::Ask(Done done) {
  if (task_ != nullptr) return;
  done_ = std::move(done);
  task_ = std::make_shared<Task>();
  Task* task = task_.get();
  task->connection = std::make_unique<QueryConnection>(
      loop_,
      QueryConnection::Events{
          .on_open = [task] { task->connection->Run(Questions()); },
          .on_answers =
              [this](const std::vector<QueryConnection::Answer>& answers) {
                const auto& schemas = answers[2];
                const bool seen = Says(answers[0]);
                const bool all_there =
                    std::all_of(answers.begin() + 2, answers.end(), [](const auto& answer) {
                      return answer.ok && answer.complete && answer.rows.size() < kMaxSchemas;
                    });
                if (!seen || !all_there) {
                  Finish(std::nullopt, seen);
                  return;
                }
                routing::TransactionalTables::Server server;
                server.all = schemas.rows.empty();
                server.triggers_seen = Says(answers[1]);
                for (size_t i = 2; i <= 4; ++i) {  // other tables, triggers, views
                  for (const QueryConnection::Row& row : answers[i].rows)
                    server.excluded.push_back(row[0].value_or(""));
                }
                server.folds_names = Says(answers[5]);
                if (server.folds_names) {
                  for (std::string& schema : server.excluded)
                    schema = routing::TransactionalTables::Folded(schema);
                }
                std::sort(server.excluded.begin(), server.excluded.end());
                Finish(std::move(server), true);
              },
          .on_end = [this](const auto&, const std::string&) { Finish(std::nullopt, true); }});
  task->timer = std::make_unique<io::Timer>(loop_, [this] { Finish(std::nullopt, true); });
  task->timer->Start(kLimitMs);
  task->connection->Open(options_);
}

void TableReader::Finish(std::optional<routing::TransactionalTables::Server> answer, bool seen) {
  if (task_ == nullptr) return;
  task_->timer->Stop();
  task_->connection->Close();
  // Its functions may be on the stack.
  loop_->DisposeLater(std::exchange(task_, nullptr));
  const Done done = std::exchange(done_, nullptr);
  if (done) done(std::move(answer), seen);
}

}  // namespace bulkhead::control
