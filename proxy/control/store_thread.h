// The topology store on a thread of its own: nothing on the control loop waits for a disk.
//
// Purpose: commits come one after the other, in the order in which they were asked for; each is on
// disk before it is answered. Thread: Commit from one thread (the control loop's); `done` goes
// through the poster given at construction. Limits: kMostWaiting commits wait, more are refused at
// once (kResourceExhausted). Errors: the store's; after one that says that somebody else changed
// the store (kAborted) every later commit fails too.
#ifndef BULKHEAD_PROXY_CONTROL_STORE_THREAD_H_
#define BULKHEAD_PROXY_CONTROL_STORE_THREAD_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "proxy/control/topology_store.h"

namespace bulkhead::control {

class StoreThread {
 public:
  static constexpr size_t kMostWaiting = 10'000;
  using Done = std::function<void(const absl::Status&)>;
  using Poster = std::function<void(std::function<void()>)>;

  StoreThread(std::unique_ptr<TopologyStore> store, uint64_t revision, Poster post);
  // What was asked for is committed first.
  ~StoreThread();
  StoreThread(const StoreThread&) = delete;
  StoreThread& operator=(const StoreThread&) = delete;

  void Commit(std::vector<StoreEdit> edits, Done done);

 private:
  struct Job {
    std::vector<StoreEdit> edits;
    Done done;
  };
  void Run();

  const std::unique_ptr<TopologyStore> store_;
  const Poster post_;
  uint64_t revision_;  // the thread's
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_STORE_THREAD_H_
