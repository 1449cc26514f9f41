// The fleet at one moment: asks the control thread and the workers for their rows.
//
// Purpose: waits for them, but never long: who is late is named in a warning. For the admin
// statements and the status page alike.
// Threads: FleetCollector: any thread that may block, several at once; never an event loop's.
// Limits: kCollectLimit of waiting; kMostSessions sessions, more are counted and said in a warning;
// kMostAsked questions are under way with each thread that does not answer.
#ifndef BULKHEAD_PROXY_CONTROL_FLEET_COLLECTOR_H_
#define BULKHEAD_PROXY_CONTROL_FLEET_COLLECTOR_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proxy/control/fleet_rows.h"
#include "proxy/io/session_list.h"
#include "proxy/io/worker.h"
#include "routing/topology.h"

namespace bulkhead::control {

class ControlLoop;

inline constexpr std::chrono::milliseconds kCollectLimit{1000};
inline constexpr size_t kMostSessions = 50'000;
inline constexpr int kMostAsked = 16;

struct FleetPicture {
  std::shared_ptr<const routing::Topology> topology{};  // never null
  ControlRows control{};
  std::vector<UnknownRow> unknown{};       // the newest last
  std::vector<OperationRow> operations{};  // the newest last
  std::vector<EventRow> events{};          // the newest last
  std::vector<io::SessionRow> sessions{};  // by id
  std::vector<io::PoolRow> pools{};
  std::vector<std::string> warnings{};  // what is missing, in words
};

class FleetCollector {
 public:
  // Both outlive this; `workers` is complete.
  FleetCollector(const ControlLoop* control, std::vector<io::Worker*> workers);

  [[nodiscard]] FleetPicture Collect(const FleetQuestion& question) const;

 private:
  struct Gathering;
  struct Asked;
  void AskWorkers(const FleetQuestion& question, const std::shared_ptr<Gathering>& gathering) const;
  void AddLists(const FleetQuestion& question, FleetPicture* picture) const;

  const ControlLoop* const control_;
  const std::vector<io::Worker*> workers_;
  const std::shared_ptr<Asked> asked_;  // questions under way
};

// "2026-11-29 06:49:12" of wall-clock milliseconds since 1970; 0: empty.
[[nodiscard]] std::string UtcText(int64_t wall_ms);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_FLEET_COLLECTOR_H_
