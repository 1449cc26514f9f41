// Sessions that wait for a connection: what they are told, and when it is tried again.

#include <algorithm>
#include <optional>

#include "proxy/io/backend_pool.h"

namespace bulkhead::io {

using session::BackendLink;

// Tick would find it too, up to a tenth of a second late.
void BackendPool::RetryInTime(const PerBackend& backend) {
  const routing::MonoTime at = backend.policy.NextOpen();
  if (at == routing::kMonoNever || shutting_down_) return;
  const routing::Duration left =
      at - routing::MonoTimeFromNanos(static_cast<int64_t>(loop_->NowNs()));
  const int64_t ms = std::max<int64_t>(routing::ToMillis(left) + 1, 1);
  if (retry_ == nullptr) retry_ = std::make_unique<Timer>(loop_, [this] { Retry(); });
  retry_->Start(static_cast<uint64_t>(ms));
}

// Nothing was sent for it yet.
void BackendPool::AcquireAgain(const Waiting& waiting, LinkUser* user) {
  std::optional<session::RouterError> error;
  BackendLink* link = Acquire(waiting.request, user, &error);
  Tell(waiting, user, link, error);
}

// What became of a wait. Its time goes on where it does.
void BackendPool::Tell(const Waiting& waiting, LinkUser* user, BackendLink* link,
                       const std::optional<session::RouterError>& error) {
  if (error.has_value()) {
    user->OnLinkFailed(*error);
  } else if (link != nullptr) {
    user->OnLink(link);
  } else if (auto it = waiting_.find(user); it != waiting_.end()) {
    it->second.since_ns = waiting.since_ns;
  }
}

}  // namespace bulkhead::io
