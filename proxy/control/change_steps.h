// Carries out one step of a change of primary on one server.
//
// Purpose: the hands' SQL, and what its answers mean for routing::PrimaryChange. Steps that concern
// no server, or several, are change_hands.h's.
// Threads: that of the session; blocking, never longer than the action's timeout (but for what a
// limit of the session is late by).
// Each step can be run again: it looks where that matters.
// Errors: kFailed where the server said no, kUnknown where no answer came.
#ifndef BULKHEAD_PROXY_CONTROL_CHANGE_STEPS_H_
#define BULKHEAD_PROXY_CONTROL_CHANGE_STEPS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/control/change_saved.h"
#include "proxy/control/sql_session.h"
#include "routing/primary_change.h"

namespace bulkhead::control {

struct StepContext {
  routing::ChangeAction action{};
  SavedForChange saved{};  // of action.record
  routing::Address candidate{};
  std::string replication_user{};
  std::string replication_password{};
  std::string router_id{};
  std::vector<std::string> own_users{};  // accounts of this router, whose connections stay
  struct ShardEpoch {
    std::string shard;
    uint64_t epoch = 0;
  };
  std::vector<ShardEpoch> epochs{};  // for kProve
  // kEndRunning: whoever holds a lock is not known, so all clients' connections go.
  bool end_all = false;
};

[[nodiscard]] routing::StepReport RunStep(const StepContext& context, SqlSession* session);

// The receiving thread of a replica, when a failover stops it on others than the candidate, and
// when that is put back.
[[nodiscard]] routing::StepReport StopReceivingThere(SqlSession* session, routing::Duration limit);
[[nodiscard]] routing::StepReport StartReplicationThere(SqlSession* session,
                                                        routing::Duration limit);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_CHANGE_STEPS_H_
