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
#include <memory>
#include <string>

#include "proxy/log/line.h"
#include "proxy/log/log.h"
#include "proxy/log/repeats.h"

namespace bulkhead::log {

class Writer final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // *error is set where the file can't be opened.
  Writer(const Options& options, std::string* error);
  ~Writer() override;

  // "" or what is wrong; then all stays as it was. Any thread.
  [[nodiscard]] std::string Change(const Options& options);
  void RequestReopen() { reopen_.store(true, std::memory_order_relaxed); }
  // At the end: what was held back is told.
  void Finish();
  [[nodiscard]] Counts counts() const;

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override;

 private:
  void CloseFile();
  void ReopenIfAsked();
  void TellHeldBack(int64_t now_ms, bool all);
  void Emit(const Record& record, const Stamp& stamp);

  // With base_sink's mutex, as all below that is no atomic.
  Format format_ = Format::kText;
  std::string file_;
  bool journal_ = false;
  int fd_ = -1;
  RepeatLimiter repeats_;
  std::atomic<bool> reopen_{false};
  std::array<std::atomic<uint64_t>, kLevelNames.size()> lines_{};
  std::atomic<uint64_t> held_back_{0};
  std::atomic<uint64_t> dropped_{0};
};

}  // namespace bulkhead::log

#endif  // BULKHEAD_PROXY_LOG_WRITER_H_
