// The control account's connection to one backend: blocking libmysqlclient, on a thread of its own.
//
// Purpose: runs the steps of a change of primary, one piece of work at a time, and keeps the time
// limits of routing::PrimaryChange although the library waits in whole seconds and a frozen server
// for ever: a second descriptor of the socket is kept, and at a statement's limit it is shut down
// (shutdown(2) is the socket's, not the descriptor's), so that the blocked call returns.
// Threads: everything here is for one owner thread (the control loop's). `work` runs on the
// client's thread, `done` goes through the poster. Tick often: limits are as exact as that.
// Lifetime: a client that goes away cuts its connection, waits for nothing and posts nothing any
// more; its thread is left to ClientThreads, which joins it, or lets go of one that is stuck in the
// library (a name that is not resolved).
//
// WHAT WAS LOST HAS ENDED. The connection holds a named lock (GET_LOCK, server-wide, needs no
// privilege, released when the connection's thread has ended: MySQL manual "Locking Functions",
// MariaDB "GET_LOCK") whose name has this router's id. A new connection takes it before anything
// else, and KILLs whoever has it until it is free: an earlier connection of this router, also of an
// earlier process, whose last statement may still run, or wait in the socket of a frozen server. So
// what is sent next comes after that has ended, or is not sent (kError).
//
// Limits: connecting takes whole seconds, at least one (MYSQL_OPT_CONNECT_TIMEOUT; it covers the
// server's greeting: seen with a stopped server). One piece of work at a time.
// Compiles against MariaDB Connector/C 3.3 (Debian's) and Oracle's libmysqlclient 8 and 9.
#ifndef BULKHEAD_PROXY_CONTROL_CONTROL_CLIENT_H_
#define BULKHEAD_PROXY_CONTROL_CONTROL_CLIENT_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "proxy/config/options.h"
#include "proxy/control/sql_session.h"
#include "routing/topology.h"

namespace bulkhead::control {

// Threads whose client is gone, until they have ended.
class ClientThreads {
 public:
  static constexpr size_t kMostLeft = 32;  // with more than that nothing new is begun
  static constexpr routing::Duration kJoinLimit = std::chrono::seconds(5);

  // Joins what ends within kJoinLimit; lets go of the rest.
  ~ClientThreads();
  void Leave(std::thread thread, std::shared_ptr<const std::atomic<bool>> ended);
  // Those that have not ended.
  [[nodiscard]] size_t left();

 private:
  struct Left {
    std::thread thread;
    std::shared_ptr<const std::atomic<bool>> ended;
  };
  void JoinEnded();
  std::vector<Left> left_;
};

class ControlClient {
 public:
  struct Options {
    routing::Address address{};
    routing::BackendTls tls_mode = routing::BackendTls::kPreferred;
    config::BackendTlsOptions tls{};  // certificates
    std::string user{};
    std::string password{};
    std::string lock{};  // its name; letters, digits and dots
    routing::Duration connect_limit = std::chrono::seconds(2);
  };
  using Work = std::function<void(SqlSession*)>;
  using Poster = std::function<void(std::function<void()>)>;

  // `threads` outlives this.
  ControlClient(Options options, Poster post, ClientThreads* threads);
  ~ControlClient();
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;

  // Not while busy. Each `done` comes once, unless this is gone by then.
  void Start(Work work, std::function<void()> done);
  // A piece of work runs, or has run and its `done` was not posted yet.
  [[nodiscard]] bool busy() const;
  // Its statement under way gets no answer any more, and no further one of it is sent.
  void Cut();
  // Cuts a statement that is over its limit.
  void Tick();

 private:
  struct Shared;
  class Session;
  static void Serve(const std::shared_ptr<Shared>& shared, const Options& options);

  const std::shared_ptr<Shared> shared_;
  ClientThreads* const threads_;
  std::thread thread_;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_CONTROL_CLIENT_H_
