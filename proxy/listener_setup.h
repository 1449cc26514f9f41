// From the configuration's listeners and TLS options to what workers need of them.
//
// Thread: the main thread at start. Errors: *error in words; files are named.
#ifndef BULKHEAD_PROXY_LISTENER_SETUP_H_
#define BULKHEAD_PROXY_LISTENER_SETUP_H_

#include <memory>
#include <string>
#include <vector>

#include "proxy/config/options.h"
#include "proxy/io/worker.h"

namespace bulkhead {

[[nodiscard]] std::vector<std::shared_ptr<const io::ClientListener>> MakeListeners(
    const config::Options& options, std::string* error);
// nullptr without an error where TLS to backends is disabled.
[[nodiscard]] io::TlsContext::Ptr MakeBackendTls(const config::Options& options,
                                                 std::string* error);

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_LISTENER_SETUP_H_
