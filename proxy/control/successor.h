// The process that has taken over from this one, which drains: what it decides is carried out here.
//
// Purpose: the other end of predecessor.h. Orders that come before `synced` are the present state,
// and take the place of this process's own all at once; from then on each counts as it comes.
// Thread: the control loop's. Errors: a message that can't be carried out (a topology that does not
// fit) and the end of the line both end in `lost`: this process does not know any more what is
// right, and must end.
#ifndef BULKHEAD_PROXY_CONTROL_SUCCESSOR_H_
#define BULKHEAD_PROXY_CONTROL_SUCCESSOR_H_

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/control/handover_link.h"
#include "proxy/control/topology_store.h"
#include "proxy/io/busy_count.h"
#include "proxy/io/kill_scope.h"
#include "routing/shard_gate.h"

namespace bulkhead::control {

class Successor {
 public:
  using Orders = std::map<std::string, routing::GateOrder>;
  // Whoever carries out; each asynchronous one answers exactly once.
  class Hands {
   public:
    virtual ~Hands() = default;
    // All that there are, by shard and by tenant.
    virtual void FollowOrders(Orders shards, Orders tenants) = 0;
    virtual void FollowOrder(bool tenant, const std::string& name,
                             const routing::GateOrder& order) = 0;
    virtual void FollowMark(const std::string& backend, int mark) = 0;
    virtual void FollowReadOnly(const std::string& backend, bool expected) = 0;
    // False: it can't be.
    [[nodiscard]] virtual bool FollowTopology(const std::vector<StoreEdit>& edits,
                                              std::function<void()> done) = 0;
    virtual void AnswerBusy(const std::string& backend, const std::string& shard,
                            const std::string& tenant,
                            std::function<void(const io::BusyCount&)> done) = 0;
    virtual void FollowGiveUp(const std::string& backend, std::function<void()> done) = 0;
    virtual void FollowKill(uint64_t id, bool query_only, std::optional<io::KillScope> scope,
                            std::function<void(bool)> done) = 0;
  };

  // `lost`: never inside a call of the owner's.
  Successor(io::EventLoop* loop, int fd, Hands* hands,
            std::function<void(const std::string& why)> lost);

  // How many sessions are left here, and the numbers of the processes that have some.
  void Report(uint64_t sessions, const std::vector<uint32_t>& numbers);

 private:
  void OnMessage(const nlohmann::json& message);
  void OnOrder(const nlohmann::json& message);
  void Lose(const std::string& why);
  // Empty: done.
  [[nodiscard]] std::function<void(nlohmann::json)> Answerer(const nlohmann::json& message);

  io::EventLoop* const loop_;
  Hands* const hands_;
  const std::function<void(const std::string& why)> lost_;
  bool synced_ = false;
  Orders shards_, tenants_;  // before synced
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  HandoverLink link_;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_SUCCESSOR_H_
