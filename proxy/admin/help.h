// HELP: the list of statements for people.
//
// Purpose: in the forms that the mysql client knows how to show: one statement in three columns,
// several in two. Thread: any; pure. Errors: 1064 with the nearest statement.
// Source: MySQL 8.0 Reference Manual, "HELP Statement"; com_server_help in client/mysql.cc.
#ifndef BULKHEAD_PROXY_ADMIN_HELP_H_
#define BULKHEAD_PROXY_ADMIN_HELP_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/admin/tokens.h"

namespace bulkhead::admin {

struct HelpAnswer {
  std::vector<std::string> columns{};
  std::vector<std::vector<std::string>> rows{};
  std::optional<StatementError> error{};
};
// `topic` as typed; empty, "contents" and "%": everything.
[[nodiscard]] HelpAnswer Help(std::string_view topic);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_HELP_H_
