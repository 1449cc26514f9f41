// Looks at a server that answers again: is it the same one, and are the abandoned connections gone?
//
// Purpose: two questions of the health machine that take SQL: CheckIdentity and KillAbandoned. Each
// on a connection of its own that is opened when it is asked for and closed after the answer.
// Thread: the control loop's. Units: milliseconds. Errors: what can't be read is not known
// (IdentityFacts::known, AbandonedReport::checkable), never guessed.
// Sources: KILL answers 1094 (no such thread) once a connection is gone, also to an account that
// may not see others' threads, and 1095 where it may not end it (MariaDB sql/sql_parse.cc
// kill_one_thread, MySQL the same; a thread leaves the list after its rollback: MariaDB unlink_thd
// after THD::cleanup, MySQL THD::release_resources before remove_thd). MariaDB has no server_uuid:
// server_id, host name, port and data directory stand for it.
#ifndef BULKHEAD_PROXY_CONTROL_SERVER_INSPECTOR_H_
#define BULKHEAD_PROXY_CONTROL_SERVER_INSPECTOR_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/io/query_connection.h"
#include "routing/health_types.h"

namespace bulkhead::control {

// What of `last` (positions of MariaDB: domain-server-sequence, separated by commas) is missing in
// `now`; empty: nothing.
[[nodiscard]] std::string MissingMariadbGtids(const std::string& last, const std::string& now);

// Whether a server is still the same process, by its uptime and the ids of its connections. Its
// uptime alone would not do: a machine that was paused comes back with its clock behind, and then
// nothing that it was doing has gone.
class ProcessMemory {
 public:
  // Seconds, as the server says. Between restarts it only grows, but for steps of its clock.
  void NoteUptime(int64_t uptime) { uptime_ = std::max(uptime_, uptime); }
  // Of a connection to it. They only grow as well.
  void NoteConnection(uint64_t id) { highest_id_ = std::max(highest_id_, id); }
  // `id`: of the connection on which this was asked. For IdentityFacts::started_at.
  int64_t StartedAt(int64_t uptime, uint64_t id, int64_t wall_seconds);

 private:
  int64_t started_at_ = 0;
  int64_t uptime_ = 0;
  uint64_t highest_id_ = 0;
};

class ServerInspector {
 public:
  using OnIdentity = std::function<void(const routing::IdentityFacts&)>;
  using OnAbandoned = std::function<void(const routing::AbandonedReport&)>;

  // `wall_seconds`: the time of day, for the server's start. `killer`: how to log in for KILL.
  ServerInspector(io::EventLoop* loop, io::QueryConnection::Options inspector,
                  io::QueryConnection::Options killer, std::function<int64_t()> wall_seconds);
  ~ServerInspector();

  // One of each kind at a time: a second CheckIdentity takes the place of the first, a second
  // KillAbandoned is ignored while the first is under way.
  void CheckIdentity(const std::string& last_position, OnIdentity done);
  // Asks for the end of these connections; the report says how many are still there. `ids` loses
  // those that are gone.
  void KillAbandoned(std::vector<uint32_t>* ids, OnAbandoned done);
  [[nodiscard]] ProcessMemory& memory() { return memory_; }
  // For questions to come.
  void SetConnections(io::QueryConnection::Options inspector, io::QueryConnection::Options killer) {
    inspector_ = std::move(inspector);
    killer_ = std::move(killer);
  }

 private:
  struct Task;
  void Ask(Task* task);
  void TakeAnswers(Task* task, const std::vector<io::QueryConnection::Answer>& answers);
  void TakeKills(const std::vector<io::QueryConnection::Answer>& answers);
  void End(std::unique_ptr<Task>* task);
  std::unique_ptr<Task> NewTask(std::function<void(Task*)> on_open,
                                std::function<void(Task*)> on_failure);

  io::EventLoop* const loop_;
  io::QueryConnection::Options inspector_;
  io::QueryConnection::Options killer_;
  const std::function<int64_t()> wall_seconds_;
  std::unique_ptr<Task> identity_;
  std::unique_ptr<Task> kill_;
  std::string last_position_;
  ProcessMemory memory_;
  OnIdentity on_identity_;
  OnAbandoned on_abandoned_;
  std::vector<uint32_t>* ids_ = nullptr;
  std::vector<uint32_t> asked_;  // of them, by the task under way
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_SERVER_INSPECTOR_H_
