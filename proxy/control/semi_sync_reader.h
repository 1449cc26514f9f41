// Asks a primary how its semi-synchronous replication is set, while it can be asked: when it hangs
// that decides whether a failover may lose anything.
//
// Thread: the control loop's. Limits: one question at a time, 5 s. Without an answer: not known.
#ifndef BULKHEAD_PROXY_CONTROL_SEMI_SYNC_READER_H_
#define BULKHEAD_PROXY_CONTROL_SEMI_SYNC_READER_H_

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "proxy/control/change_checks.h"
#include "proxy/io/query_connection.h"

namespace bulkhead::control {

class SemiSyncReader {
 public:
  using Done = std::function<void(std::optional<SemiSyncSeen>)>;

  SemiSyncReader(io::EventLoop* loop, io::QueryConnection::Options options);
  ~SemiSyncReader();
  // From the next question on.
  void SetConnection(io::QueryConnection::Options options) { options_ = std::move(options); }
  // Does nothing while a question is under way.
  void Ask(Done done);

 private:
  struct Task;
  void Finish(std::optional<SemiSyncSeen> seen);

  io::EventLoop* const loop_;
  io::QueryConnection::Options options_;
  std::shared_ptr<Task> task_;
  Done done_;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_SEMI_SYNC_READER_H_
