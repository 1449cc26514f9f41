// One libuv loop, the messages other threads post to it, and what all its streams share.
//
// Purpose: the ground a worker or the control thread stands on. Everything of one loop runs on the
// thread that calls Run. Thread: Post may be called from any thread; all else from the loop's own.
// Units: monotonic nanoseconds.
// Limits: the shared read buffer is kReadBufferSize; posted messages are unbounded in number (each
// sender bounds its own).
#ifndef BULKHEAD_PROXY_IO_EVENT_LOOP_H_
#define BULKHEAD_PROXY_IO_EVENT_LOOP_H_

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace bulkhead::io {

class EventLoop {
 public:
  // One read takes at most this much. Large enough that a thousand-row result is one read, small
  // enough for the L2 cache.
  static constexpr size_t kReadBufferSize = 128 * 1024;

  EventLoop();
  ~EventLoop();  // the loop must have run to its end: every handle closed
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs until Stop and until every handle is closed. The leak test is in here: a handle left open
  // aborts.
  void Run();
  // Closes the loop's own handles; Run returns once all others are closed too.
  void Stop();

  // Runs `message` on the loop's thread, in order of posting. Any thread. After Stop messages are
  // dropped.
  void Post(std::function<void()> message);
  [[nodiscard]] bool IsInLoopThread() const;

  // The time at which this turn of the loop was first asked for it: one reading of the clock a
  // turn.
  [[nodiscard]] uint64_t NowNs() {
    if (now_ns_ == 0) now_ns_ = uv_hrtime();
    return now_ns_;
  }
  // Drops what it is given when the next turn begins: nothing of this turn is on the stack any
  // more.
  void DisposeLater(std::shared_ptr<void> thing) { disposed_.push_back(std::move(thing)); }
  [[nodiscard]] uv_loop_t* uv() { return &loop_; }
  // Lent to whichever stream is reading; its content is gone at the next read of any stream of this
  // loop.
  [[nodiscard]] std::span<uint8_t> read_buffer() { return {read_buffer_.get(), kReadBufferSize}; }

 private:
  static void OnAsync(uv_async_t* handle);
  static void OnPrepare(uv_prepare_t* handle);
  void RunPosted();

  uv_loop_t loop_;
  uv_async_t async_;
  uv_prepare_t prepare_;  // before each wait for events
  uint64_t now_ns_ = 0;   // 0: not read in this turn
  std::vector<std::shared_ptr<void>> disposed_;
  std::unique_ptr<uint8_t[]> read_buffer_;
  uv_thread_t thread_{};
  bool running_ = false;
  std::mutex mutex_;
  bool stopped_ = false;                         // guarded by mutex_
  std::vector<std::function<void()>> messages_;  // guarded by mutex_
};

// A timer of one loop. Its memory goes when libuv says so; the owner may drop it at any time, also
// inside the callback.
class Timer {
 public:
  Timer(EventLoop* loop, std::function<void()> callback);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  void Start(uint64_t after_ms, uint64_t repeat_ms = 0);
  void Stop();

 private:
  struct Handle {
    uv_timer_t timer;
    std::function<void()> callback;
  };
  Handle* handle_;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_EVENT_LOOP_H_
