// One connected socket of a loop, TCP or Unix, with optional filters (TLS, compression) between it
// and its handler.
//
// Purpose: bytes in and out with few system calls: one read per readiness into the loop's shared
// buffer, a write at once
//   where the socket takes it, a copy only of what it does not take. Hides the engine from all
//   users.
// Thread: the loop's.
// Units: bytes.
// Limits: pending output is not bounded here; the user watches pending() against its own watermarks
// and stops what feeds it. Errors: told once by OnEnd; after it, or after Close, the handler is
// never called again. Lifetime: a StreamPtr may be dropped at any time, also inside the handler's
// callbacks; memory goes in libuv's close callback.
#ifndef BULKHEAD_PROXY_IO_STREAM_H_
#define BULKHEAD_PROXY_IO_STREAM_H_

#include <uv.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "metrics/worker_metrics.h"
#include "proxy/io/event_loop.h"

namespace bulkhead::io {

class Stream;

// Why a stream ended.
struct StreamEnd {
  enum class Kind : uint8_t { kPeerClosed, kSocketError, kFilterError, kConnectFailed };
  Kind kind;
  int error = 0;       // errno of kSocketError and kConnectFailed; the filter's error_code()
  std::string detail;  // of kFilterError: what TLS or the decompressor said
};

// Receives what happens on a stream.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // A connect asked for has succeeded.
  virtual void OnConnected() {}
  // Plain bytes; the span is the handler's to change and valid during the call only.
  virtual void OnBytes(std::span<uint8_t> bytes) = 0;
  // Pending output has fallen to the low watermark after it was above the high one.
  virtual void OnWritable() = 0;
  // A filter could make nothing of what came; what is sent now still goes out. True: the handler
  // has closed the stream. False: OnEnd follows.
  [[nodiscard]] virtual bool OnUnreadable(const StreamEnd& /*end*/) { return false; }
  // The peer closed or something failed.
  virtual void OnEnd(const StreamEnd& end) = 0;
};

// Where a filter puts what it made.
class FilterSink {
 public:
  virtual ~FilterSink() = default;
  virtual void Up(std::span<uint8_t> plain) = 0;            // towards the handler
  virtual void Down(std::span<const uint8_t> encoded) = 0;  // towards the socket
  // The handler does not read now. A filter whose output may be much longer than its input keeps
  // the rest of the input then.
  [[nodiscard]] virtual bool paused() const = 0;
};

// A transformation between handler and socket. Up may re-enter Encode (the handler answers) and may
// close the stream; the filter itself lives as long as the stream's memory.
class StreamFilter {
 public:
  virtual ~StreamFilter() = default;
  // Called once when the filter is put in place (a TLS client says its hello here). False: failed,
  // see error().
  [[nodiscard]] virtual bool Start(FilterSink* /*sink*/) { return true; }
  [[nodiscard]] virtual bool Decode(std::span<uint8_t> bytes, FilterSink* sink) = 0;
  [[nodiscard]] virtual bool Encode(std::span<const uint8_t> bytes, FilterSink* sink) = 0;
  // Decode has kept input because the sink was paused. The stream does not read meanwhile.
  [[nodiscard]] virtual bool holds_input() const { return false; }
  // The handler reads again: goes on with what is kept.
  [[nodiscard]] virtual bool Continue(FilterSink* /*sink*/) { return true; }
  // The stream is about to be closed in order: a TLS close_notify goes here.
  virtual void Finish(FilterSink* /*sink*/) {}
  [[nodiscard]] virtual std::string error() const = 0;
  // Of the server protocol, for error(); 0: there is none.
  [[nodiscard]] virtual uint16_t error_code() const { return 0; }
};

struct StreamDeleter {
  void operator()(Stream* stream) const;
};
using StreamPtr = std::unique_ptr<Stream, StreamDeleter>;

class Stream {
 public:
  // Takes over a connected, non-blocking socket. Reading starts at once.
  [[nodiscard]] static StreamPtr Adopt(EventLoop* loop, int fd, StreamHandler* handler);
  // Starts to connect to a socket address (sockaddr_in, sockaddr_in6 or sockaddr_un). OnConnected
  // or OnEnd follows; nullptr and *error where not even a socket could be made.
  [[nodiscard]] static StreamPtr Connect(EventLoop* loop, const sockaddr* address, socklen_t length,
                                         StreamHandler* handler, int* error);

  // Sends, or keeps what the socket does not take now. Never calls the handler: a socket or filter
  // that fails here ends the stream from the loop.
  void Write(std::span<const uint8_t> bytes);
  // Output that has not reached the kernel.
  [[nodiscard]] size_t pending() const { return pending_.size() - pending_begin_; }

