#include "proxy/control/returned_primary.h"

#include <utility>

namespace bulkhead::control {

ReturnedPrimary::ReturnedPrimary(ControlClient::Options former, ControlClient::Options present,
                                 const ControlClient::Poster& post, ClientThreads* threads,
                                 std::function<void(const ExtraFound&)> done)
    : done_(std::move(done)),
      former_(std::move(former), post, threads),
      present_(std::move(present), post, threads) {
  present_.Start(
      [positions = positions_](SqlSession* session) {
        const SqlAnswer answer = ReadVariables(session, "gtid%", kLimit, positions.get());
        positions->answered = answer.ok();
        positions->why = answer.message;
      },
      [this, alive = std::weak_ptr<bool>(alive_)] {
        if (!alive.expired()) AskFormer();
      });
}

void ReturnedPrimary::AskFormer() {
  if (!positions_->answered) {
    found_->why = "its successor can't be asked: " + positions_->why;
    done_(*found_);
    return;
  }
  former_.Start([positions = positions_, found = found_](
                    SqlSession* session) { *found = FindExtra(session, *positions, kLimit); },
                [this, alive = std::weak_ptr<bool>(alive_)] {
                  if (!alive.expired()) done_(*found_);
                });
}

void ReturnedPrimary::Tick() {
  former_.Tick();
  present_.Tick();
}

}  // namespace bulkhead::control
