// Operators' commands while there is more than one process: refused where another one does not
// follow, and orders that another one gives.

#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/control/operators.h"

namespace bulkhead::control {

namespace {

// Each of these is this process's own business, and asks nothing of another one's sessions.
template <typename T>
constexpr bool kAlone = std::is_same_v<T, CancelOperation> || std::is_same_v<T, KillSession> ||
                        std::is_same_v<T, LimitTenant> || std::is_same_v<T, SetVariable> ||
                        std::is_same_v<T, ReloadConfig> || std::is_same_v<T, Shutdown>;

}  // namespace

void Operators::Execute(OperatorCommand command, const AskedPtr& asked) {
  world_->events()->Add("operator", asked->origin.user, asked->origin.statement);
  if (closed_) {
    asked->Fail(kErrNotNow, "another process takes over from this one: connect again");
    return;
  }
  std::visit(
      [&](const auto& one) {
        if constexpr (!kAlone<std::decay_t<decltype(one)>>) {
          if (const std::string trouble = world_->FollowerTrouble(); !trouble.empty()) {
            asked->Fail(kErrNotNow, "nothing was changed: " + trouble);
            return;
          }
        }
        Run(one, asked);
      },
      command);
}

std::string Operators::Busy() const {
  for (const auto& [ticket, task] : tasks_) {
    if (!task.first->ended())
      return absl::StrCat("operation ", task.first->operation(), " is under way");
  }
  return changes_.empty() ? "" : "a change of the topology is under way";
}

void Operators::Follow(std::map<std::string, routing::GateOrder> shards) {
  followed_ = std::move(shards);
  ApplyOrders();
}

void Operators::FollowOrder(const std::string& shard, const routing::GateOrder& order) {
  if (!followed_.has_value()) return;
  (*followed_)[shard] = order;
  if (const routing::Shard* known = world_->topology()->FindShard(shard); known != nullptr)
    ApplyOrder(*known);
}

// The other process knows why it holds a shard, also while a promotion is on its way here.
void Operators::ApplyFollowed(const routing::Shard& shard) {
  routing::GateOrder order;
  if (auto it = followed_->find(shard.name); it != followed_->end()) order = it->second;
  if (order.order == routing::GateOperator::kNone) {
    if (std::optional<routing::GateOrder> passed = PassedBy(shard); passed.has_value())
      order = *std::move(passed);
  }
  world_->gates()->SetOrder(shard.id, order, world_->Now());
}

}  // namespace bulkhead::control
