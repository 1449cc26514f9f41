#include "proxy/control/store_thread.h"

#include <utility>

namespace bulkhead::control {

StoreThread::StoreThread(std::unique_ptr<TopologyStore> store, uint64_t revision, Poster post)
    : store_(std::move(store)), post_(std::move(post)), revision_(revision) {
  thread_ = std::thread([this] { Run(); });
}

StoreThread::~StoreThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void StoreThread::Commit(std::vector<StoreEdit> edits, Done done) {
  {
    const std::lock_guard lock(mutex_);
    if (jobs_.size() < kMostWaiting) {
      jobs_.push_back({std::move(edits), std::move(done)});
      wake_.notify_one();
      return;
    }
  }
  post_([done = std::move(done)] {
    done(absl::ResourceExhaustedError(
        "too many changes wait for the topology store: is its disk full or frozen?"));
  });
}

void StoreThread::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    const absl::StatusOr<uint64_t> revision = store_->Commit(revision_, job.edits);
    if (revision.ok()) revision_ = *revision;
    post_([done = std::move(job.done), status = revision.status()] { done(status); });
    lock.lock();
  }
}

}  // namespace bulkhead::control
