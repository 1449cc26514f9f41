#include "proxy/admin/client_runner.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "proxy/admin/client_format.h"
#include "proxy/admin/statement.h"

namespace bulkhead::admin {

namespace {

using namespace std::chrono_literals;

constexpr auto kLook = 100ms;
constexpr auto kPatience = 700ms;    // then it is worth to say what it waits for
constexpr auto kLookAgain = 2000ms;  // each look is a line in the router's log

std::atomic<int> interrupts{0};

std::string OneLine(const LinkError& error) {
  return "ERROR " + std::to_string(error.code) + " (" + error.state + "): " + error.message;
}

}  // namespace

void ClientRunner::OnInterrupt() { interrupts.fetch_add(1, std::memory_order_relaxed); }

bool HoldsSecret(std::string_view statement) {
  return ForLog(statement).find("'***'") != std::string::npos;
}

// Looks, from a connection of its own, at what the statement waits for, and kills it.
class ClientRunner::Watcher {
 public:
  Watcher(const ClientRunner& runner, std::string statement)
      : runner_(runner), statement_(std::move(statement)), thread_([this] { Watch(); }) {}
  ~Watcher() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    wake_.notify_one();
    thread_.join();
    if (shown_ && tty_) std::fputs("\r\x1b[K", stderr);
  }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  [[nodiscard]] bool killed() const { return killed_; }

 private:
  void Watch() {
    const auto begun = std::chrono::steady_clock::now();
    auto next_look = begun + kPatience;
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, kLook, [this] { return ended_; })) {
      lock.unlock();
      if (interrupts.load(std::memory_order_relaxed) > (killed_ ? 1 : 0)) Interrupt();
      if (!killed_ && std::chrono::steady_clock::now() >= next_look) {
        ShowProgress();
        next_look = std::chrono::steady_clock::now() + kLookAgain;
      }
      lock.lock();
    }
  }

  bool Connected() {
    if (failed_) return false;
    if (connected_) return true;
    if (const auto error = link_.Connect(runner_.setup_.target); error.has_value()) {
      failed_ = true;
      return false;
    }
    return connected_ = true;
  }

  void Interrupt() {
    if (killed_) _exit(static_cast<int>(ExitCode::kInterrupted));  // he does not want to wait
    killed_ = true;
    Say("Ctrl-C: asking the router to give it up and put everything back; again to leave");
    std::vector<LinkResult> results;
    if (!Connected() ||
        link_.Query("KILL QUERY " + std::to_string(runner_.link_.id()), &results).has_value()) {
      Say("the router can't be asked by a second connection; leaving, which it will notice");
      _exit(static_cast<int>(ExitCode::kInterrupted));
    }
  }

  // Of what this user has running, the operation whose object the statement names.
  void ShowProgress() {
    std::vector<LinkResult> results;
    const std::string query =
        "SELECT object, step FROM operations WHERE state = 'running' AND user = " +
        SqlLiteral(runner_.setup_.target.user) + " ORDER BY id DESC";
    if (!Connected() || link_.Query(query, &results).has_value() || results.empty()) return;
    for (const auto& row : results.front().rows) {
      if (!row[0].has_value() || !row[1].has_value()) continue;
      if (statement_.find(*row[0]) == std::string::npos || *row[1] == last_) continue;
      last_ = *row[1];
      Say(last_);
      return;
    }
  }

  // On the terminal one line that changes, elsewhere a line each.
  void Say(const std::string& text) {
    const std::lock_guard lock(mutex_);
    if (ended_) return;
    shown_ = true;
    std::fprintf(stderr, tty_ ? "\r\x1b[K%s" : "%s\n", text.c_str());
    std::fflush(stderr);
  }

  const ClientRunner& runner_;
  const std::string statement_;
  ClientLink link_;
  bool connected_ = false;
  bool failed_ = false;
  std::string last_;
  bool shown_ = false;
  const bool tty_ = isatty(STDERR_FILENO) == 1;
  std::atomic<bool> killed_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool ended_ = false;
  std::thread thread_;  // the last member: it uses the others
};

