#include "proxy/io/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace bulkhead::io {

namespace {

void SetNoDelay(int fd) {
  int on = 1;
  // Fails on Unix sockets, where there is nothing to delay.
  (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// Takes the place of the handler for a stream whose owner let go of it but whose output is still to
// be delivered.
class FlushHandler : public StreamHandler {
 public:
  explicit FlushHandler(StreamPtr stream) : stream_(std::move(stream)) {}
  void OnBytes(std::span<uint8_t>) override {}
  void OnWritable() override { delete this; }
  void OnEnd(const StreamEnd&) override { delete this; }

 private:
  StreamPtr stream_;
};

}  // namespace

// Hands one filter's output to its neighbour.
struct Stream::FilterStage : public FilterSink {
  FilterStage(Stream* stream, StreamFilter* filter) : stream(stream), filter(filter) {}
  void Up(std::span<uint8_t> plain) override {
    if (stream->closed_ || stream->ended_ || plain.empty()) return;
    if (filter == stream->bottom_.get() && stream->top_ != nullptr) {
      FilterStage above(stream, stream->top_.get());
      if (!stream->top_->Decode(plain, &above)) {
        stream->End({StreamEnd::Kind::kFilterError, 0, stream->top_->error()});
      }
      return;
    }
    stream->handler_->OnBytes(plain);
  }
  void Down(std::span<const uint8_t> encoded) override {
    if (stream->closed_ || encoded.empty()) return;
    if (filter == stream->top_.get()) {
      FilterStage below(stream, stream->bottom_.get());
      (void)stream->bottom_->Encode(encoded, &below);
      return;
    }
    stream->WriteToSocket(encoded);
  }
  Stream* stream;
  StreamFilter* filter;
};

void StreamDeleter::operator()(Stream* stream) const { stream->Close(); }

Stream::Stream(EventLoop* loop, int fd, StreamHandler* handler)
    : loop_(loop), handler_(handler), fd_(fd) {
  uv_poll_init(loop->uv(), &poll_, fd);
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
  if (connect(fd, address, length) != 0 && errno != EINPROGRESS) {
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
  } else {
    if (reading_ && !ended_) events |= UV_READABLE;
    if (pending() > 0) events |= UV_WRITABLE;
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
    // EPOLLERR without readable data: libuv reports EBADF for it. The reading below finds the true
    // error.
    events = UV_READABLE;
  }
  if ((events & UV_WRITABLE) != 0) stream->OnSocketWritable();
  if (!stream->closed_ && (events & UV_READABLE) != 0) stream->OnReadable();
  if (status < 0) stream->UpdatePoll();
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
  if (!reading_ || ended_) return;
  std::span<uint8_t> buffer = loop_->read_buffer();
  ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
  if (n > 0) {
    bytes_in_ += static_cast<uint64_t>(n);
    Deliver(buffer.first(static_cast<size_t>(n)));
    return;
  }
  if (n == 0) {
    End({StreamEnd::Kind::kPeerClosed, 0, {}});
  } else if (errno != EAGAIN && errno != EINTR) {
    End({StreamEnd::Kind::kSocketError, errno, {}});
  }
}

void Stream::Deliver(std::span<uint8_t> bytes) {
  if (bottom_ == nullptr) {
    handler_->OnBytes(bytes);
    return;
  }
  FilterStage stage(this, bottom_.get());
  if (!bottom_->Decode(bytes, &stage)) {
    End({StreamEnd::Kind::kFilterError, 0, bottom_->error()});
  }
}

void Stream::OnSocketWritable() {
  if (pending() > 0) {
    ssize_t n = send(fd_, pending_.data() + pending_begin_, pending(), MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EAGAIN || errno == EINTR) return;
      End({StreamEnd::Kind::kSocketError, errno, {}});
      return;
    }
    bytes_out_ += static_cast<uint64_t>(n);
    pending_begin_ += static_cast<size_t>(n);
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
  if (closed_ || ended_ || bytes.empty()) return;
  if (bottom_ == nullptr) {
    WriteToSocket(bytes);
    return;
  }
  StreamFilter* filter = top_ != nullptr ? top_.get() : bottom_.get();
  FilterStage stage(this, filter);
  // A filter that fails to encode has failed for good; its next Decode or the peer's silence ends
  // the stream.
  (void)filter->Encode(bytes, &stage);
}

void Stream::WriteToSocket(std::span<const uint8_t> bytes) {
  if (pending() == 0 && !connecting_) {
    ssize_t n = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0) {
      // A broken socket is told by the next read, which says why; what was to be written is lost
      // either way.
      if (errno != EAGAIN && errno != EINTR) return;
      n = 0;
    }
    bytes_out_ += static_cast<uint64_t>(n);
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
  UpdatePoll();
}

bool Stream::PushFilter(std::unique_ptr<StreamFilter> filter) {
  StreamFilter* added = filter.get();
  (bottom_ == nullptr ? bottom_ : top_) = std::move(filter);
  FilterStage stage(this, added);
  return added->Start(&stage);
}

void Stream::AbortOnClose() { abort_on_close_ = true; }

void Stream::FlushThenClose(StreamPtr self, uint64_t limit_ms) {
  if (closed_ || ended_ || pending() == 0) return;  // dropping `self` closes
  auto* flusher = new FlushHandler(std::move(self));
  handler_ = flusher;
  high_ = 0;
  low_ = 0;
  was_above_high_ = true;
  reading_ = false;
  UpdatePoll();
  flush_timer_ = std::make_unique<Timer>(loop_, [flusher] { delete flusher; });
  flush_timer_->Start(limit_ms);
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
  if (bottom_ != nullptr && !ended_ && !abort_on_close_) {
    FilterStage stage(this, bottom_.get());
    bottom_->Finish(&stage);
  }
  closed_ = true;
  flush_timer_.reset();
  uv_poll_stop(&poll_);
  if (abort_on_close_) {
    linger reset{.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  close(fd_);
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_),
           [](uv_handle_t* handle) { delete static_cast<Stream*>(handle->data); });
}

}  // namespace bulkhead::io
