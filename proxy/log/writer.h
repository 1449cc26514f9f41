// Where the lines of the log go: standard error or a file, through the limit on repeats.
//
// Purpose: spdlog's sink: called on the logging thread for each line that waited in its queue, and
// once a second to flush.
// Threads: log and flush on the logging thread; RequestReopen and the counts any.
// Errors: what can't be written is dropped and counted; nothing here ever waits for more than a
// write to the file.
#ifndef BULKHEAD_PROXY_LOG_WRITER_H_
#define BULKHEAD_PROXY_LOG_WRITER_H_

#include <spdlog/sinks/base_sink.h>

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "proxy/log/line.h"
#include "proxy/log/log.h"
#include "proxy/log/repeats.h"

namespace bulkhead::log {

// A line that is none: what Change was given holds from here on.
inline constexpr std::string_view kChangeMark = "\x01";

class Writer final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // *error is set where the file can't be opened.
  Writer(const Options& options, std::string* error);
  ~Writer() override;

  // "" or what is wrong; then all stays as it was. Taken up by the logging thread at the next
  // kChangeMark, or flush. Any thread; never waits for a write.
  [[nodiscard]] std::string Change(const Options& options);
  void RequestReopen() { reopen_.store(true, std::memory_order_relaxed); }
  // At the end: what was held back is told.
  void Finish();
  [[nodiscard]] Counts counts() const;

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override;

 private:
  struct Pending {
    Options options;
    int fd = -1;
  };

  bool TakeChange();  // false: there is none
  void CloseFile();
  void ReopenIfAsked();
  void TellHeldBack(bool all);
  void Emit(const Record& record, const Stamp& stamp);

  std::mutex change_mutex_;
  std::deque<Pending> changes_;  // with change_mutex_; few: each holds an open file

  // With base_sink's mutex, as all below that is no atomic.
  Format format_ = Format::kText;
  std::string file_;
  bool journal_ = false;
  bool overdue_ = false;  // a change has waited for a whole flush
  int fd_ = -1;
  RepeatLimiter repeats_;
  std::atomic<bool> reopen_{false};
  std::array<std::atomic<uint64_t>, kLevelNames.size()> lines_{};
  std::atomic<uint64_t> held_back_{0};
  std::atomic<uint64_t> dropped_{0};
};

}  // namespace bulkhead::log

#endif  // BULKHEAD_PROXY_LOG_WRITER_H_
