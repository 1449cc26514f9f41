// A former primary that answers again after a failover: looks what it has that its successor lacks.
//
// Purpose: asks the present primary for its position, then the former one (extra_transactions.h),
// each on a connection of the control account. Thread: the control loop's; the asking is on the
// clients' own. Limits: one look; a statement's limit is kLimit. `done` once, never from inside.
#ifndef BULKHEAD_PROXY_CONTROL_RETURNED_PRIMARY_H_
#define BULKHEAD_PROXY_CONTROL_RETURNED_PRIMARY_H_

#include <functional>
#include <memory>
#include <string>

#include "proxy/control/control_client.h"
#include "proxy/control/extra_transactions.h"

namespace bulkhead::control {

class ReturnedPrimary {
 public:
  static constexpr routing::Duration kLimit = std::chrono::seconds(10);

  ReturnedPrimary(ControlClient::Options former, ControlClient::Options present,
                  const ControlClient::Poster& post, ClientThreads* threads,
                  std::function<void(const ExtraFound&)> done);
  void Tick();

 private:
  void AskFormer();

  const std::function<void(const ExtraFound&)> done_;
  std::shared_ptr<ServerFacts> positions_ = std::make_shared<ServerFacts>();
  std::shared_ptr<ExtraFound> found_ = std::make_shared<ExtraFound>();
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  ControlClient former_;
  ControlClient present_;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_RETURNED_PRIMARY_H_
