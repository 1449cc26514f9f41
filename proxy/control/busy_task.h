// An operation that waits until nothing of a slice runs any more: DRAIN BACKEND and ASSIGN TENANT.
//
// Purpose: closes the slice's gate, asks the workers again and again what still runs, and then does
// the rest; at the end of its time, or when it is cancelled, puts everything back.
// Thread: the control loop's. Limits: asks every kAskEvery, one question at a time.
#ifndef BULKHEAD_PROXY_CONTROL_BUSY_TASK_H_
#define BULKHEAD_PROXY_CONTROL_BUSY_TASK_H_

#include <memory>
#include <string>

#include "proxy/control/operators.h"

namespace bulkhead::control {

class BusyTask : public OperatorTask {
 public:
  static constexpr Duration kAskEvery = std::chrono::milliseconds(50);

  ~BusyTask() override;
  void Tick(routing::MonoTime now) override;
  void Cancel() override;
  [[nodiscard]] bool ended() const override { return ended_; }
  [[nodiscard]] uint64_t operation() const override { return operation_; }
  // The order that closes its slice's gate is its own: nobody else's may end it, or be lost by it.
  [[nodiscard]] bool Concerns(const std::string& name) const override {
    return name == setup_.concerns;
  }

 protected:
  struct Setup {
    std::string kind;  // of SHOW OPERATIONS
    std::string object;
    std::string what;      // "backend db1", for the words
    std::string concerns;  // as OperatorTask::Concerns is asked
    io::BusyFilter filter;
    Duration timeout{};
    std::string way_out;  // what an operator can do about what still runs
  };
  BusyTask(Operators* operators, AskedPtr asked, Setup setup);
  void Start() { CloseGate(); }

  [[nodiscard]] Operators* operators() { return operators_; }
  // Nothing new may start, from the first question on.
  virtual void CloseGate() = 0;
  virtual void PutBack() = 0;
  // Nothing runs. Ends it by EndWith, at once or later.
  virtual void Finish(const io::BusyCount& count) = 0;
  void EndWith(Operation::State state, uint16_t code, const std::string& message);
  // For callbacks that may come when it is gone.
  [[nodiscard]] std::weak_ptr<bool> alive() const { return alive_; }

 private:
  void OnCount(const io::BusyCount& count);
  void GiveUp(Operation::State state, const std::string& why);

  Operators* const operators_;
  const AskedPtr asked_;
  const Setup setup_;
  const uint64_t operation_;
  const routing::MonoTime deadline_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  io::BusyCount last_;
  routing::MonoTime ask_at_{};
  routing::MonoTime told_at_{};
  bool asking_ = false;
  bool finishing_ = false;
  bool ended_ = false;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_BUSY_TASK_H_
