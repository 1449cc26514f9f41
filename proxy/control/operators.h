// Operators: carries out what operators ask for, on the control thread.
//
// Purpose: checks a command against the topology of that moment, stores what is to last, publishes
// it and answers. What waits (DRAIN, ASSIGN, ...) is an operation: listed, cancellable, and put
// back when it can't be finished.
// Threads: Submit and CancelSubmitted any; all else the control loop's.
// Limits: kMostWaiting commands under way, more are refused.
// Errors: in the reply: 9420 what can't be done now, 9421 no such object, 9422 bad value,
// 9423 it was done but could not be stored.
#ifndef BULKHEAD_PROXY_CONTROL_OPERATORS_H_
#define BULKHEAD_PROXY_CONTROL_OPERATORS_H_

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "proxy/control/operator_commands.h"
#include "proxy/control/operator_world.h"
#include "routing/primary_change.h"

namespace bulkhead::control {

inline constexpr uint16_t kErrNotNow = 9420;
inline constexpr uint16_t kErrNoSuchObject = 9421;
inline constexpr uint16_t kErrBadValue = 9422;
inline constexpr uint16_t kErrNotStored = 9423;

// One submitted command; its reply is given exactly once.
struct AskedCommand {
  uint64_t ticket = 0;
  OperatorOrigin origin;
  OperatorDesk::Callbacks callbacks;
  bool cancelled = false;

  void Done(std::string message);
  void Fail(uint16_t code, std::string message);
  void Report(OperatorReply reply);
  void Progress(const std::string& words) const;
};
using AskedPtr = std::shared_ptr<AskedCommand>;

// Something that waits. Owned by Operators until it has ended.
class OperatorTask {
 public:
  virtual ~OperatorTask() = default;
  virtual void Tick(routing::MonoTime now) = 0;
  // Puts everything back and answers; at once or with a later Tick.
  virtual void Cancel() = 0;
  // Whoever asked has left, or the process ends: nobody has said that it shall be given up as it
  // is.
  virtual void CancelUnasked() { Cancel(); }
  // Why it can't be cancelled any more; empty: it can.
  [[nodiscard]] virtual std::string PastCancel() const { return {}; }
  // The process ends.
  virtual void Stop() { Cancel(); }
  [[nodiscard]] virtual bool ended() const = 0;
  [[nodiscard]] virtual uint64_t operation() const = 0;  // number in SHOW OPERATIONS
  // It can't go on without a person, and has said so.
  [[nodiscard]] virtual bool needs_person() const { return false; }
  // What becomes of this shard, backend or (TenantKey) tenant is its business until it has ended.
  [[nodiscard]] virtual bool Concerns(const std::string& name) const {
    (void)name;
    return false;
  }
};

// A tenant among the names that Concerns is asked for: shards' and backends' have no space.
[[nodiscard]] inline std::string TenantKey(const std::string& tenant) { return "tenant " + tenant; }

class Operators final : public OperatorDesk {
 public:
  static constexpr size_t kMostWaiting = 256;
  // What an operator has said of a backend.
  enum class BackendOrder : uint8_t { kNone, kDraining, kDrained, kDisabled };
  // Begins the stored state of a fenced backend; why follows.
  static constexpr std::string_view kFencedWord = "fenced ";
  // Begins what KeepHeld says of a shard.
  static constexpr std::string_view kFrozenWords = "is frozen";

  explicit Operators(OperatorWorld* world);
  ~Operators() override;

  // OperatorDesk
  uint64_t Submit(OperatorCommand command, OperatorOrigin origin, Callbacks callbacks) override;
  void CancelSubmitted(uint64_t ticket) override;