ExitCode ClientRunner::Connect() {
  const std::optional<LinkError> error = link_.Connect(setup_.target);
  connected_ = !error.has_value();
  if (connected_) return ExitCode::kOk;
  if (setup_.form == OutputForm::kJson) {
    *setup_.out << FormatJsonError(*error, {});
  } else {
    const LinkTarget& target = setup_.target;
    *setup_.errors << OneLine(*error) << "\nno connection to the admin listener at "
                   << (target.socket.empty() ? target.host + ":" + std::to_string(target.port)
                                             : target.socket)
                   << " as '" << target.user << "'\n";
  }
  return ExitCode::kNotConnected;
}

size_t ClientRunner::Width() const {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 0;
}

std::vector<std::string> ClientRunner::Column(const std::string& query) {
  std::vector<std::string> cells;
  std::vector<LinkResult> results;
  if (!connected_ || link_.Query(query, &results).has_value() || results.empty()) return cells;
  for (const auto& row : results.front().rows) {
    if (!row.empty() && row[0].has_value()) cells.push_back(*row[0]);
  }
  return cells;
}

std::vector<std::string> ClientRunner::Warnings(const LinkResult* result, const LinkError* error) {
  std::vector<std::string> warnings;
  if (error == nullptr && result->warnings == 0) return warnings;
  if (error != nullptr && error->lost()) return warnings;
  std::vector<LinkResult> results;
  if (link_.Query("SHOW WARNINGS", &results).has_value() || results.empty()) return warnings;
  for (const auto& row : results.front().rows) {
    if (row.size() < 3 || row[0] == "Error") continue;  // that was said
    warnings.push_back(row[0].value_or("") + ": " + row[2].value_or(""));
  }
  return warnings;
}

ExitCode ClientRunner::Run(const std::string& statement, bool vertical) {
  if (!connected_) {
    if (const ExitCode code = Connect(); code != ExitCode::kOk) return code;
  }
  interrupts.store(0, std::memory_order_relaxed);
  const auto begun = std::chrono::steady_clock::now();
  std::vector<LinkResult> results;
  std::optional<LinkError> error;
  bool killed = false;
  {
    Watcher watcher(*this, statement);
    error = link_.Query(statement, &results);
    killed = watcher.killed();
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  for (const LinkResult& result : results) Print(result, vertical, seconds);
  if (!error.has_value()) return killed ? ExitCode::kInterrupted : ExitCode::kOk;
  const std::vector<std::string> warnings = Warnings(nullptr, &*error);
  if (setup_.form == OutputForm::kJson) {
    *setup_.out << FormatJsonError(*error, warnings);
  } else {
    for (const std::string& warning : warnings) *setup_.errors << warning << '\n';
    *setup_.errors << OneLine(*error) << '\n';
  }
  if (error->lost()) {
    connected_ = false;
    *setup_.errors << "the connection is lost; see SHOW OPERATIONS for what became of it\n";
    return ExitCode::kNotConnected;
  }
  return killed ? ExitCode::kInterrupted : ExitCode::kStatementFailed;
}

void ClientRunner::Print(const LinkResult& result, bool vertical, double seconds) {
  std::ostream& out = *setup_.out;
  const std::vector<std::string> warnings = Warnings(&result, nullptr);
  if (setup_.form == OutputForm::kJson) {
    out << FormatJson(result, warnings) << std::flush;
    return;
  }
  char time[32];
  std::snprintf(time, sizeof time, " (%.2f s)", seconds);
  if (result.columns.empty()) {
    out << (result.message.empty() ? "ok" : result.message) << (setup_.interactive ? time : "")
        << '\n';
  } else if (vertical || setup_.form == OutputForm::kVertical) {
    out << FormatVertical(result);
  } else if (setup_.form == OutputForm::kTabs) {
    out << FormatTabs(result);
  } else {
    out << FormatTable(result, Width());
  }
  if (!result.columns.empty() && setup_.interactive)
    out << result.rows.size() << (result.rows.size() == 1 ? " row" : " rows") << time << '\n';
  out << std::flush;
  for (const std::string& warning : warnings) *setup_.errors << warning << '\n';
}

}  // namespace bulkhead::admin
