// One connection of the `bulkhead admin` client to an admin listener, over libmysqlclient.
//
// Purpose: the only file of this folder that includes mysql.h; compiles against MariaDB Connector/C
// (Debian's libmysqlclient) and Oracle's library alike.
// Thread: one at a time for a link; several links may be used at once. Blocking.
// Units: seconds. Errors: LinkError, with the server's code and SQLSTATE, or the library's (2xxx).
#ifndef BULKHEAD_PROXY_ADMIN_CLIENT_LINK_H_
#define BULKHEAD_PROXY_ADMIN_CLIENT_LINK_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/config/options.h"

namespace bulkhead::admin {

struct LinkTarget {
  std::string host = "127.0.0.1";
  uint16_t port = 6032;
  std::string socket{};  // instead of host and port
  std::string user = "admin";
  config::Secret password{};
  enum class Tls : uint8_t { kDisabled, kPreferred, kRequired, kVerify };
  Tls tls = Tls::kPreferred;
  std::string ca{};  // file, for kVerify
  uint32_t connect_timeout = 10;
};

struct LinkError {
  unsigned code = 0;
  std::string state;
  std::string message;
  // The connection is gone: what ran has an unknown end.
  [[nodiscard]] bool lost() const { return code == 2006 || code == 2013 || code == 2055; }
};

// One answer: rows, or a message.
struct LinkResult {
  struct ResultColumn {
    std::string name;
    bool is_number = false;
  };
  std::vector<ResultColumn> columns{};  // empty: no rows
  std::vector<std::vector<std::optional<std::string>>> rows{};
  std::string message{};
  unsigned warnings = 0;
};

class ClientLink {
 public:
  ClientLink();
  ~ClientLink();
  ClientLink(const ClientLink&) = delete;
  ClientLink& operator=(const ClientLink&) = delete;

  [[nodiscard]] std::optional<LinkError> Connect(const LinkTarget& target);
  // One statement. What came before an error stays in *results.
  [[nodiscard]] std::optional<LinkError> Query(const std::string& statement,
                                               std::vector<LinkResult>* results);
  // The number that KILL takes.
  [[nodiscard]] uint64_t id() const;
  [[nodiscard]] std::string server_version() const;
  [[nodiscard]] bool encrypted() const;

 private:
  struct Impl;
  [[nodiscard]] LinkError Error() const;
  const std::unique_ptr<Impl> impl_;
};

// "libmariadb 3.3.20"
[[nodiscard]] std::string ClientLibrary();

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_CLIENT_LINK_H_
