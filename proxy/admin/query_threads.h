// The threads that run operators' SQL and check their passwords.
//
// Purpose: nothing of that blocks the admin thread, the workers' or libuv's own threads; and one
// operator's slow queries don't keep others waiting: each caller has at most kMostEach threads at
// once. They run at a low priority, since they only serve people.
// Threads: any. Limits: kMost threads, made when they are needed; a caller has one job per
// connection, so what waits is bounded by the listener's connections.
#ifndef BULKHEAD_PROXY_ADMIN_QUERY_THREADS_H_
#define BULKHEAD_PROXY_ADMIN_QUERY_THREADS_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace bulkhead::admin {

class QueryThreads {
 public:
  static constexpr size_t kMost = 8;
  static constexpr size_t kMostEach = 3;

  QueryThreads() = default;
  // What runs is waited for, what waits is dropped.
  ~QueryThreads();
  QueryThreads(const QueryThreads&) = delete;
  QueryThreads& operator=(const QueryThreads&) = delete;

  // `caller`: who shares a fair part, such as a user at an address.
  void Run(std::string caller, std::function<void()> job);

 private:
  struct Job {
    std::string caller;
    std::function<void()> run;
  };
  void Work();
  // The first one whose caller may have another thread; the end if there is none.
  [[nodiscard]] std::deque<Job>::iterator NextJob();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> waiting_;
  std::map<std::string, size_t> running_;  // by caller
  size_t idle_ = 0;  // threads without a job, also those that have not come so far as to wait
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_QUERY_THREADS_H_
