#include "proxy/admin/query_threads.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace bulkhead::admin {

namespace {

constexpr int kNiceness = 5;

}  // namespace

QueryThreads::~QueryThreads() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting_.clear();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void QueryThreads::Run(std::string caller, std::function<void()> job) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  waiting_.push_back({std::move(caller), std::move(job)});
  // One that was woken counts as idle until it runs: it is not there for two.
  while (idle_ < waiting_.size() && threads_.size() < kMost) {
    ++idle_;
    threads_.emplace_back([this] { Work(); });
  }
  wake_.notify_one();
}

std::deque<QueryThreads::Job>::iterator QueryThreads::NextJob() {
  return std::find_if(waiting_.begin(), waiting_.end(), [this](const Job& job) {
    auto it = running_.find(job.caller);
    return it == running_.end() || it->second < kMostEach;
  });
}

void QueryThreads::Work() {
  // On Linux a thread has a niceness of its own.
  (void)setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNiceness);
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || NextJob() != waiting_.end(); });
    --idle_;
    if (stopping_) return;
    auto next = NextJob();
    const Job job = std::move(*next);
    waiting_.erase(next);
    ++running_[job.caller];
    lock.unlock();
    job.run();
    lock.lock();
    if (--running_[job.caller] == 0) running_.erase(job.caller);
    wake_.notify_one();  // the next one of this caller may go
    ++idle_;
  }
}

}  // namespace bulkhead::admin
