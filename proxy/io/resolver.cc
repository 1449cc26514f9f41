#include "proxy/io/resolver.h"

#include <netdb.h>

#include <cstring>
#include <utility>

namespace bulkhead::io {

namespace {

// RFC 1035: 255 with the dots.
constexpr size_t kMaxHostName = 255;

}  // namespace

// Belongs to libuv once it was started, so it outlives a Resolution that is dropped.
struct Resolution::Request {
  static void OnDone(uv_getaddrinfo_t* handle, int status, addrinfo* list);

  uv_getaddrinfo_t handle;
  std::string host;
  uint16_t port;
  Callback callback;                 // empty: nobody waits any more
  Resolution* resolution = nullptr;  // nullptr: dropped
};

std::unique_ptr<Resolution> Resolution::Start(EventLoop* loop, std::string_view host, uint16_t port,
                                              Callback callback) {
  auto fail = [&](const std::string& why) {
    callback({{}, "cannot resolve '" + std::string(host) + "': " + why});
    return nullptr;
  };
  if (host.starts_with('/')) {
    auto address = SocketAddress::FromUnixPath(host);
    if (!address) return fail("the path of a Unix socket takes at most 107 bytes");
    callback({{*address}, {}});
    return nullptr;
  }
  if (host.empty()) return fail("the host is empty");
  if (auto address = SocketAddress::FromNumeric(host, port)) {
    callback({{*address}, {}});
    return nullptr;
  }
  if (host.size() > kMaxHostName || host.find('\0') != host.npos) return fail("not a host name");

  auto request = std::make_unique<Request>();
  request->host = host;
  request->port = port;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  request->handle.data = request.get();
  const int status = uv_getaddrinfo(loop->uv(), &request->handle, &Request::OnDone,
                                    request->host.c_str(), nullptr, &hints);
  if (status != 0) return fail(uv_strerror(status));
  request->callback = std::move(callback);
  std::unique_ptr<Resolution> resolution(new Resolution(request.get()));
  request->resolution = resolution.get();
  (void)request.release();  // OnDone deletes it
  return resolution;
}

Resolution::~Resolution() {
  if (request_ == nullptr) return;
  request_->resolution = nullptr;
  request_->callback = nullptr;
  // Works only while it waits for a thread; otherwise the answer comes and nobody hears it.
  (void)uv_cancel(reinterpret_cast<uv_req_t*>(&request_->handle));
}

void Resolution::Request::OnDone(uv_getaddrinfo_t* handle, int status, addrinfo* list) {
  std::unique_ptr<Request> self(static_cast<Request*>(handle->data));
  Result result;
  for (const addrinfo* info = list; info != nullptr; info = info->ai_next) {
    if (result.addresses.size() == kMaxAddresses) break;
    if (info->ai_addrlen > sizeof(sockaddr_storage)) continue;
    SocketAddress address;
    std::memcpy(&address.storage, info->ai_addr, info->ai_addrlen);
    address.length = info->ai_addrlen;
    address.set_port(self->port);
    result.addresses.push_back(address);
  }
  uv_freeaddrinfo(list);
  if (self->resolution == nullptr) return;
  self->resolution->request_ = nullptr;
  if (result.addresses.empty()) {
    result.error = "cannot resolve '" + self->host +
                   "': " + (status != 0 ? uv_strerror(status) : "it has no address");
  }
  self->callback(std::move(result));
}

}  // namespace bulkhead::io
