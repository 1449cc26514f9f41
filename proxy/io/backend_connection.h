// One connection to a backend: resolve, connect, log in, then serve whoever the pool lends it to.
//
// Purpose: the shell around session::BackendLink (what is known of the connection),
// session::BackendHandshake (the login)
//   and Stream (the bytes).
// Thread: the worker's. Lifetime: owned by the pool, which closes it before it drops it.
// Errors: told once to the owner by OnConnectionFailed or OnConnectionLost.
#ifndef BULKHEAD_PROXY_IO_BACKEND_CONNECTION_H_
#define BULKHEAD_PROXY_IO_BACKEND_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "proxy/io/link_user.h"
#include "proxy/io/resolver.h"
#include "proxy/io/stream.h"
#include "proxy/io/tls_context.h"
#include "proxy/session/backend_handshake.h"
#include "proxy/session/backend_link.h"
#include "proxy/session/link_errand.h"
#include "routing/pool_policy.h"
#include "routing/topology.h"

namespace bulkhead::io {

class BackendConnection;

class BackendConnectionOwner {
 public:
  virtual ~BackendConnectionOwner() = default;
  virtual void OnConnectionReady(BackendConnection* connection) = 0;
  // Before it was ready.
  virtual void OnConnectionFailed(BackendConnection* connection, const std::string& why) = 0;
  // After it was ready. `known_dead`: the peer closed or reset it.
  virtual void OnConnectionLost(BackendConnection* connection, bool known_dead) = 0;
  virtual void OnErrandDone(BackendConnection* connection, bool ok) = 0;
};

class BackendConnection : public session::BackendLink, public StreamHandler {
 public:
  struct Options {
    routing::Address address;
    session::BackendLogin login;
    TlsContext::Ptr tls;
    uint64_t timeout_ms = 5000;  // resolving, connecting and logging in, all together
    int zlib_level = 6;
  };

  BackendConnection(EventLoop* loop, BackendConnectionOwner* owner);
  ~BackendConnection() override;

  // OnConnectionReady or OnConnectionFailed follows, never from within this call.
  void Open(Options options);
  // Runs the router's own commands; OnErrandDone follows.
  void RunErrand(std::unique_ptr<session::LinkErrand> errand);
  [[nodiscard]] std::unique_ptr<session::LinkErrand> TakeErrand() { return std::move(errand_); }
  // Ends it without a word to the owner: in order, or (abort) with a reset.
  void Close(bool abort);

  void Send(std::span<const uint8_t> bytes) override;
  void PauseReading();
  void ResumeReading();
  [[nodiscard]] bool output_above_high() const {
    return stream_ != nullptr && stream_->above_high_watermark();
  }
  // False: the peer has closed it although nobody was told yet. One system call.
  [[nodiscard]] bool LooksAlive() const;
  [[nodiscard]] bool ready() const { return phase_ == Phase::Ready; }
  // How to log in with the same account again, for KILL.
  [[nodiscard]] const Options& options() const { return options_; }

  // The pool's.
  routing::PoolConnection id = 0;
  LinkUser* user = nullptr;       // of kKept and kLent
  LinkUser* next_user = nullptr;  // gets it when it is open, or when the errand is done
  void* pool = nullptr;           // of its backend
  routing::PoolUser pool_user = 0;
  uint64_t idle_since_ns = 0;
  uint32_t kills_under_way = 0;               // not lent while above 0
  std::optional<routing::Returned> returned;  // given back while a KILL was under way

 private:
  enum class Phase : uint8_t { New, Resolving, Connecting, LoggingIn, Ready, Closed };

  void OnConnected() override;
  void OnBytes(std::span<uint8_t> bytes) override;
  void OnWritable() override;
  void OnEnd(const StreamEnd& end) override;
  void OnAddresses(Resolution::Result result);
  void TryNextAddress();
  void OnLoginBytes(std::span<uint8_t> bytes);
  // False: the login is over, one way or the other.
  [[nodiscard]] bool OnLoginAction(session::BackendHandshake::Action action,
                                   std::span<const uint8_t> output);
  void FinishLogin();
  void FailLater(std::string why);
  void Fail(const std::string& why);

  EventLoop* const loop_;
  BackendConnectionOwner* const owner_;
  Options options_;
  Phase phase_ = Phase::New;
  StreamPtr stream_;
  std::vector<SocketAddress> addresses_;
  size_t next_address_ = 0;
  std::string last_error_;
  std::unique_ptr<session::BackendHandshake> handshake_;
  std::vector<uint8_t> input_;  // of the login: packets not whole yet
  std::unique_ptr<Timer> deadline_;
  std::unique_ptr<Timer> soon_;
  std::unique_ptr<Resolution> resolving_;
  std::unique_ptr<session::LinkErrand> errand_;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_BACKEND_CONNECTION_H_
