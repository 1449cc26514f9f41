#include "proxy/log/writer.h"

#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>

namespace bulkhead::log {

namespace {

int Open(const std::string& file) {
  return open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

// Standard error is the journal's socket: systemd.exec(5), JOURNAL_STREAM.
bool IsJournal(int fd) {
  const char* const stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  if (stream == nullptr || fstat(fd, &status) != 0) return false;
  return absl::StrCat(status.st_dev, ":", status.st_ino) == stream;
}

Level LevelOf(spdlog::level::level_enum level) {
  switch (level) {
    case spdlog::level::trace:
    case spdlog::level::debug:
      return Level::kDebug;
    case spdlog::level::info:
      return Level::kInfo;
    case spdlog::level::warn:
      return Level::kWarn;
    case spdlog::level::err:
    case spdlog::level::critical:
    case spdlog::level::off:
    case spdlog::level::n_levels:
      return Level::kError;
  }
  return Level::kError;
}

int64_t Millis(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

// Of the limit on repeats: a clock that is set must not hold lines back, or let a flood through.
int64_t SteadyMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

Writer::Writer(const Options& options, std::string* error) : repeats_(options.max_repeats) {
  *error = Change(options);
  (void)TakeChange();
}

std::string Writer::Change(const Options& options) {
  const int fresh = options.file.empty() ? STDERR_FILENO : Open(options.file);
  if (fresh < 0) return absl::StrCat(options.file, " can't be opened: ", std::strerror(errno));
  const std::lock_guard lock(change_mutex_);
  constexpr size_t kMost = 16;
  if (changes_.size() == kMost) {  // nothing is written any more; the newest is what counts
    if (!changes_.back().options.file.empty()) close(changes_.back().fd);
    changes_.pop_back();
  }
  changes_.push_back({.options = options, .fd = fresh});
  return {};
}

bool Writer::TakeChange() {
  const std::lock_guard lock(change_mutex_);
  if (changes_.empty()) return false;
  const Pending change = std::move(changes_.front());
  changes_.pop_front();
  CloseFile();
  fd_ = change.fd;
  file_ = change.options.file;
  format_ = change.options.format;
  journal_ = file_.empty() && IsJournal(fd_);
  repeats_.SetMax(change.options.max_repeats);
  return true;
}

void Writer::CloseFile() {
  if (!file_.empty() && fd_ >= 0) close(fd_);
}

Writer::~Writer() { CloseFile(); }

void Writer::ReopenIfAsked() {
  if (!reopen_.exchange(false, std::memory_order_relaxed) || file_.empty()) return;
  const int fresh = Open(file_);
  if (fresh < 0) {
    const std::string words =
        absl::StrCat("log: ", file_, " can't be opened anew: ", std::strerror(errno),
                     "; the old one is written to");
    Emit({.message = words, .event = event::kLogFile.name},
         {.unix_ms = Millis(std::chrono::system_clock::now()), .level = Level::kError});
    return;
  }
  close(fd_);
  fd_ = fresh;
}

void Writer::sink_it_(const spdlog::details::log_msg& message) {
  ReopenIfAsked();
  const std::string_view packed(message.payload.data(), message.payload.size());
  if (packed == kChangeMark) {
    (void)TakeChange();
    return;
  }
  const Record record = Unpack(packed);
  Stamp stamp{.unix_ms = Millis(message.time), .level = LevelOf(message.level)};
  const RepeatLimiter::Answer answer =
      repeats_.Note(record.key, packed, static_cast<int>(stamp.level), SteadyMs());
  if (!answer.passes) {
    held_back_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  stamp.repeated = answer.repeated;
  Emit(record, stamp);
}

void Writer::Emit(const Record& record, const Stamp& stamp) {
  const std::string line = format_ == Format::kJson ? RenderJson(record, stamp, journal_)
                                                    : RenderText(record, stamp, journal_);
  if (WriteAll(fd_, line)) {
    lines_[static_cast<size_t>(stamp.level)].fetch_add(1, std::memory_order_relaxed);
  } else {
    dropped_.fetch_add(1, std::memory_order_relaxed);
  }
}

void Writer::TellHeldBack(bool all) {
  const int64_t unix_ms = Millis(std::chrono::system_clock::now());
  for (const RepeatLimiter::Summary& summary :
       all ? repeats_.TakeAll() : repeats_.Overdue(SteadyMs())) {
    Emit(Unpack(summary.line), {.unix_ms = unix_ms,
                                .level = static_cast<Level>(summary.level),
                                .repeated = summary.repeated});
  }
}

void Writer::flush_() {
  // A mark that fell out of a full queue: whatever waits since the last flush holds by now.
  if (overdue_) {
    while (TakeChange()) {
    }
  }
  {
    const std::lock_guard lock(change_mutex_);
    overdue_ = !changes_.empty();
  }
  ReopenIfAsked();
  TellHeldBack(/*all=*/false);
}

void Writer::Finish() {
  const std::lock_guard lock(mutex_);
  TellHeldBack(/*all=*/true);
}

Counts Writer::counts() const {
  Counts counts;
  for (size_t i = 0; i < counts.lines.size(); ++i)
    counts.lines[i] = lines_[i].load(std::memory_order_relaxed);
  counts.held_back = held_back_.load(std::memory_order_relaxed);
  counts.dropped = dropped_.load(std::memory_order_relaxed);
  return counts;
}

}  // namespace bulkhead::log
