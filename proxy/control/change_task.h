// SWITCHOVER and FAILOVER as operations: the orchestrator of a change of primary.
//
// Purpose: drives routing::Switchover or routing::Failover; stores each step before it is sent (the
// operation's payload in the topology store, from which Resume goes on in another process); does
// what is the router's own (hold, count what runs, give up, publish, release) and gives the rest to
// ChangeHands. Tells how far it is in SHOW OPERATIONS, in the event log and to who asked.
// A change concerns every shard that has the old primary: read_only is the whole server's.
// Thread: the control loop's. Limits: PrimaryChange's.
#ifndef BULKHEAD_PROXY_CONTROL_CHANGE_TASK_H_
#define BULKHEAD_PROXY_CONTROL_CHANGE_TASK_H_

#include <memory>
#include <string>
#include <vector>

#include "proxy/control/change_hands.h"
#include "proxy/control/operators.h"
#include "proxy/log/log.h"
#include "routing/primary_change.h"

namespace bulkhead::control {

class ChangeTask final : public OperatorTask {
 public:
  // `automatic`: nobody is there to choose.
  ChangeTask(Operators* operators, AskedPtr asked, const routing::ChangePlan& plan,
             bool automatic = false);
  // In another process: `operation` is its number in SHOW OPERATIONS.
  ChangeTask(Operators* operators, AskedPtr asked, uint64_t operation,
             const routing::ChangeRecord& record);
  ~ChangeTask() override;

  void Tick(routing::MonoTime now) override;
  void Cancel() override;
  // Nothing where a person is needed: it is tried on and on, also by the next process.
  void CancelUnasked() override;
  [[nodiscard]] std::string PastCancel() const override;
  // The process ends: nothing is put back, the next one goes on.
  void Stop() override;
  [[nodiscard]] bool ended() const override { return ended_; }
  [[nodiscard]] uint64_t operation() const override { return operation_; }
  [[nodiscard]] bool needs_person() const override { return !ended_ && machine_->alerted(); }
  [[nodiscard]] bool Concerns(const std::string& name) const override;

 private:
  void Carry();
  void CarryOut(const routing::ChangeAction& action);
  void Store(const routing::ChangeAction& action);
  void RunStep(const routing::ChangeAction& action);
  void Hold(uint64_t id);
  void Drain(uint64_t id);
  void Publish(uint64_t id);
  void Release(uint64_t id);
  void Answer(uint64_t id, const routing::StepReport& report);
  void Tell(const std::string& words);
  void Log(log::Level level, const std::string& words);
  void End(const std::string& words);
  void Reply(const std::string& words);
  [[nodiscard]] std::string EndWords(const std::string& words) const;
  [[nodiscard]] StoredOperation Stored(const routing::ChangeRecord& record) const;
  [[nodiscard]] HandsContext Context(const routing::ChangeAction& action) const;
  [[nodiscard]] ChangeScene SceneOf() const;
  [[nodiscard]] std::vector<const routing::Shard*> Shards() const;
  [[nodiscard]] OperatorWorld* world() const;
  [[nodiscard]] const routing::ChangePlan& plan() const { return machine_->record().plan; }
  [[nodiscard]] routing::BackendId IdOf(const std::string& backend) const;

  Operators* const operators_;
  const AskedPtr asked_;
  uint64_t operation_ = 0;
  std::unique_ptr<routing::PrimaryChange> machine_;
  std::unique_ptr<ChangeHands> hands_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  uint64_t at_hands_ = 0;  // the step that they carry out; 0: none
  std::vector<std::string> alerts_;
  std::vector<std::string> remarks_;  // that belong into the answer
  bool automatic_ = false;
  bool resumed_ = false;
  bool cancelled_ = false;
  bool end_all_ = false;  // a lock was in the way
  bool carrying_ = false;
  bool ended_ = false;
  routing::MonoTime held_at_{};  // zero: not held
  routing::Duration held_for_{};
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_CHANGE_TASK_H_
