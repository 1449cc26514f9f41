// One status page that follows the fleet: server-sent events.
//
// Purpose: first the whole picture ("fleet"), then what has changed ("changes") with each new one;
// a picture of another topology is sent whole again. A slow client gets the newest picture when it
// has taken the last: nothing piles up.
// Thread: one of the HTTP server's at a time. Source: the HTML standard, "Server-sent events".
#ifndef BULKHEAD_PROXY_HTTP_FLEET_STREAM_H_
#define BULKHEAD_PROXY_HTTP_FLEET_STREAM_H_

#include <memory>
#include <optional>
#include <string>

#include "proxy/http/fleet_sampler.h"
#include "proxy/http/http_server.h"

namespace bulkhead::http {

class FleetStream final : public Stream {
 public:
  explicit FleetStream(const FleetSampler* sampler) : sampler_(sampler) {}
  [[nodiscard]] std::optional<std::string> Next() override;

 private:
  const FleetSampler* const sampler_;
  std::shared_ptr<const FleetPicture> sent_;
};

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_FLEET_STREAM_H_
