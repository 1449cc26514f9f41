#include "proxy/control/predecessor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/control/topology_message.h"

namespace bulkhead::control {

namespace {

using nlohmann::json;

routing::MonoTime TimeAt(uint64_t ns) {
  return routing::MonoTimeFromNanos(static_cast<int64_t>(ns));
}

}  // namespace

Predecessor::Predecessor(Setup setup)
    : setup_(std::move(setup)),
      heard_(TimeAt(setup_.loop->NowNs())),
      link_(
          setup_.loop, setup_.fd, [this](const json& message) { OnMessage(message); },
          [this] { OnEnd(); }) {}

std::string Predecessor::Trouble(routing::MonoTime now) const {
  if (gone() || (following_ && now - heard_ <= kSilent)) return {};
  return absl::StrCat("the process that this one took over from (pid ", setup_.pid, ", ", sessions_,
                      " sessions) ",
                      following_ ? "does not answer" : "does not yet follow this one",
                      "; if it stays so: kill ", setup_.pid, ", its sessions are lost then");
}

void Predecessor::Tick(routing::MonoTime now) {
  std::vector<OnAnswer> late;
  for (auto it = asked_.begin(); it != asked_.end();) {
    if (it->second.by > now) {
      ++it;
      continue;
    }
    late.push_back(std::move(it->second.done));
    it = asked_.erase(it);
  }
  for (const OnAnswer& done : late) done(Answered::kSilent, {});
}

void Predecessor::Ask(json message, OnAnswer done) {
  if (gone()) {
    setup_.loop->Post([done = std::move(done)] { done(Answered::kGone, {}); });
    return;
  }
  const uint64_t id = ++last_id_;
  message["id"] = id;
  asked_[id] = {TimeAt(setup_.loop->NowNs()) + kAnswerWithin, std::move(done)};
  link_.Send(message);
}

void Predecessor::OnMessage(const json& message) {
  heard_ = TimeAt(setup_.loop->NowNs());
  if (message.contains("sessions")) {
    sessions_ = message.value("sessions", uint64_t{0});
    numbers_.clear();
    for (const json& number : message.value("numbers", json::array())) {
      if (number.is_number_unsigned()) numbers_.insert(number.get<uint32_t>());
    }
    if (!std::exchange(following_, true)) setup_.following();
    return;
  }
  auto it = asked_.find(message.value("answer", uint64_t{0}));
  if (it == asked_.end()) return;  // it came too late
  const OnAnswer done = std::move(it->second.done);
  asked_.erase(it);
  done(Answered::kYes, message);
}

void Predecessor::OnEnd() {
  sessions_ = 0;
  numbers_.clear();
  setup_.loop->Post([this, asked = std::exchange(asked_, {})] {
    for (const auto& [id, one] : asked) one.done(Answered::kGone, {});
    setup_.gone();
  });
}

void Predecessor::TellOrder(bool tenant, const std::string& name, const routing::GateOrder& order) {
  json told = {{"order", static_cast<int>(order.order)},
               {"tenant", tenant},
               {"name", name},
               {"until", routing::ToNanos(order.until)},
               {"words", order.words},
               {"transactions_too", order.transactions_too}};
  auto [it, is_new] = orders_.try_emplace({tenant, name}, told);
  if (is_new ? order.order == routing::GateOperator::kNone : it->second == told) return;
  it->second = told;
  link_.Send(told);
}

void Predecessor::TellSynced() { link_.Send({{"synced", true}}); }

void Predecessor::TellMark(const std::string& backend, int mark) {
  link_.Send({{"mark", mark}, {"backend", backend}});
}

void Predecessor::TellReadOnly(const std::string& backend, bool expected) {
  link_.Send({{"read_only", expected}, {"backend", backend}});
}

// One that is silent holds what moves (it has confirmed that before), and reads this before it
// reads that it may go on: nobody has to wait for it.
void Predecessor::Publish(const std::vector<StoreEdit>& edits, std::function<void()> done) {
  Ask({{"publish", EditsToJson(edits)}},
      [done = std::move(done)](Answered, const json&) { done(); });
}

void Predecessor::CountBusy(const BusyQuestion& question,
                            std::function<void(const io::BusyCount&)> done) {
  Ask({{"busy", true},
       {"backend", question.backend},
       {"shard", question.shard},
       {"tenant", question.tenant}},
      [this, done = std::move(done)](Answered how, const json& answer) {
        io::BusyCount count;
        if (how == Answered::kSilent) {
          count.running = 1;
          count.unanswered =
              absl::StrCat("the process that this one took over from (pid ", setup_.pid,
                           ") does not answer: if it stays so, kill ", setup_.pid);
        } else if (how == Answered::kYes) {
          count.running = answer.value("running", 0u);
          count.transactions = answer.value("transactions", 0u);
          count.pinned = answer.value("pinned", 0u);
          count.unanswered = answer.value("unanswered", std::string());
          for (const json& id : answer.value("of", json::array())) {
            if (id.is_number_unsigned() && count.sessions.size() < io::BusyCount::kNamed)
              count.sessions.push_back(id.get<uint64_t>());
          }
        }
        done(count);
      });
}

void Predecessor::GiveUp(const std::string& backend, std::function<void()> done) {
  Ask({{"give_up", backend}}, [done = std::move(done)](Answered, const json&) { done(); });
}

void Predecessor::Kill(uint64_t id, bool query_only, const std::optional<io::KillScope>& scope,
                       std::function<void(bool found)> done) {
  json message = {{"kill", id}, {"query_only", query_only}};
  if (scope.has_value()) {
    message["user"] = scope->user;
    message["tenant"] = scope->tenant;
  }
  Ask(std::move(message), [done = std::move(done)](Answered how, const json& answer) {
    done(how == Answered::kYes && answer.value("found", false));
  });
}

}  // namespace bulkhead::control
