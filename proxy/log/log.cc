#include "proxy/log/log.h"

#include <signal.h>
#include <spdlog/async.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <memory>

#include "proxy/log/line.h"
#include "proxy/log/writer.h"

namespace bulkhead::log {

namespace {

// Made by Start, before other threads; gone after them.
std::shared_ptr<spdlog::logger> g_logger;
std::shared_ptr<Writer> g_writer;

spdlog::level::level_enum SpdlogLevel(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarn:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

// Signals are for the main thread: threads made while this lives never receive any.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

std::string Start(const Options& options) {
  std::string error;
  if (g_logger != nullptr) {
    error = g_writer->Change(options);
    if (!error.empty()) return error;
    g_logger->set_level(SpdlogLevel(options.level));
    // In its turn: what was said before still goes where it belongs.
    g_logger->log(SpdlogLevel(Level::kError),
                  spdlog::string_view_t(kChangeMark.data(), kChangeMark.size()));
    return {};
  }
  auto writer = std::make_shared<Writer>(options, &error);
  if (!error.empty()) return error;
  const SignalsBlocked blocked;
  spdlog::init_thread_pool(kQueue, 1);
  g_writer = std::move(writer);
  g_logger = std::make_shared<spdlog::async_logger>("bulkhead", g_writer, spdlog::thread_pool(),
                                                    spdlog::async_overflow_policy::overrun_oldest);
  g_logger->set_level(SpdlogLevel(options.level));
  // What the libraries say comes the same way, as lines without fields.
  spdlog::set_default_logger(g_logger);
  spdlog::flush_every(std::chrono::seconds(1));
  return {};
}

void Stop() {
  if (g_logger == nullptr) return;
  g_logger.reset();
  spdlog::shutdown();  // waits for the thread
  g_writer->Finish();
  g_writer.reset();
}

void Reopen() {
  if (g_logger == nullptr) return;
  g_writer->RequestReopen();
  g_logger->flush();
}

void SetLevel(Level level) {
  if (g_logger != nullptr) g_logger->set_level(SpdlogLevel(level));
}

bool Enabled(Level level) {
  return g_logger == nullptr || g_logger->should_log(SpdlogLevel(level));
}

void Write(Level level, const Event& event, Fields fields, std::string_view message) {
  if (!Enabled(level)) return;
  const std::string packed = Pack(event, fields, message);
  if (g_logger != nullptr) {
    g_logger->log(SpdlogLevel(level), spdlog::string_view_t(packed.data(), packed.size()));
    return;
  }
  const int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                             std::chrono::system_clock::now().time_since_epoch())
                             .count();
  const std::string line =
      RenderText(Unpack(packed), {.unix_ms = now_ms, .level = level}, /*journal=*/false);
  (void)std::fwrite(line.data(), 1, line.size(), stderr);
}

Counts Counted() {
  if (g_writer == nullptr) return {};
  Counts counts = g_writer->counts();
  if (const auto pool = spdlog::thread_pool(); pool != nullptr)
    counts.dropped += pool->overrun_counter();
  return counts;
}

}  // namespace bulkhead::log
