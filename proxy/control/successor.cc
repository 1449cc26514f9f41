#include "proxy/control/successor.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "proxy/control/topology_message.h"

namespace bulkhead::control {

namespace {
using nlohmann::json;
}  // namespace

Successor::Successor(io::EventLoop* loop, int fd, Hands* hands,
                     std::function<void(const std::string& why)> lost)
    : loop_(loop),
      hands_(hands),
      lost_(std::move(lost)),
      link_(
          loop, fd, [this](const json& message) { OnMessage(message); },
          [this] { Lose("the new process has ended"); }) {}

void Successor::Report(uint64_t sessions, const std::vector<uint32_t>& numbers) {
  link_.Send({{"sessions", sessions}, {"numbers", numbers}});
}

void Successor::Lose(const std::string& why) {
  loop_->Post([this, why, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) lost_(why);
  });
}

std::function<void(json)> Successor::Answerer(const json& message) {
  return [this, id = message.value("id", uint64_t{0}),
          alive = std::weak_ptr<bool>(alive_)](json answer) {
    if (alive.expired()) return;
    answer["answer"] = id;
    link_.Send(answer);
  };
}

void Successor::OnOrder(const json& message) {
  const bool tenant = message.value("tenant", false);
  const std::string name = message.value("name", std::string());
  const routing::GateOrder order{
      .order = static_cast<routing::GateOperator>(message.value("order", 0)),
      .until = routing::MonoTimeFromNanos(message.value("until", int64_t{0})),
      .words = message.value("words", std::string()),
      .transactions_too = message.value("transactions_too", false)};
  if (synced_) {
    hands_->FollowOrder(tenant, name, order);
  } else {
    (tenant ? tenants_ : shards_)[name] = order;
  }
}

void Successor::OnMessage(const json& message) {
  const std::string backend = message.value("backend", std::string());
  const auto answer = Answerer(message);
  if (message.contains("order")) {
    OnOrder(message);
  } else if (message.contains("synced")) {
    synced_ = true;
    hands_->FollowOrders(std::move(shards_), std::move(tenants_));
  } else if (message.contains("mark")) {
    hands_->FollowMark(backend, message.value("mark", 0));
  } else if (message.contains("read_only")) {
    hands_->FollowReadOnly(backend, message.value("read_only", false));
  } else if (message.contains("publish")) {
    const absl::StatusOr<std::vector<StoreEdit>> edits = EditsFromJson(message["publish"]);
    const auto done = [answer] { answer(json::object()); };
    if (!edits.ok() || !hands_->FollowTopology(*edits, done))
      Lose("the new process's topology can't be followed");
  } else if (message.contains("busy")) {
    hands_->AnswerBusy(backend, message.value("shard", std::string()),
                       message.value("tenant", std::string()),
                       [answer](const io::BusyCount& count) {
                         answer({{"running", count.running},
                                 {"transactions", count.transactions},
                                 {"pinned", count.pinned},
                                 {"unanswered", count.unanswered},
                                 {"of", count.sessions}});
                       });
  } else if (message.contains("give_up")) {
    hands_->FollowGiveUp(message.value("give_up", std::string()),
                         [answer] { answer(json::object()); });
  } else if (message.contains("kill")) {
    std::optional<io::KillScope> scope;
    if (message.contains("user"))
      scope = {message.value("user", std::string()), message.value("tenant", std::string())};
    hands_->FollowKill(message.value("kill", uint64_t{0}), message.value("query_only", false),
                       std::move(scope), [answer](bool found) {
                         answer({{"found", found}});
                       });
  }
}

}  // namespace bulkhead::control
