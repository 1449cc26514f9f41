#include "proxy/control/semi_sync_reader.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"

namespace bulkhead::control {

namespace {

using io::QueryConnection;

constexpr uint64_t kLimitMs = 5000;

void Fill(const QueryConnection::Answer& answer, std::map<std::string, std::string>* into) {
  for (const QueryConnection::Row& row : answer.rows) {
    if (row.size() == 2) (*into)[absl::AsciiStrToLower(row[0].value_or(""))] = row[1].value_or("");
  }
}

}  // namespace

struct SemiSyncReader::Task {
  std::unique_ptr<QueryConnection> connection;
  std::unique_ptr<io::Timer> timer;
};

SemiSyncReader::SemiSyncReader(io::EventLoop* loop, QueryConnection::Options options)
    : loop_(loop), options_(std::move(options)) {}

SemiSyncReader::~SemiSyncReader() {
  done_ = nullptr;
  Finish(std::nullopt);
}

void SemiSyncReader::Ask(Done done) {
  if (task_ != nullptr) return;
  done_ = std::move(done);
  task_ = std::make_shared<Task>();
  Task* task = task_.get();
  task->connection = std::make_unique<QueryConnection>(
      loop_, QueryConnection::Events{
                 .on_open =
                     [task] {
                       task->connection->Run({"SHOW GLOBAL VARIABLES LIKE 'rpl_semi_sync%'",
                                              "SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync%'"});
                     },
                 .on_answers =
                     [this, task](const std::vector<QueryConnection::Answer>& answers) {
                       ServerFacts facts;
                       facts.version.mariadb =
                           task->connection->family() == session::ServerFamily::kMariadb;
                       Fill(answers[0], &facts.variables);
                       Fill(answers[1], &facts.status);
                       const bool known = answers[0].ok && answers[1].ok;
                       Finish(known ? std::optional(SemiSyncOf(facts)) : std::nullopt);
                     },
                 .on_end = [this](const auto&, const std::string&) { Finish(std::nullopt); }});
  task->timer = std::make_unique<io::Timer>(loop_, [this] { Finish(std::nullopt); });
  task->timer->Start(kLimitMs);
  task->connection->Open(options_);
}

void SemiSyncReader::Finish(std::optional<SemiSyncSeen> seen) {
  if (task_ == nullptr) return;
  task_->timer->Stop();
  task_->connection->Close();
  // Its functions may be on the stack.
  loop_->DisposeLater(std::exchange(task_, nullptr));
  const Done done = std::exchange(done_, nullptr);
  if (done) done(std::move(seen));
}

}  // namespace bulkhead::control
