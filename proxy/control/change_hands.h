// The hands of one change of primary: carry out its steps on the servers, and report.
//
// Purpose: the seam between the operation on the control thread (change_task.h), which decides by
// routing::PrimaryChange and does what is the router's own (holding, counting, publishing), and
// blocking SQL on the servers. A fake takes their place in tests.
// Thread: the control loop's. One step at a time; each Run is answered exactly once by `done`, at
// its timeout and a second at the latest, with kUnknown if nothing came; never from inside Run.
// A step on a server whose last one was given up waits until that has ended, within its own time.
#ifndef BULKHEAD_PROXY_CONTROL_CHANGE_HANDS_H_
#define BULKHEAD_PROXY_CONTROL_CHANGE_HANDS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/config/options.h"
#include "proxy/control/change_checks.h"
#include "proxy/control/change_steps.h"
#include "proxy/control/control_client.h"

namespace bulkhead::control {

// What of a step the topology knows.
struct HandsContext {
  ChangeScene scene{};  // names and addresses; what is not asked of the servers
  std::vector<StepContext::ShardEpoch> epochs{};
  bool end_all = false;      // kEndRunning
  bool stop_others = false;  // kStopReceiving: whoever acknowledges, and kReattach: all of them
};

class ChangeHands {
 public:
  using Done = std::function<void(routing::StepReport)>;
  virtual ~ChangeHands() = default;
  // kInspect, kFence, and all that is done on a server.
  virtual void Run(const routing::ChangeAction& action, const HandsContext& context, Done done) = 0;
  // The step under way gets no answer any more, and `done` is not called.
  virtual void Abort() = 0;
  virtual void Tick(routing::MonoTime now) = 0;
};

// What every change has in common.
struct HandsSetup {
  std::function<void(std::function<void()>)> post;  // to the control loop
  std::function<routing::MonoTime()> now;
  ClientThreads* threads = nullptr;  // outlives the hands
  config::BackendTlsOptions tls{};
  std::string user{}, password{};  // the control account
  std::string probe_user{};
  std::string replication_user{}, replication_password{};
  std::string router_id{};
  std::vector<std::string> fence_command{};  // of the old primary, placeholders filled in
};

class SqlHands final : public ChangeHands {
 public:
  // The servers that `scene` names are the ones there are.
  SqlHands(HandsSetup setup, const ChangeScene& scene,
           const std::function<routing::BackendTls(const std::string& backend)>& tls_of);
  ~SqlHands() override;

  void Run(const routing::ChangeAction& action, const HandsContext& context, Done done) override;
  void Abort() override;
  void Tick(routing::MonoTime now) override;

 private:
  // Something that runs on one server, or waits for it to be free.
  struct Errand {
    ControlClient* client = nullptr;
    ControlClient::Work work;
    std::function<void()> take;  // what it found, on the control thread
    bool started = false;
  };
  struct Step;

  [[nodiscard]] ControlClient* ClientOf(const std::string& server);
  void Begin(std::vector<Errand> errands);
  void StartIdle();
  void OnErrandDone(uint64_t step, const std::function<void()>& take);
  void Finish(routing::StepReport report);
  // What follows when all errands of a step have ended: more of them, or its end.
  void Continue();

  // Makes errands for them.
  [[nodiscard]] Errand Look(NamedFacts* server);
  [[nodiscard]] Errand RunOn(const std::string& server);
  void AddOthers(routing::StepReport (*run)(SqlSession*, routing::Duration),
                 std::vector<Errand>* errands);
  [[nodiscard]] Errand Fence();
  void BeginInspect();
  void ContinueInspect();
  void LookForLost();

  const HandsSetup setup_;
  std::vector<std::pair<std::string, std::unique_ptr<ControlClient>>> clients_;
  std::unique_ptr<Step> step_;  // under way
  uint64_t last_step_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_CHANGE_HANDS_H_
