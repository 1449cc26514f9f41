#include "proxy/io/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "proxy/io/undelivered.h"

namespace bulkhead::io {

namespace {

void SetNoDelay(int fd) {
  int on = 1;
  // Fails on Unix sockets, where there is nothing to delay.
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

[[noreturn]] void Die(const char* what, int status) {
  std::fprintf(stderr, "bulkhead: %s: %s\n", what, uv_strerror(status));
  std::abort();
}

bool HasUnreadBytes(int fd) {
  int unread = 0;
  return ioctl(fd, FIONREAD, &unread) == 0 && unread > 0;
}

}  // namespace

// Takes the place of the handler for a stream whose owner let go of it but whose output is still to
// be delivered. Owns itself.
class Stream::Flusher : public StreamHandler {
 public:
  explicit Flusher(StreamPtr stream) : stream_(std::move(stream)) {}
  void OnBytes(std::span<uint8_t>) override {}
  void OnWritable() override { stream_->StartDraining(); }
  void OnEnd(const StreamEnd&) override { delete this; }

 private:
  StreamPtr stream_;
};

// Hands one filter's output to its neighbour.
struct Stream::FilterStage : public FilterSink {
  FilterStage(Stream* stream, StreamFilter* filter) : stream(stream), filter(filter) {}
  void Up(std::span<uint8_t> plain) override {
    if (stream->closed_ || stream->ended_ || plain.empty()) return;
    if (filter == stream->bottom_.get() && stream->top_ != nullptr) {
      stream->Deliver(stream->top_.get(), plain);
      return;
    }
    stream->handler_->OnBytes(plain);
  }
  void Down(std::span<const uint8_t> encoded) override {
    if (stream->closed_ || encoded.empty()) return;
    if (filter == stream->top_.get()) {
      FilterStage below(stream, stream->bottom_.get());
      if (!stream->bottom_->Encode(encoded, &below)) stream->OnEncodeError(stream->bottom_.get());
      return;
    }
    stream->WriteToSocket(encoded);
  }
  bool paused() const override { return !stream->reading_ || stream->closed_ || stream->ended_; }
  Stream* stream;
  StreamFilter* filter;
};

void StreamDeleter::operator()(Stream* stream) const { stream->Close(); }

Stream::Stream(EventLoop* loop, int fd, StreamHandler* handler)
    : loop_(loop), handler_(handler), fd_(fd) {
  if (int status = uv_poll_init(loop->uv(), &poll_, fd); status != 0) Die("uv_poll_init", status);
  poll_.data = this;
}

StreamPtr Stream::Adopt(EventLoop* loop, int fd, StreamHandler* handler) {
  SetNoDelay(fd);
  StreamPtr stream(new Stream(loop, fd, handler));
  stream->UpdatePoll();
  return stream;
}

StreamPtr Stream::Connect(EventLoop* loop, const sockaddr* address, socklen_t length,
                          StreamHandler* handler, int* error) {
  int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    *error = errno;
    return nullptr;
  }
  SetNoDelay(fd);
  int on = 1;
  (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  if (connect(fd, address, length) != 0 && errno != EINPROGRESS && errno != EINTR) {
    *error = errno;
    close(fd);
    return nullptr;
  }
  StreamPtr stream(new Stream(loop, fd, handler));
  stream->connecting_ = true;
  stream->UpdatePoll();
  return stream;
}

void Stream::UpdatePoll() {
  if (closed_) return;
  int events = 0;
  if (connecting_) {
    events = UV_WRITABLE;
  } else if (!ended_) {
    // Each change of the events costs two system calls, so a pause takes effect when something
    // arrives.
    const bool lazily_paused = (polled_events_ & UV_READABLE) != 0 && !unread_waits_;
    if ((reading_ && !FilterHoldsInput()) || lazily_paused) events |= UV_READABLE;
    // A failed write is told from the loop; while reading, by the read, which first delivers what
    // the peer said before it went.
    const bool broken = failed_filter_ != nullptr || (write_error_ != 0 && !reading_);
    if (pending() > 0 || broken) events |= UV_WRITABLE;
  }
  if (events == polled_events_) return;
  polled_events_ = events;
  if (events == 0) {
    uv_poll_stop(&poll_);
  } else {
    uv_poll_start(&poll_, events, &Stream::OnPoll);
  }
}

void Stream::OnPoll(uv_poll_t* handle, int status, int events) {
  auto* stream = static_cast<Stream*>(handle->data);
  if (stream->connecting_) {
    stream->FinishConnect();
    return;
  }
  if (status < 0) {
    // An error condition, for which libuv stops the handle and always says EBADF. The read finds
    // the true one, behind what arrived before it.
    stream->polled_events_ = 0;
    if (!stream->reading_) {
      stream->OnErrorWhilePaused();
      return;
    }
    events = UV_READABLE;
  }
  if ((events & UV_WRITABLE) != 0) stream->OnSocketWritable();
  if (!stream->closed_ && (events & UV_READABLE) != 0) stream->OnReadable();
  if (status < 0) stream->UpdatePoll();
}

void Stream::OnErrorWhilePaused() {
  if (pending() == 0 && write_error_ == 0) {
    // What arrived before the error may still be read, and then the error is told.
    unread_waits_ = true;
    UpdatePoll();
    return;
  }
  int error = write_error_;
  socklen_t length = sizeof error;
  if (error == 0) (void)getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length);
  End({StreamEnd::Kind::kSocketError, error, {}});
}

void Stream::FinishConnect() {
  int error = 0;
  socklen_t length = sizeof error;
  if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  connecting_ = false;
  if (error != 0) {
    End({StreamEnd::Kind::kConnectFailed, error, {}});
    return;
  }
  UpdatePoll();
  handler_->OnConnected();
}

void Stream::OnReadable() {
  if (ended_) return;
  if (!reading_ || FilterHoldsInput()) {
    unread_waits_ = true;
    UpdatePoll();
    return;
  }
  std::span<uint8_t> buffer = loop_->read_buffer();
  ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
  if (n > 0) {
    bytes_in_ += static_cast<uint64_t>(n);
    if (bytes_ != nullptr) (*bytes_)[metrics::Direction::kReceived].Add(static_cast<uint64_t>(n));
    if (!draining_) Deliver(bottom_.get(), buffer.first(static_cast<size_t>(n)));
    return;
  }
  if (n == 0 && write_error_ == 0) {
    End({StreamEnd::Kind::kPeerClosed, 0, {}});
  } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
    End({StreamEnd::Kind::kSocketError, n == 0 ? write_error_ : errno, {}});
  }
}

