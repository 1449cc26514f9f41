// The PROXY header comes from a load balancer that is believed, before anything else is known: it
// must be parsed within its bounds, and the same way however it is cut.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "proxy/wire/proxy_protocol.h"

namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using bulkhead::wire::IpAddress;
  using bulkhead::wire::ProxyHeader;
  using bulkhead::wire::ProxyHeaderState;
  const std::span<const uint8_t> bytes(data, size);
  const ProxyHeader whole = bulkhead::wire::ParseProxyHeader(bytes);
  switch (whole.state) {
    case ProxyHeaderState::kNeedMore:
      Check(size < bulkhead::wire::kMaxProxyHeader);
      break;
    case ProxyHeaderState::kDone: {
      Check(whole.consumed > 0 && whole.consumed <= size);
      Check(whole.consumed <= bulkhead::wire::kMaxProxyHeader);
      if (whole.has_addresses) {
        Check(IpAddress::Parse(whole.source.ToText()) == whole.source);
        Check(IpAddress::Parse(whole.destination.ToText()) == whole.destination);
      }
      // What is behind the header does not matter, and no prefix is taken for a header.
      const ProxyHeader exact = bulkhead::wire::ParseProxyHeader(bytes.first(whole.consumed));
      Check(exact.state == ProxyHeaderState::kDone && exact.consumed == whole.consumed);
      for (size_t cut = 0; cut < whole.consumed; ++cut) {
        const ProxyHeader part = bulkhead::wire::ParseProxyHeader(bytes.first(cut));
        Check(part.state == ProxyHeaderState::kNeedMore);
      }
      break;
    }
    case ProxyHeaderState::kError:
      Check(!whole.error.empty());
      break;
  }
  bulkhead::wire::NetworkList list;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (list.Add(text)) Check(list.Contains(text.substr(0, text.find('/'))));
  return 0;
}
