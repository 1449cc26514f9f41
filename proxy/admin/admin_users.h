// The configured admin users, as the login machine asks for them.
//
// Thread: any; immutable. A reload makes another one: what an admin session is allowed was decided
// when it logged in, and a user who is gone can't log in again.
#ifndef BULKHEAD_PROXY_ADMIN_ADMIN_USERS_H_
#define BULKHEAD_PROXY_ADMIN_ADMIN_USERS_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/auth/user.h"
#include "proxy/config/options.h"
#include "proxy/session/login.h"

namespace bulkhead::admin {

class AdminUsers final : public session::LoginPolicy {
 public:
  // `decoy_key`: random, the same for the life of the process.
  AdminUsers(const std::vector<config::AdminUser>& users, const auth::Secret& decoy_key);

  [[nodiscard]] session::LoginLookup Lookup(std::string_view user_as_given) const override;
  [[nodiscard]] auth::Credential Decoy(std::string_view user_as_given) const override;
  [[nodiscard]] bool IsReadOnly(std::string_view user) const;

 private:
  struct Entry {
    std::shared_ptr<const auth::UserRecord> record;
    bool read_only = false;
  };
  std::map<std::string, Entry, std::less<>> users_;
  std::unique_ptr<const auth::DecoyCredentials> decoys_;
};

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_ADMIN_USERS_H_
