// A simulated MySQL server: a kernel that takes bytes whatever happens, and a process that reads
// commands, executes them after a while, and may be frozen, killed, slow, or drip.
//
// It keeps what a real one would keep: the rows that were committed, each with the moment, the
// connection and the count. A statement that was read runs to its end even if its client is gone.
// A restart rolls back what was open and gives connection ids anew from the beginning.
// Sources: the protocol pages that proxy/wire names; MySQL manual "KILL Statement" (checked at
// certain points of the statement; the session is rolled back). Owner: one simulation.
#ifndef BULKHEAD_TESTS_SIM_SERVER_H_
#define BULKHEAD_TESTS_SIM_SERVER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/wire/capabilities.h"
#include "tests/sim/network.h"
#include "tests/sim/trace.h"

namespace bulkhead::sim {

// One execution of one write that was committed.
struct Row {
  uint64_t id = 0;
  Ns executed = 0;  // when the INSERT ran
  Ns committed = 0;
  uint32_t thread = 0;
};

// What the checkers want to know of a server, as it happens.
class ServerWatcher {
 public:
  virtual ~ServerWatcher() = default;
  virtual void OnExecuted(size_t server, uint64_t id, uint64_t connection) = 0;
  virtual void OnCommitted(size_t server, const Row& row, uint64_t connection) = 0;
  virtual void OnKilled(size_t server, uint32_t thread, uint64_t connection) = 0;
};

class Server {
 public:
  // The sim's own way to log in and to greet; see docs in server.cc.
  static constexpr uint8_t kGreeting = 0x0A;
  static constexpr uint8_t kLogin = 0xF0;

  Server(size_t index, Scheduler* scheduler, Trace* trace, ServerWatcher* watcher, Random random);
  ~Server();

  std::shared_ptr<TcpUser> Accept(std::shared_ptr<Tcp> connection);

  // Faults.
  void Freeze();
  void Thaw();
  void Crash();
  void Start();
  void SetSlowness(uint32_t factor) { slowness_ = factor; }
  void SetDrip(bool drip);
  void SetCommitsHang(bool hang);

  Link link;
  [[nodiscard]] bool frozen() const { return frozen_; }
  [[nodiscard]] bool alive() const { return alive_; }
  [[nodiscard]] const std::vector<Row>& rows() const { return rows_; }
  [[nodiscard]] int64_t started_at_s() const { return started_at_s_; }
  [[nodiscard]] size_t index() const { return index_; }
  // Commands under way: 0 when it is quiet.
  [[nodiscard]] size_t busy() const;
  [[nodiscard]] std::string Name() const { return "server " + std::to_string(index_); }

 private:
  struct Thread;
  struct Socket;
  void Wake(uint32_t thread);     // something can be read
  void Process(uint32_t thread);  // takes the next command
  void Complete(uint32_t thread);
  [[nodiscard]] Ns CostOf(const Thread& thread);
  [[nodiscard]] bool Commits(const Thread& thread) const;
  void Execute(Thread* thread);
  void OnQuery(Thread* thread, std::string_view sql);
  void OnPrepare(Thread* thread, std::string_view sql);
  void OnExecutePrepared(Thread* thread, const Bytes& command);
  void RouterQuery(Thread* thread, std::string_view sql);
  void Insert(Thread* thread, uint64_t id);
  void Commit(Thread* thread);
  void End(uint32_t thread, bool abort);
  void Ok(Thread* thread, uint64_t affected);
  void Error(Thread* thread, uint16_t code, std::string_view message);
  void Rows(Thread* thread, std::string_view column, const std::vector<std::string>& cells);
  void Answer(Thread* thread, const Bytes& bytes);
  void Drip(uint32_t thread);
  [[nodiscard]] Thread* Find(uint32_t thread);

  const size_t index_;
  Scheduler* const scheduler_;
  Trace* const trace_;
  ServerWatcher* const watcher_;
  Random random_;
  bool alive_ = true;
  bool frozen_ = false;
  bool drip_ = false;
  bool commits_hang_ = false;
  uint32_t slowness_ = 1;
  int64_t started_at_s_ = 1'700'000'000;
  uint32_t last_thread_ = 0;
  uint64_t incarnation_ = 0;  // void what belongs to an earlier one
  uint64_t canary_ = 0;
  std::map<uint32_t, std::unique_ptr<Thread>> threads_;
  std::vector<Row> rows_;
};

// What a simulated server agrees to on every connection; one of two, by the server's number.
[[nodiscard]] wire::Capabilities CapabilitiesOf(size_t server);

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_SERVER_H_