  void Tick(routing::MonoTime now);
  // The process is about to end: what waits is cancelled. Then Tick until idle, for a while.
  void CancelAll();
  // The store is about to belong to another process: no commands from now on, or again.
  // Why that can't be now: something is under way. "": nothing is.
  [[nodiscard]] std::string Busy() const;
  void Close(bool closed) { closed_ = closed; }
  // Another process decides: its orders for shards, by name, instead of this one's.
  void Follow(std::map<std::string, routing::GateOrder> shards);
  void FollowOrder(const std::string& shard, const routing::GateOrder& order);
  // What needs a person is not waited for.
  [[nodiscard]] bool idle() const { return tasks_.size() == stuck(); }
  // Operations that need a person.
  [[nodiscard]] size_t stuck() const;
  // At once.
  void Stop();

  // --- for tasks ---
  [[nodiscard]] OperatorWorld* world() { return world_; }
  void SetBackendOrder(const std::string& backend, BackendOrder order);
  [[nodiscard]] BackendOrder backend_order(const std::string& backend) const;
  using Edit = std::function<absl::Status(routing::TopologyBuilder*)>;
  // Changes the topology: one change at a time; shards whose data gets another home are held
  // meanwhile. `done` with the error that refused it, or once every worker goes by it.
  // `tenants`: whose directory entries it may touch.
  // `held`: everybody has confirmed that nothing goes to what moves, and reads the new topology
  // before a release: the change need not be confirmed by who does not answer now.
  void Change(Edit edit, std::vector<std::string> tenants,
              std::function<void(const absl::Status&)> done, bool held = false);
  // A change of primary holds shards, whatever operators have ordered for them.
  using ShardList = std::vector<const routing::Shard*>;
  void SetChangeOrder(const ShardList& shards, const routing::GateOrder& order);
  // Ends it, and what an earlier change has left by KeepHeld.
  void ReleaseChangeOrder(const ShardList& shards);
  // It ended without anybody knowing how: held until an operator releases them, also after a
  // restart.
  void KeepHeld(const ShardList& shards, const std::string& words);
  // An old primary, until MARK BACKEND ... UP, also after a restart.
  void FenceBackend(const std::string& backend, const std::string& why);
  // What was found there since.
  void NoteFenced(const std::string& backend, const std::string& words);
  // A promotion of this shard that some router has written down. One that is newer than what this
  // router knows closes the shard, until ALTER SHARD ... PRIMARY says what is right.
  void NoteEpoch(const std::string& shard, routing::Epoch epoch, const std::string& primary);
  // At least as high as any promotion that was seen.
  [[nodiscard]] routing::Epoch SeenEpochOf(const std::string& shard) const;
  // Some operation's business at the moment.
  [[nodiscard]] bool IsUnderChange(const std::string& name) const;
  // Why it is fenced; empty: it is not, by us.
  [[nodiscard]] std::string FencedWhy(const std::string& backend) const;
  // What an earlier process has stored; before anything is asked.
  void Restore(const StoredState& state);

 private:
  struct Change_ {
    Edit edit;
    std::vector<std::string> tenants;
    std::function<void(const absl::Status&)> done;
    bool held = false;
  };

  void Execute(OperatorCommand command, const AskedPtr& asked);
  // One for each command: operators.cc, operators_topology.cc, operators_tasks.cc.
  void Run(const HoldSlice& command, const AskedPtr& asked);
  void Run(const RejectSlice& command, const AskedPtr& asked);
  void Run(const ReleaseSlice& command, const AskedPtr& asked);
  void Run(const MarkBackend& command, const AskedPtr& asked);
  void Run(const DrainBackend& command, const AskedPtr& asked);
  void Run(const DisableBackend& command, const AskedPtr& asked);
  void Run(const EnableBackend& command, const AskedPtr& asked);
  void Run(const Switchover& command, const AskedPtr& asked);
  void Run(const Failover& command, const AskedPtr& asked);
  void Run(const CancelOperation& command, const AskedPtr& asked);
  void Run(const CreateBackend& command, const AskedPtr& asked);
  void Run(const AlterBackend& command, const AskedPtr& asked);
  void Run(const DropBackend& command, const AskedPtr& asked);
  void Run(const CreateShard& command, const AskedPtr& asked);
  void Run(const AlterShard& command, const AskedPtr& asked);
  void Run(const DropShard& command, const AskedPtr& asked);
  void Run(const CreateTenant& command, const AskedPtr& asked);
  void Run(const AlterTenant& command, const AskedPtr& asked);
  void Run(const DropTenant& command, const AskedPtr& asked);
  void Run(const AssignTenant& command, const AskedPtr& asked);
  void Run(const AssignSlots& command, const AskedPtr& asked);
  void Run(const KillSession& command, const AskedPtr& asked);
  void Run(const LimitTenant& command, const AskedPtr& asked);
  void Run(const SetVariable& command, const AskedPtr& asked);
  void Run(const ReloadConfig& command, const AskedPtr& asked);
  void Run(const Shutdown& command, const AskedPtr& asked);
  void Run(const DrillHang& command, const AskedPtr& asked);

