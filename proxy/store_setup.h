// The topology store when the process begins: opened, seeded where it is empty, and the options
// that go by it.
//
// Thread: the server's, before any other. Errors: "" or a sentence with the way out.
#ifndef BULKHEAD_PROXY_STORE_SETUP_H_
#define BULKHEAD_PROXY_STORE_SETUP_H_

#include <memory>
#include <string>

#include "proxy/config/options.h"
#include "proxy/config/variables.h"
#include "proxy/control/topology_store.h"

namespace bulkhead {

struct StoreAtStart {
  std::unique_ptr<control::TopologyStore> store;
  control::StoredState state;
  config::Overrides variables;  // what operators have SET
};

// *options is replaced by one whose topology is the stored one.
[[nodiscard]] std::string OpenStore(std::shared_ptr<const config::Options>* options,
                                    StoreAtStart* start);

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_STORE_SETUP_H_
