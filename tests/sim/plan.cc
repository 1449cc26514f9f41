#include "tests/sim/plan.h"

#include <algorithm>

namespace bulkhead::sim {

namespace {

std::string_view Word(FaultKind kind) {
  switch (kind) {
    case FaultKind::kCrash:
      return "dies and is started again";
    case FaultKind::kHang:
      return "hangs";
    case FaultKind::kSlow:
      return "is slow";
    case FaultKind::kDrip:
      return "drips";
    case FaultKind::kPartition:
      return "is cut off";
    case FaultKind::kToServerLost:
      return "hears nothing";
    case FaultKind::kToRouterLost:
      return "is not heard";
    case FaultKind::kFlapping:
      return "hangs again and again";
    case FaultKind::kCommitsHang:
      return "can't write to its disk";
    case FaultKind::kOwnStall:
      return "of the router do not run";
  }
  return "";
}

Ns DrawLength(Random* random) {
  switch (random->Below(4)) {
    case 0:
      return random->Between(100, 900) * kMs;
    case 1:
      return random->Between(1, 4) * kSecond + random->Between(0, 999) * kMs;
    default:
      return random->Between(4, 18) * kSecond + random->Between(0, 999) * kMs;
  }
}

}  // namespace

std::string Fault::Words() const {
  const std::string who = kind == FaultKind::kOwnStall ? "threads " + std::to_string(threads)
                                                       : "server " + std::to_string(server);
  return who + " " + std::string(Word(kind)) + " from " + std::to_string(begin / kMs) + " to " +
         std::to_string(end / kMs) + " ms" +
         (amount > 1 ? " (" + std::to_string(amount) + ")" : std::string());
}

Plan::Plan(uint64_t seed) {
  const Random random(seed * 0x9E3779B97F4A7C15ull + 1);
  DrawRules(random.Fork(1));
  DrawFaults(random.Fork(2));
}

void Plan::DrawRules(Random random) {
  servers = random.Chance(120) ? 1 : static_cast<size_t>(random.Between(2, 4));
  workers = random.Chance(250) ? 1 : 2;
  health.in_flight_grace = std::chrono::seconds(random.Between(1, 8));
  health.stall_limit = std::chrono::seconds(random.Between(5, 20));
  gate.max_wait = std::chrono::seconds(random.Between(2, 12));
  gate.outage_limit = std::chrono::seconds(random.Between(3, 40));
  gate.policy = random.Chance(150) ? routing::HoldPolicy::kReject : routing::HoldPolicy::kHold;
  gate.ramp.initial = static_cast<uint32_t>(random.Between(1, 4));
  const bool tight = random.Chance(300);
  gate.max_statements = static_cast<uint32_t>(tight ? random.Between(2, 5) : 5000);
  gate.max_bytes = random.Chance(200) ? 60'000 : uint64_t{64} << 20;
  total_statements = random.Chance(200) ? 12 : 50'000;
  total_bytes = uint64_t{512} << 20;
  clients_per_server = static_cast<uint32_t>(random.Between(4, 8));
  few_connections = random.Chance(250);
  connections = static_cast<uint32_t>(few_connections ? random.Between(3, 4)
                                                      : clients_per_server + random.Between(0, 6));
  gate.ramp.limit = std::min(static_cast<uint32_t>(random.Between(4, 16)), connections);
  tables_known = !random.Chance(250);
  read_retry = random.Chance(200);
}

void Plan::DrawFaults(Random random) {
  const size_t victims = servers >= 3 && random.Chance(400) ? 2 : 1;
  std::vector<size_t> order;
  for (size_t i = 0; i < servers; ++i) order.push_back(i);
  for (size_t i = servers; i > 1; --i) std::swap(order[i - 1], order[random.Below(i)]);
  healed = kFaultsBegin;
  const auto draw = [&](size_t server, Ns begin) {
    Fault fault;
    fault.kind = static_cast<FaultKind>(random.Below(kFaultKinds - 1));
    fault.server = server;
    fault.begin = begin;
    fault.end = begin + DrawLength(&random);
    if (fault.kind == FaultKind::kSlow)
      fault.amount = static_cast<uint32_t>(random.Between(10, 3000));
    if (fault.kind == FaultKind::kFlapping)
      fault.amount = static_cast<uint32_t>(random.Between(400, 5000));
    faults.push_back(fault);
    healed = std::max(healed, fault.end);
    return fault.end;
  };
  for (size_t v = 0; v < victims; ++v) {
    Ns begin = kFaultsBegin + random.Between(0, 1500) * kMs;
    const int64_t episodes = random.Between(1, 3);
    for (int64_t e = 0; e < episodes; ++e)
      begin = draw(order[v], begin) + random.Between(0, 6000) * kMs;
  }
  if (random.Chance(300)) {
    Fault stall;
    stall.kind = FaultKind::kOwnStall;
    stall.begin = kFaultsBegin + random.Between(0, (healed - kFaultsBegin) / kMs) * kMs;
    stall.end = stall.begin + random.Between(50, 6000) * kMs;
    stall.threads = random.Chance(500) ? 7 : static_cast<uint32_t>(random.Between(1, 6));
    faults.push_back(stall);
    healed = std::max(healed, stall.end);
  }
  for (size_t i = victims; i < servers; ++i) calm.insert(order[i]);
  judged = healed + 40 * kSecond;
  end = judged + 20 * kSecond;
}

}  // namespace bulkhead::sim
