// The process that this one took over from, while it drains: as good as one more worker.
//
// Purpose: everything that workers here are told of topology and gates is told to it too, in the
// same order; what is asked of the workers (what still runs, KILL) is asked of it. Its sessions so
// go by this process's decisions, and a change that it does not confirm is refused here.
// Thread: the control loop's. Units: the loop's clock.
// Limits: an answer within kAnswerWithin. Errors: a process that does not answer is told from one
// that has ended: of the latter nothing is left, of the former everything may still run.
#ifndef BULKHEAD_PROXY_CONTROL_PREDECESSOR_H_
#define BULKHEAD_PROXY_CONTROL_PREDECESSOR_H_

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "proxy/control/handover_link.h"
#include "proxy/control/topology_store.h"
#include "proxy/io/busy_count.h"
#include "proxy/io/kill_scope.h"
#include "routing/mono_time.h"
#include "routing/shard_gate.h"
#include "routing/topology.h"

namespace bulkhead::control {

class Predecessor {
 public:
  static constexpr routing::Duration kAnswerWithin = std::chrono::seconds(2);
  // It tells its sessions four times a second.
  static constexpr routing::Duration kSilent = std::chrono::seconds(4);

  struct Setup {
    io::EventLoop* loop = nullptr;
    int fd = -1;
    pid_t pid = 0;
    std::function<void()> following;  // it goes by this process now
    std::function<void()> gone;       // it has ended; never inside a call of the owner's
  };
  explicit Predecessor(Setup setup);

  [[nodiscard]] bool gone() const { return !link_.open(); }
  [[nodiscard]] pid_t pid() const { return setup_.pid; }
  // Of it and of those before it.
  [[nodiscard]] uint64_t sessions() const { return sessions_; }
  [[nodiscard]] const std::set<uint32_t>& numbers() const { return numbers_; }
  // Why nothing may be changed now; "": it follows, or has ended.
  [[nodiscard]] std::string Trouble(routing::MonoTime now) const;
  void Tick(routing::MonoTime now);

  // Repeats are not sent. Names instead of ids, which are each process's own.
  void TellOrder(bool tenant, const std::string& name, const routing::GateOrder& order);
  // Every order that there is has been told.
  void TellSynced();
  void TellMark(const std::string& backend, int mark);
  void TellReadOnly(const std::string& backend, bool expected);
  // These answer also when it has ended, or does not answer.
  void Publish(const std::vector<StoreEdit>& edits, std::function<void()> done);
  struct BusyQuestion {
    std::string backend{}, shard{}, tenant{};
  };
  void CountBusy(const BusyQuestion& question, std::function<void(const io::BusyCount&)> done);
  void GiveUp(const std::string& backend, std::function<void()> done);
  // user: only a session of this one; absent: an operator asks.
  void Kill(uint64_t id, bool query_only, const std::optional<io::KillScope>& scope,
            std::function<void(bool found)> done);

 private:
  enum class Answered : uint8_t { kYes, kGone, kSilent };
  using OnAnswer = std::function<void(Answered, const nlohmann::json&)>;
  struct Asked {
    routing::MonoTime by{};
    OnAnswer done;
  };
  void Ask(nlohmann::json message, OnAnswer done);
  void OnMessage(const nlohmann::json& message);
  void OnEnd();

  const Setup setup_;
  uint64_t last_id_ = 0;
  std::map<uint64_t, Asked> asked_;
  std::map<std::pair<bool, std::string>, nlohmann::json> orders_;  // as last told
  routing::MonoTime heard_;
  bool following_ = false;
  uint64_t sessions_ = 0;
  std::set<uint32_t> numbers_;
  HandoverLink link_;  // last: it may call
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_PREDECESSOR_H_
