// "Where is tenant X, and is it affected?": the answer in fields and in one sentence.
//
// Purpose: looks at the directory and at the shard's state, and asks nobody. Pure but for what
// `source` reads. Thread: any. Limits: FindTenants looks at kMostLooked entries of the directory.
#ifndef BULKHEAD_PROXY_HTTP_TENANT_ANSWER_H_
#define BULKHEAD_PROXY_HTTP_TENANT_ANSWER_H_

#include <string>
#include <string_view>

#include "proxy/http/fleet_source.h"
#include "proxy/http/json.h"

namespace bulkhead::http {

inline constexpr size_t kMostLooked = 1'000'000;

[[nodiscard]] Json TenantAnswer(const FleetSource& source, const std::string& tenant);

// Names of tenants with an entry of their own, at most `most`: whose names contain `part` (any
// case), of that shard ("" of any).
[[nodiscard]] Json FindTenants(const FleetSource& source, std::string_view part,
                               const std::string& shard, size_t most);

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_TENANT_ANSWER_H_
