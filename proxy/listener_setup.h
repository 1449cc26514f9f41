// From the configuration's listeners and TLS options to what workers need of them.
//
// Thread: the main thread, at start and at a reload. Errors: *error in words; files are named.
#ifndef BULKHEAD_PROXY_LISTENER_SETUP_H_
#define BULKHEAD_PROXY_LISTENER_SETUP_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/auth/rsa_key.h"
#include "proxy/config/options.h"
#include "proxy/given_sockets.h"
#include "proxy/io/worker.h"

namespace bulkhead {

// The configured certificate, or, where there is none, `previous`, or one made now: clients that
// ask for encryption without checking are served either way. nullptr: *error.
[[nodiscard]] io::TlsContext::Ptr MakeClientTls(const config::ClientTls& tls,
                                                const io::TlsContext::Ptr& previous,
                                                std::string* error);
[[nodiscard]] std::vector<std::shared_ptr<const io::ClientListener>> MakeListeners(
    const config::Options& options, const io::TlsContext::Ptr& tls,
    const std::shared_ptr<const auth::RsaKeyPair>& rsa, std::string* error);
// nullptr without an error where TLS to backends is disabled.
[[nodiscard]] io::TlsContext::Ptr MakeBackendTls(const config::Options& options,
                                                 std::string* error);

// Sockets that are there already, each with whoever accepts from it. Who takes one owns it.
struct PlacedSockets {
  std::vector<std::vector<std::vector<io::GivenListener>>> workers;  // by worker, by listener
  std::vector<std::string> listeners;  // by listener: the address of its sockets; "": none
  std::optional<io::GivenListener> admin;
  int http = -1;
};
// "" or what is wrong: what is only for this machine must stay so.
[[nodiscard]] std::string PlaceSockets(
    const config::Options& options,
    const std::vector<std::shared_ptr<const io::ClientListener>>& listeners, size_t workers,
    GivenSockets* given, PlacedSockets* placed);

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_LISTENER_SETUP_H_
