// The admin listener: a thread with a loop of its own, so that operators are answered while every
// backend hangs and every worker is busy.
//
// Purpose: accepts connections, finds them by id, hands SQL and passwords to query threads and
// commands to the control thread, and brings the answers back.
// Threads: Listen, Start, Stop and Join the server's; PublishOptions any; all else its own.
// Limits: options' `admin`: connections, of them not logged in, idle time; `clients`: time and size
// of a login; kWriteTimeout for a client that does not read.
// Errors: from Listen, in words. Stop order: after workers and control, whose answers come here.
#ifndef BULKHEAD_PROXY_ADMIN_ADMIN_SERVER_H_
#define BULKHEAD_PROXY_ADMIN_ADMIN_SERVER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "proxy/admin/admin_connection.h"
#include "proxy/admin/admin_users.h"
#include "proxy/admin/query_threads.h"
#include "proxy/admin/sql_work.h"
#include "proxy/auth/rsa_key.h"
#include "proxy/config/options.h"
#include "proxy/control/operator_commands.h"
#include "proxy/io/event_loop.h"
#include "proxy/io/listener.h"
#include "proxy/io/tls_context.h"

namespace bulkhead::admin {

struct AdminSetup {
  std::shared_ptr<const config::Options> options;  // with an admin listener
  io::TlsContext::Ptr tls;                         // may be null
  std::shared_ptr<const auth::RsaKeyPair> rsa;
  std::string version;  // of the router
  // Both outlive this.
  control::OperatorDesk* desk = nullptr;
  StateSource* source = nullptr;
  std::optional<io::GivenListener> socket{};  // one that is there already
};

// What VERSION() says, and the greeting with "5.5.5-" in front: clients of both families know what
// to expect of a MariaDB 10.11.
[[nodiscard]] std::string AdminVersion(const std::string& router_version);

class AdminServer {
 public:
  static constexpr std::chrono::seconds kWriteTimeout{60};

  explicit AdminServer(AdminSetup setup);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  // "" or what is wrong.
  [[nodiscard]] std::string Listen();
  [[nodiscard]] uint16_t port() const;  // after Listen; 0: a Unix socket
  // After Listen, until Stop: to be given to another process.
  [[nodiscard]] int socket() const { return listener_->fd(); }
  [[nodiscard]] bool keeps_file() const { return listener_->keeps_file(); }
  void Start();
  // Another process accepts from the same socket.
  void KeepFile();
  void Stop();
  void Join();
  // For logins from now on.
  void PublishOptions(std::shared_ptr<const config::Options> options, io::TlsContext::Ptr tls);

  // --- for connections ---
  [[nodiscard]] io::EventLoop* loop() { return &loop_; }
  [[nodiscard]] const config::Options& options() const { return *setup_.options; }
  [[nodiscard]] const std::shared_ptr<const AdminUsers>& users() const { return users_; }
  [[nodiscard]] const std::shared_ptr<const session::ClientHandshakeOptions>& handshake() const {
    return handshake_;
  }
  [[nodiscard]] const io::TlsContext::Ptr& tls() const { return setup_.tls; }
  [[nodiscard]] static auth::ExchangeNonces MakeNonces();
  [[nodiscard]] std::shared_ptr<SqlRunner> MakeRunner(const AdminLogin& login);
  void RunPasswordJob(uint32_t id, const std::string& host, const auth::PasswordJob& job);
  void RunWork(uint32_t id, const std::string& caller, std::shared_ptr<SqlRunner> runner,
               std::shared_ptr<SqlWork> work);
  // The ticket.
  [[nodiscard]] uint64_t Submit(uint32_t id, control::OperatorCommand command, AuditRecord audit);
  void CancelSubmitted(uint64_t ticket);
  [[nodiscard]] AdminShell::KillAnswer Kill(const AdminLogin& by, uint64_t id, bool query_only);
  [[nodiscard]] std::string Statistics();
  // Takes the connection out of use; its memory goes with the next turn of the loop.
  void Retire(AdminConnection* connection);

 private:
  void OnAccept(int fd, const io::SocketAddress& peer);
  [[nodiscard]] uint32_t NextId();
  // Makes a place where there is none; false: it can't.
  [[nodiscard]] bool MakeRoom();
  void MakeHandshake();
  void OnTick();
  // Does nothing where the connection is gone.
  void Tell(uint32_t id, std::function<void(AdminConnection*)> message);

  AdminSetup setup_;
  const auth::Secret decoy_key_;
  std::shared_ptr<const AdminUsers> users_;
  std::shared_ptr<const session::ClientHandshakeOptions> handshake_;
  io::EventLoop loop_;
  std::thread thread_;
  std::unique_ptr<io::Listener> listener_;
  std::unique_ptr<io::Timer> tick_;
  ResultBudget budget_;
  std::map<uint32_t, std::unique_ptr<AdminConnection>> connections_;
  uint32_t last_id_ = 0;
  uint64_t started_ns_ = 0;
  uint64_t statements_ = 0;
  std::unique_ptr<QueryThreads> threads_;  // ended before what their jobs use
};

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_ADMIN_SERVER_H_
