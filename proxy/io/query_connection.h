// A connection of the router's own to a backend: logs in, runs a few statements at a time, and
// hands their rows back. For probes, and for what the control thread does on servers.
//
// Thread: the loop's. Lifetime: owned by its user, who may drop it at any time, also inside a
// callback.
// Limits: a captured answer is cut at session::LinkErrand::kCaptureLimit; one Run at a time.
// Errors: told once by OnEnd; afterwards it is of no use. An ERR of the server to a statement is an
// Answer.
#ifndef BULKHEAD_PROXY_IO_QUERY_CONNECTION_H_
#define BULKHEAD_PROXY_IO_QUERY_CONNECTION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/io/backend_connection.h"

namespace bulkhead::io {

class QueryConnection : public BackendConnectionOwner {
 public:
  struct Account {
    std::string user;
    std::string password;
  };
  struct Options {
    routing::Address address;
    routing::BackendTls tls_mode = routing::BackendTls::kPreferred;
    TlsContext::Ptr tls;
    Account account;
    uint64_t open_timeout_ms = 5000;
  };
  using Row = std::vector<std::optional<std::string>>;
  struct Answer {
    bool ok = false;
    uint16_t error_code = 0;
    std::string message;
    std::vector<Row> rows;
    bool complete = true;  // false: more rows came than are kept
  };
  // How far it is.
  enum class Stage : uint8_t { kConnect, kGreeting, kLogin, kReady, kEnded };

  struct Events {
    std::function<void()> on_open;
    std::function<void(std::vector<Answer>)> on_answers;
    std::function<void(const BackendConnection::Failure&, const std::string& why)> on_end;
  };

  QueryConnection(EventLoop* loop, Events events);
  ~QueryConnection() override;

  void Open(const Options& options);
  // After on_open, and after the answers of the last Run. "" is COM_PING.
  void Run(const std::vector<std::string>& statements);
  // COM_QUIT and close, or (abort) a reset; no event follows.
  void Close(bool abort = false);

  [[nodiscard]] Stage stage() const;
  [[nodiscard]] bool ready() const { return stage() == Stage::kReady && !running_; }
  [[nodiscard]] session::ServerFamily family() const { return connection_->family; }
  [[nodiscard]] uint32_t server_version() const { return connection_->server_version; }
  [[nodiscard]] uint32_t thread_id() const { return connection_->thread_id; }
  // Whether the peer's kernel has acknowledged everything sent; empty: can't be told.
  [[nodiscard]] std::optional<bool> Acknowledged() const;

 private:
  void OnConnectionReady(BackendConnection* connection) override;
  void OnConnectionFailed(BackendConnection* connection, const std::string& why) override;
  void OnConnectionLost(BackendConnection* connection, bool known_dead) override;
  void OnErrandDone(BackendConnection* connection, bool ok) override;
  void End(const std::string& why);

  EventLoop* const loop_;
  Events events_;
  std::shared_ptr<BackendConnection> connection_;
  bool running_ = false;
  bool ended_ = false;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_QUERY_CONNECTION_H_