  // Both are cheap enough for every statement: the kernel is asked to be silent only when something
  // arrives meanwhile. What TLS had in hand when reading was paused (128 KiB at most) still comes
  // up. A peer that closes is not noticed while paused, unless something is being written.
  void PauseReading();
  void ResumeReading();
  [[nodiscard]] bool reading() const { return reading_; }

  // Puts a filter nearest to the handler: TLS first, compression after it. False: failed at once
  // (see its error()). At most two.
  [[nodiscard]] bool PushFilter(std::unique_ptr<StreamFilter> filter);
  // Gives bytes that the handler got before it pushed the last filter to that filter: they were
  // meant for it. Calls the handler; the stream may be gone afterwards.
  void Reinject(std::span<uint8_t> bytes);
  [[nodiscard]] StreamFilter* bottom_filter() const { return bottom_.get(); }

  void set_handler(StreamHandler* handler) { handler_ = handler; }
  void set_watermarks(size_t low, size_t high) { low_ = low, high_ = high; }
  [[nodiscard]] bool above_high_watermark() const { return pending() > high_; }

  // The next drop of the pointer resets the connection (SO_LINGER 0): what the kernel still holds
  // is not delivered.
  void AbortOnClose();
  // The same, and true where the last byte written can't have reached the peer and never will: it
  // is in this process, or in the kernel and provably stuck there. The caller drops the pointer
  // before the loop goes on. See docs/decisions/provably-not-delivered.md.
  [[nodiscard]] bool AbortUndelivered();
  // Drops the stream once pending output has reached the kernel; where the peer has sent more than
  // was read, also waits for the peer to close, since closing over unread bytes resets the
  // connection and may take the last answer with it. At most `limit_ms` in all. The handler is not
  // called any more.
  void FlushThenClose(StreamPtr self, uint64_t limit_ms);

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] EventLoop* loop() const { return loop_; }

  // Bytes that crossed the socket since the stream began.
  // On the wire, added up in *bytes as well, which outlives the stream.
  void CountInto(metrics::ByDirection<metrics::Counter>* bytes) { bytes_ = bytes; }
  [[nodiscard]] uint64_t bytes_in() const { return bytes_in_; }
  [[nodiscard]] uint64_t bytes_out() const { return bytes_out_; }

 private:
  friend struct StreamDeleter;
  struct FilterStage;
  class Flusher;

  Stream(EventLoop* loop, int fd, StreamHandler* handler);
  ~Stream() = default;
  void Close();
  static void OnPoll(uv_poll_t* handle, int status, int events);
  void OnReadable();
  void OnSocketWritable();
  void OnErrorWhilePaused();
  void FinishConnect();
  void UpdatePoll();
  void WriteToSocket(std::span<const uint8_t> bytes);
  void OnSendError(int error);
  void OnEncodeError(StreamFilter* filter);
  void OnDecodeError(const StreamFilter& filter);
  void Deliver(StreamFilter* filter, std::span<uint8_t> bytes);
  void FinishFilters();
  void StartDraining();
  void ContinueFilter();
  // The filter nearest to the handler, if any.
  [[nodiscard]] StreamFilter* top_filter() const {
    return top_ != nullptr ? top_.get() : bottom_.get();
  }
  [[nodiscard]] bool FilterHoldsInput() const;
  void End(StreamEnd end);

  uv_poll_t poll_;
  EventLoop* loop_;
  StreamHandler* handler_;
  int fd_;
  int polled_events_ = 0;
  bool reading_ = true;
  bool connecting_ = false;
  bool closed_ = false;
  bool ended_ = false;
  bool was_above_high_ = false;
  bool abort_on_close_ = false;
  bool unread_waits_ = false;  // something arrived while reading was paused
  bool finished_ = false;      // the filters have said goodbye
  bool draining_ = false;      // what arrives is thrown away
  int write_error_ = 0;        // errno: nothing can be sent any more
  size_t low_ = 64 * 1024;
  size_t high_ = 256 * 1024;
  std::vector<uint8_t> pending_;
  size_t pending_begin_ = 0;
  metrics::ByDirection<metrics::Counter>* bytes_ = nullptr;
  uint64_t bytes_in_ = 0;
  uint64_t bytes_out_ = 0;
  std::unique_ptr<StreamFilter> bottom_;   // nearest to the socket
  std::unique_ptr<StreamFilter> top_;      // nearest to the handler, where there are two
  StreamFilter* failed_filter_ = nullptr;  // the one that could not encode
  std::unique_ptr<Timer> flush_timer_;
  std::unique_ptr<Timer> continue_timer_;  // made when a filter keeps input for the first time
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_STREAM_H_
