// The parts of the configuration, one function each: a section of the tree into its piece of
// Options. Internal to proxy/config. Errors go to the section's report; what could not be read
// keeps its default.
#ifndef BULKHEAD_PROXY_CONFIG_PARTS_H_
#define BULKHEAD_PROXY_CONFIG_PARTS_H_

#include "proxy/config/options.h"
#include "proxy/config/yaml_reader.h"

namespace bulkhead::config {

// Words of enums that several parts know.
Choices<routing::Pooling> PoolingChoices();
Choices<routing::HoldPolicy> HoldPolicyChoices();
Choices<routing::BackendTls> BackendTlsChoices();
Choices<TlsMode> TlsModeChoices();

void ReadListeners(const Section& root, Options* out);
void ReadAdminListener(const Section& root, Options* out);
// Listeners' rules that need the rest: certificates, users, families of the seed. After everything
// else.
void FinishListeners(const Section& root, Options* out);
void ReadTls(const Section& root, Options* out);
void ReadUsers(const Section& root, Options* out);
void ReadAdminUsers(const Section& root, Options* out);
// After tenancy and topology.
void CheckUsers(const Section& root, const Options& options);
void ReadLimits(const Section& root, Options* out);   // workers, state_dir, log.file
void ReadRuntime(const Section& root, Options* out);  // what may change while the router runs
void ReadHold(const Section& section, Hold* out);
void ReadTenantLimit(const Section& section, routing::TenantLimit* out);
void ReadHealth(const Section& section, routing::HealthRules* out);
void ReadFailover(const Section& root, Failover* out);
void ReadTenancy(const Section& root, Options* out);
void ReadTopology(const Section& root, Options* out);  // after tenancy

}  // namespace bulkhead::config

#endif  // BULKHEAD_PROXY_CONFIG_PARTS_H_
