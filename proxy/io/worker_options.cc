// What a worker takes from the configuration, at its start and whenever another one is published.

#include <utility>

#include "proxy/io/worker.h"

namespace bulkhead::io {

namespace {

routing::PoolLimits PoolLimitsOf(const config::Pools& pools) {
  return {.max_waiting = pools.max_waiting,
          .idle_timeout = pools.idle_timeout,
          .max_age = pools.max_age,
          .wait_timeout_margin = pools.wait_timeout_margin,
          .min_idle = pools.min_idle};
}

}  // namespace

// What sessions look at in the options of now.
void Worker::FollowOptions() {
  const config::Options& options = *setup_.options;
  for (session::SessionContext& context : contexts_) {
    context.read_retry = options.hold.read_retry;
    context.max_wait_ns = static_cast<uint64_t>(options.hold.max_wait.count());
    context.hold = options.hold.policy;
    context.max_packet = options.clients.max_allowed_packet;
    context.max_server_statements = options.pools.max_prepared_statements;
    context.gates_close =
        options.probe.has_value() && options.health.detection != routing::DetectionMode::kObserve;
    context.rules = &options.tenancy;
  }
  slow_log_.SetLimits(static_cast<uint64_t>(options.log.slow_statement.count()),
                      options.log.slow_per_second);
  pool_->SetLimits(static_cast<uint64_t>(routing::ToMillis(options.pools.acquire_timeout)),
                   PoolLimitsOf(options.pools));
}

void Worker::PublishOptions(WorkerOptions options) {
  loop_.Post([this, options = std::move(options)]() mutable {
    const std::shared_ptr<const config::Options> before = std::move(setup_.options);
    setup_.options = std::move(options.options);
    setup_.listeners = std::move(options.listeners);
    setup_.backend_tls = std::move(options.backend_tls);
    FollowOptions();
  });
}

}  // namespace bulkhead::io
