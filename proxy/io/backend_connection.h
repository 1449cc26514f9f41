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

#include "proxy/io/backend_activity.h"
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
    int keepalive_s = 60;
    BackendActivity* activity = nullptr;  // the worker's cell for this backend; lives as long
  };
  // Why it failed before it was ready, for who must act on it.
  struct Failure {
    enum class Kind : uint8_t {
      kNone,
      kName,         // the name was not resolved
      kRefused,      // nothing listens
      kUnreachable,  // host or network, or any other error of the socket
      kReset,        // reset or closed in mid-login
      kNoConnect,    // timed out before the connection was there
      kNoGreeting,   // connected, timed out before the server said anything
      kNoLogin,      // greeted, timed out in mid-login
      kServer,       // the server refused: server_code
      kProtocol,     // not MySQL, TLS trouble, ...
    };
    Kind kind = Kind::kNone;
    uint16_t server_code = 0;
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
  void BeginExchange(bool may_write) override;
  void EndExchange(bool committed) override;
  void NoteReadOnly() override;
  [[nodiscard]] bool HasUnsent() const override {
    return stream_ != nullptr && stream_->pending() > 0;
  }
  [[nodiscard]] bool in_exchange() const { return in_exchange_; }
  [[nodiscard]] bool may_write() const { return in_exchange_ && may_write_; }
  // Resets the connection at once, without a word to the owner. True: the last byte of what was
  // sent has provably not reached the server (docs/decisions/provably-not-delivered.md).
  [[nodiscard]] bool AbortUndelivered();
  [[nodiscard]] const Failure& failure() const { return failure_; }
  void PauseReading();
  void ResumeReading();
  [[nodiscard]] bool output_above_high() const {
    return stream_ != nullptr && stream_->above_high_watermark();
  }
  // False: the peer has closed it although nobody was told yet. One system call.
  [[nodiscard]] bool LooksAlive() const;
  [[nodiscard]] bool ready() const { return phase_ == Phase::Ready; }
  // How far the login is.
  enum class Stage : uint8_t { kConnect, kGreeting, kLogin, kReady, kClosed };
  [[nodiscard]] Stage stage() const;
  // When something was last sent or received on it, on the loop's clock.
  [[nodiscard]] uint64_t heard_ns() const { return heard_ns_; }
  // Whether the peer's kernel has acknowledged all that was sent (TCP_INFO); empty: no TCP
  // connection.
  [[nodiscard]] std::optional<bool> Acknowledged() const;
  // How to log in with the same account again, for KILL.
  [[nodiscard]] const Options& options() const { return options_; }

  // The pool's.
  routing::PoolConnection id = 0;
  LinkUser* user = nullptr;       // of kKept and kLent
  LinkUser* next_user = nullptr;  // gets it when it is open, or when the errand is done
  void* pool = nullptr;           // of its backend
  routing::PoolUser pool_user = 0;
  uint64_t idle_since_ns = 0;
  metrics::ByDirection<metrics::Counter>* bytes = nullptr;  // of its backend
  bool account_refused = false;   // the login failed for what this account is, not for the backend
  uint64_t server_timeout_s = 0;  // as the policy knows it
  uint32_t kills_under_way = 0;   // not lent while above 0
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
  void OnDeadline();
  // Counts as awaiting an answer while the request is out and we are willing to read it.
  void NoteFailure(BackendActivity* activity) const;
  void UpdateDemand();

  EventLoop* const loop_;
  BackendConnectionOwner* const owner_;
  Options options_;
  Phase phase_ = Phase::New;
  uint64_t heard_ns_ = 0;
  bool in_exchange_ = false;
  bool may_write_ = false;
  bool in_demand_ = false;  // counted in the activity cell
  bool greeted_ = false;
  Failure failure_;
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
