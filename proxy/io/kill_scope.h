// Whom a client's KILL reaches. A value; any thread.
//
// Purpose: sessions of the same user, and of the same tenant where both have one. (The connection
// that the command line client makes for Ctrl-C names no database, and so may have no tenant.)
#ifndef BULKHEAD_PROXY_IO_KILL_SCOPE_H_
#define BULKHEAD_PROXY_IO_KILL_SCOPE_H_

#include <string>

#include "proxy/session/session.h"

namespace bulkhead::io {

struct KillScope {
  std::string user;    // as given at the login
  std::string tenant;  // empty: none

  [[nodiscard]] bool Reaches(const session::Session& victim) const {
    if (victim.login().user_as_given != user) return false;
    const std::string_view of_victim = victim.tenant_of_command();
    return tenant.empty() || of_victim.empty() || of_victim == tenant;
  }
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_KILL_SCOPE_H_