void Stream::Deliver(StreamFilter* filter, std::span<uint8_t> bytes) {
  if (filter == nullptr) {
    handler_->OnBytes(bytes);
    return;
  }
  FilterStage stage(this, filter);
  if (!filter->Decode(bytes, &stage)) OnDecodeError(*filter);
}

void Stream::OnDecodeError(const StreamFilter& filter) {
  if (ended_ || closed_ || draining_) return;
  const StreamEnd end = {StreamEnd::Kind::kFilterError, filter.error_code(), filter.error()};
  if (handler_->OnUnreadable(end)) return;
  End(end);
}

void Stream::Reinject(std::span<uint8_t> bytes) {
  if (closed_ || ended_ || bytes.empty()) return;
  Deliver(top_filter(), bytes);
}

bool Stream::FilterHoldsInput() const {
  return bottom_ != nullptr && !draining_ && top_filter()->holds_input();
}

void Stream::ContinueFilter() {
  if (ended_ || !reading_ || !FilterHoldsInput()) return;
  StreamFilter* filter = top_filter();
  FilterStage stage(this, filter);
  if (!filter->Continue(&stage)) {
    OnDecodeError(*filter);
  } else if (!filter->holds_input()) {
    unread_waits_ = false;
    UpdatePoll();
  }
}

void Stream::OnSocketWritable() {
  if (failed_filter_ != nullptr) {
    End({StreamEnd::Kind::kFilterError, 0, failed_filter_->error()});
    return;
  }
  if (pending() > 0) {
    ssize_t n = send(fd_, pending_.data() + pending_begin_, pending(), MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EAGAIN || errno == EINTR) return;
      OnSendError(errno);
      n = 0;
    }
    bytes_out_ += static_cast<uint64_t>(n);
    if (bytes_ != nullptr) (*bytes_)[metrics::Direction::kSent].Add(static_cast<uint64_t>(n));
    pending_begin_ += static_cast<size_t>(n);
  }
  if (write_error_ != 0) {
    if (!reading_) End({StreamEnd::Kind::kSocketError, write_error_, {}});
    return;
  }
  if (pending() == 0) {
    pending_ = {};  // given back after a peak
    pending_begin_ = 0;
  }
  UpdatePoll();
  if (was_above_high_ && pending() <= low_) {
    was_above_high_ = false;
    handler_->OnWritable();
  }
}