  void Order(const SliceName& slice, routing::GateOperator order,
             const std::optional<Duration>& lasting, const std::string& words,
             const AskedPtr& asked);
  void ReleaseShard(const routing::Shard& shard, bool force, const AskedPtr& asked);
  void ApplyOrder(const routing::Shard& shard);
  void ApplyFollowed(const routing::Shard& shard);
  [[nodiscard]] std::optional<routing::GateOrder> PassedBy(const routing::Shard& shard) const;
  void ApplyOrders();
  // Changes, then does `then` (may be empty), answers with `message`, and writes it down.
  void ChangeAndAnswer(const AskedPtr& asked, std::vector<std::string> tenants, Edit edit,
                       std::string message, std::function<void()> then = {});
  // It has taken effect; answered once it is stored.
  void StoreAndAnswer(const AskedPtr& asked, std::vector<StoreEdit> edits, std::string message);
  void PersistQuietly(std::vector<StoreEdit> edits);
  // operators_changes.cc
  // True: that was answered, since an operation under way is about one of these.
  [[nodiscard]] bool UnderChange(const std::vector<std::string>& names, const AskedPtr& asked);
  [[nodiscard]] bool MayChange(const routing::Shard& shard, const std::string& to,
                               const AskedPtr& asked);
  void StartChange(routing::ChangePlan plan, bool automatic, const AskedPtr& asked);
  void ResumeChanges(const StoredState& state);
  void HoldUnreadable(const StoredOperation& stored);
  void Fence(const std::string& backend, const std::string& why);
  void StartNextChange();
  void FinishChange(const absl::Status& status);
  // False: too many are under way, and that was answered.
  [[nodiscard]] bool MayBegin(const AskedPtr& asked);
  void Begin(std::unique_ptr<OperatorTask> task, const AskedPtr& asked);
  // nullptr: answered that there is none, with the nearest name.
  const routing::Shard* ShardOr(const std::string& name, const AskedPtr& asked);
  const routing::Backend* BackendOr(const std::string& name, const AskedPtr& asked);
  [[nodiscard]] bool TenantOr(const std::string& name, const AskedPtr& asked);

  OperatorWorld* const world_;
  std::atomic<uint64_t> last_ticket_{0};
  absl::flat_hash_map<routing::ShardId, routing::GateOrder> shard_orders_;
  absl::flat_hash_map<routing::ShardId, routing::GateOrder> change_orders_;
  std::map<std::string, BackendOrder> backend_orders_;
  std::map<std::string, std::string> fenced_;  // backend to why
  struct Promotion {
    routing::Epoch epoch;
    std::string primary;
  };
  std::map<std::string, Promotion> promotions_;  // the newest that was seen, by shard
  std::map<uint64_t, std::pair<std::unique_ptr<OperatorTask>, AskedPtr>> tasks_;  // by ticket
  bool closed_ = false;
  std::optional<std::map<std::string, routing::GateOrder>> followed_;  // by shard
  std::deque<Change_> changes_;                                        // the first one is under way
  std::vector<routing::ShardId> moving_;                               // by the change under way
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_OPERATORS_H_
