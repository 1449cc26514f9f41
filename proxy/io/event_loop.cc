#include "proxy/io/event_loop.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace bulkhead::io {

namespace {

[[noreturn]] void Die(const char* what, int status) {
  std::fprintf(stderr, "bulkhead: %s: %s\n", what, uv_strerror(status));
  std::abort();
}

}  // namespace

EventLoop::EventLoop() : read_buffer_(new uint8_t[kReadBufferSize]) {
  if (int status = uv_loop_init(&loop_); status != 0) Die("uv_loop_init", status);
  if (int status = uv_async_init(&loop_, &async_, &EventLoop::OnAsync); status != 0) {
    Die("uv_async_init", status);
  }
  async_.data = this;
  uv_prepare_init(&loop_, &prepare_);
  prepare_.data = this;
  uv_prepare_start(&prepare_, &EventLoop::OnPrepare);
}

EventLoop::~EventLoop() {
  if (!running_) {
    Stop();
    Run();
  }
}

void EventLoop::Run() {
  thread_ = uv_thread_self();
  running_ = true;
  uv_run(&loop_, UV_RUN_DEFAULT);
  disposed_.clear();
  uv_run(&loop_, UV_RUN_DEFAULT);  // what they closed
  if (int status = uv_loop_close(&loop_); status != 0)
    Die("uv_loop_close: a handle is left", status);
}

void EventLoop::Stop() {
  std::vector<std::function<void()>> dropped;  // what they hold may post when it goes
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    stopped_ = true;
    dropped.swap(messages_);
  }
  uv_close(reinterpret_cast<uv_handle_t*>(&async_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), nullptr);
}

void EventLoop::Post(std::function<void()> message) {
  std::lock_guard lock(mutex_);
  if (stopped_) return;
  messages_.push_back(std::move(message));
  if (messages_.size() == 1) uv_async_send(&async_);
}

bool EventLoop::IsInLoopThread() const {
  uv_thread_t self = uv_thread_self();
  return uv_thread_equal(&self, &thread_) != 0;
}

void EventLoop::OnAsync(uv_async_t* handle) { static_cast<EventLoop*>(handle->data)->RunPosted(); }

void EventLoop::OnPrepare(uv_prepare_t* handle) {
  auto* loop = static_cast<EventLoop*>(handle->data);
  loop->now_ns_ = 0;
  // Dropping one may dispose of another.
  while (!loop->disposed_.empty()) {
    const std::vector<std::shared_ptr<void>> gone = std::move(loop->disposed_);
    loop->disposed_.clear();
  }
}

void EventLoop::RunPosted() {
  std::vector<std::function<void()>> messages;
  {
    std::lock_guard lock(mutex_);
    messages.swap(messages_);
  }
  for (auto& message : messages) message();
}

Timer::Timer(EventLoop* loop, std::function<void()> callback)
    : handle_(new Handle{{}, std::move(callback)}) {
  uv_timer_init(loop->uv(), &handle_->timer);
  handle_->timer.data = handle_;
}

Timer::~Timer() {
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->timer),
           [](uv_handle_t* handle) { delete static_cast<Handle*>(handle->data); });
}

void Timer::Start(uint64_t after_ms, uint64_t repeat_ms) {
  uv_timer_start(
      &handle_->timer, [](uv_timer_t* timer) { static_cast<Handle*>(timer->data)->callback(); },
      after_ms, repeat_ms);
}

void Timer::Stop() { uv_timer_stop(&handle_->timer); }

}  // namespace bulkhead::io
