#include "proxy/listener_setup.h"

#include <unistd.h>

#include <ctime>
#include <utility>

#include "proxy/session/capability_rules.h"

namespace bulkhead {

namespace {

io::TlsVersion VersionOf(config::TlsVersion version) {
  return version == config::TlsVersion::kTls13 ? io::TlsVersion::kTls13 : io::TlsVersion::kTls12;
}

// MariaDB's protocol knows zlib only.
wire::Capabilities CompressionBits(const config::Compression& compression, bool mariadb) {
  wire::Capabilities bits = 0;
  for (config::CompressionAlgorithm algorithm : compression.clients) {
    if (algorithm == config::CompressionAlgorithm::kZlib) bits |= wire::kClientCompress;
    if (algorithm == config::CompressionAlgorithm::kZstd && !mariadb)
      bits |= wire::kClientZstdCompressionAlgorithm;
  }
  return bits;
}

io::SocketAddress AddressOf(const config::AdminListener& listener) {
  const routing::Address& address = listener.address;
  const std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
  return (address.is_unix() ? io::SocketAddress::FromUnixPath(address.socket_path)
                            : io::SocketAddress::FromNumeric(host, address.port))
      .value_or(io::SocketAddress{});
}

bool IsLocal(const io::SocketAddress& address) {
  const std::string host = address.HostText();
  return address.is_unix() || host.starts_with("127.") || host == "::1";
}

// The first of an admin or HTTP listener's sockets; more are closed.
std::string PlaceOne(const config::AdminListener& listener, const char* name,
                     std::vector<GivenSocket> sockets, std::optional<GivenSocket>* placed) {
  std::string error;
  for (const GivenSocket& socket : sockets) {
    if (listener.address.is_local() && !IsLocal(socket.address)) {
      error = std::string("listen.") + name + " is for this machine only (" +
              listener.address.ToString() +
              "), and the given socket is not: " + socket.address.ToText();
    }
    if (placed->has_value() || !error.empty()) {
      close(socket.fd);
    } else {
      *placed = socket;
    }
  }
  return error;
}

}  // namespace

io::TlsContext::Ptr MakeClientTls(const config::ClientTls& tls, const io::TlsContext::Ptr& previous,
                                  std::string* error) {
  io::TlsServerOptions options;
  options.cert_file = tls.cert;
  options.key_file = tls.key;
  options.client_ca_file = tls.ca;
  options.min_version = VersionOf(tls.min_version);
  if (!tls.cert.empty()) return io::TlsContext::MakeServer(options, error);
  if (previous != nullptr) return previous;
  return io::TlsContext::MakeSelfSigned(options, "bulkhead", std::time(nullptr), error);
}

std::vector<std::shared_ptr<const io::ClientListener>> MakeListeners(
    const config::Options& options, const io::TlsContext::Ptr& tls,
    const std::shared_ptr<const auth::RsaKeyPair>& rsa, std::string* error) {
  std::vector<std::shared_ptr<const io::ClientListener>> listeners;
  for (const config::MysqlListener& configured : options.mysql) {
    auto listener = std::make_shared<io::ClientListener>();
    listener->index = listeners.size();
    const std::optional<io::SocketAddress> address =
        configured.address.is_unix()
            ? io::SocketAddress::FromUnixPath(configured.address.socket_path)
            : io::SocketAddress::FromNumeric(configured.address.host, configured.address.port);
    if (!address.has_value()) {
      *error = "listen.mysql: " + configured.address.ToString() +
               " is no numeric address and no usable socket path";
      return {};
    }
    listener->address = *address;
    listener->is_unix = configured.address.is_unix();
    listener->proxy_protocol = configured.proxy_protocol;
    for (const std::string& network : configured.proxy_networks)
      (void)listener->proxy_networks.Add(network);
    session::ClientHandshakeOptions handshake;
    const bool mariadb = configured.family == routing::ServerFamily::kMariadb;
    handshake.family = mariadb ? session::ServerFamily::kMariadb : session::ServerFamily::kMysql;
    handshake.server_version = (mariadb ? "5.5.5-" : "") + configured.version;
    handshake.capabilities =
        session::OfferedToClients(handshake.family) | CompressionBits(options.compression, mariadb);
    handshake.tls_available = configured.tls != config::TlsMode::kDisabled;
    handshake.tls_required = configured.tls == config::TlsMode::kRequired;
    handshake.default_plugin = mariadb ? auth::Plugin::kNativePassword : auth::Plugin::kCachingSha2;
    handshake.rsa = rsa;
    handshake.max_login_bytes = options.clients.max_unauthenticated_bytes;
    listener->handshake =
        std::make_shared<const session::ClientHandshakeOptions>(std::move(handshake));
    listener->tls = tls;
    listeners.push_back(std::move(listener));
  }
  return listeners;
}

std::string PlaceSockets(const config::Options& options,
                         const std::vector<std::shared_ptr<const io::ClientListener>>& listeners,
                         size_t workers, GivenSockets* given, PlacedSockets* placed) {
  std::vector<WantedListener> wanted;
  for (const auto& listener : listeners) wanted.push_back({"mysql", listener->address});
  const size_t admin = wanted.size();
  if (options.admin.has_value()) wanted.push_back({"admin", AddressOf(*options.admin)});
  const size_t http = wanted.size();
  if (options.http.has_value()) wanted.push_back({"http", AddressOf(*options.http)});
  given->Match(wanted);
  placed->workers.assign(workers, {});
  for (const auto& listener : listeners) {
    const std::vector<GivenSocket> sockets = given->Take(listener->index);
    placed->listeners.push_back(sockets.empty() ? "" : sockets.front().address.ToText());
    std::vector<std::vector<io::GivenListener>> spread = SpreadSockets(sockets, workers);
    for (size_t i = 0; i < workers; ++i) placed->workers[i].push_back(std::move(spread[i]));
  }
  std::optional<GivenSocket> one;
  if (options.admin.has_value()) {
    if (std::string error = PlaceOne(*options.admin, "admin", given->Take(admin), &one);
        !error.empty())
      return error;
    if (one.has_value())
      placed->admin = io::GivenListener{.fd = one->fd, .keep_file = one->keep_file};
  }
  one.reset();
  if (options.http.has_value()) {
    if (std::string error = PlaceOne(*options.http, "http", given->Take(http), &one);
        !error.empty())
      return error;
    if (one.has_value()) placed->http = one->fd;
  }
  return {};
}

io::TlsContext::Ptr MakeBackendTls(const config::Options& options, std::string* error) {
  const config::BackendTlsOptions& tls = options.backend_tls;
  io::TlsClientOptions client;
  // The authorities are loaded wherever there are some: each backend's own mode says whether its
  // certificate is checked. Without any, a check finds nothing good.
  client.verify = tls.ca.empty() ? io::TlsVerify::kNone : io::TlsVerify::kIdentity;
  if (tls.ca != "system") client.ca_file = tls.ca;
  client.cert_file = tls.cert;
  client.key_file = tls.key;
  client.min_version = VersionOf(tls.min_version);
  return io::TlsContext::MakeClient(client, error);
}

}  // namespace bulkhead
