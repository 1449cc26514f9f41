// The configuration of now, for those who ask seldom: pages, admin statements.
//
// Purpose: workers, the control thread and the admin thread get each new one by a message and go by
// it from then on; nobody on the data path asks here.
// Threads: any; a mutex for the time of a pointer's copy.
#ifndef BULKHEAD_PROXY_CONFIG_CURRENT_OPTIONS_H_
#define BULKHEAD_PROXY_CONFIG_CURRENT_OPTIONS_H_

#include <memory>
#include <mutex>
#include <utility>

#include "proxy/config/options.h"

namespace bulkhead::config {

class CurrentOptions {
 public:
  [[nodiscard]] std::shared_ptr<const Options> Get() const {
    const std::lock_guard lock(mutex_);
    return options_;
  }
  void Set(std::shared_ptr<const Options> options) {
    const std::lock_guard lock(mutex_);
    options_ = std::move(options);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Options> options_;
};

}  // namespace bulkhead::config

#endif  // BULKHEAD_PROXY_CONFIG_CURRENT_OPTIONS_H_
