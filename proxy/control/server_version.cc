#include "proxy/control/server_version.h"

#include <charconv>

namespace bulkhead::control {

ServerVersion ParseServerVersion(std::string_view text) {
  constexpr std::string_view kOldProtocol = "5.5.5-";
  ServerVersion version;
  version.mariadb = text.find("MariaDB") != std::string_view::npos;
  if (version.mariadb && text.starts_with(kOldProtocol)) text.remove_prefix(kOldProtocol.size());
  version.text = text;
  uint32_t parts[3] = {};
  for (uint32_t& part : parts) {
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), part);
    if (parsed.ec != std::errc()) break;
    text.remove_prefix(static_cast<size_t>(parsed.ptr - text.data()));
    if (!text.starts_with('.')) break;
    text.remove_prefix(1);
  }
  version.number = parts[0] * 10000 + parts[1] * 100 + parts[2];
  return version;
}

}  // namespace bulkhead::control