void Stream::Write(std::span<const uint8_t> bytes) {
  if (closed_ || ended_ || write_error_ != 0 || bytes.empty()) return;
  if (bottom_ == nullptr) {
    WriteToSocket(bytes);
    return;
  }
  StreamFilter* filter = top_filter();
  FilterStage stage(this, filter);
  if (!filter->Encode(bytes, &stage)) OnEncodeError(filter);
}

void Stream::OnEncodeError(StreamFilter* filter) {
  if (failed_filter_ == nullptr) failed_filter_ = filter;
  UpdatePoll();
}

void Stream::OnSendError(int error) {
  write_error_ = error;
  pending_ = {};
  pending_begin_ = 0;
  UpdatePoll();
}

void Stream::WriteToSocket(std::span<const uint8_t> bytes) {
  if (write_error_ != 0) return;
  if (pending() == 0 && !connecting_) {
    ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) {
        OnSendError(errno);
        return;
      }
      n = 0;
    }
    bytes_out_ += static_cast<uint64_t>(n);
    if (bytes_ != nullptr) (*bytes_)[metrics::Direction::kSent].Add(static_cast<uint64_t>(n));
    bytes = bytes.subspan(static_cast<size_t>(n));
    if (bytes.empty()) return;
  }
  if (pending_begin_ > 0 && pending_begin_ >= pending_.size() / 2) {
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(pending_begin_));
    pending_begin_ = 0;
  }
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  if (pending() > high_) was_above_high_ = true;
  UpdatePoll();
}

void Stream::PauseReading() {
  reading_ = false;
  UpdatePoll();
}

void Stream::ResumeReading() {
  reading_ = true;
  if (FilterHoldsInput()) {
    // From the loop: whoever resumes does not expect to be called.
    if (continue_timer_ == nullptr) {
      continue_timer_ = std::make_unique<Timer>(loop_, [this] { ContinueFilter(); });
    }
    continue_timer_->Start(0);
  } else {
    unread_waits_ = false;
  }
  UpdatePoll();
}

bool Stream::PushFilter(std::unique_ptr<StreamFilter> filter) {
  assert(top_ == nullptr);
  StreamFilter* added = filter.get();
  (bottom_ == nullptr ? bottom_ : top_) = std::move(filter);
  FilterStage stage(this, added);
  return added->Start(&stage);
}

void Stream::AbortOnClose() { abort_on_close_ = true; }

bool Stream::AbortUndelivered() {
  abort_on_close_ = true;
  if (closed_ || ended_ || !IsTcp(fd_)) return false;
  return pending() > 0 || StuckInKernel(fd_);
}

void Stream::FlushThenClose(StreamPtr self, uint64_t limit_ms) {
  if (closed_ || ended_ || abort_on_close_ || write_error_ != 0) return;  // `self` is dropped
  const bool flushed = pending() == 0;
  if (flushed && !HasUnreadBytes(fd_)) return;
  auto* flusher = new Flusher(std::move(self));
  handler_ = flusher;
  flush_timer_ = std::make_unique<Timer>(loop_, [flusher] { delete flusher; });
  flush_timer_->Start(limit_ms);
  if (flushed) {
    StartDraining();
    return;
  }
  high_ = 0;
  low_ = 0;
  was_above_high_ = true;
  reading_ = false;
  UpdatePoll();
}

void Stream::StartDraining() {
  FinishFilters();
  (void)shutdown(fd_, SHUT_WR);
  pending_ = {};  // a goodbye that the socket does not take is not worth another wait
  pending_begin_ = 0;
  was_above_high_ = false;
  draining_ = true;
  ResumeReading();
}

void Stream::FinishFilters() {
  if (bottom_ == nullptr || finished_) return;
  finished_ = true;
  FilterStage stage(this, bottom_.get());
  bottom_->Finish(&stage);
}

void Stream::End(StreamEnd end) {
  if (ended_ || closed_) return;
  ended_ = true;
  pending_ = {};
  pending_begin_ = 0;
  UpdatePoll();
  handler_->OnEnd(end);
}

void Stream::Close() {
  if (closed_) return;
  if (!ended_ && !abort_on_close_) FinishFilters();
  closed_ = true;
  flush_timer_.reset();
  continue_timer_.reset();
  uv_poll_stop(&poll_);
  if (abort_on_close_) {
    linger reset{.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  // First the handle: libuv asks that its descriptor be open as long as it knows it.
  const int fd = fd_;
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_),
           [](uv_handle_t* handle) { delete static_cast<Stream*>(handle->data); });
  close(fd);
}

}  // namespace bulkhead::io
