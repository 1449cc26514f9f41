// What kind of server it is: the family and the version, from what it says of itself.
//
// Pure; any thread. Source: MariaDB puts its name into the version ("10.11.14-MariaDB-log", older
// protocols "5.5.5-" in front of it); MySQL and its relatives do not ("8.4.6", "8.0.36-28",
// "8.0.mysql_aurora.3.05.2", "8.0.31-google").
#ifndef BULKHEAD_PROXY_CONTROL_SERVER_VERSION_H_
#define BULKHEAD_PROXY_CONTROL_SERVER_VERSION_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::control {

struct ServerVersion {
  bool mariadb = false;
  uint32_t number = 0;  // 10.11.14: 101114
  std::string text{};
};

[[nodiscard]] ServerVersion ParseServerVersion(std::string_view text);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_SERVER_VERSION_H_
