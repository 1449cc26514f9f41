// The configured users as the login machines ask for them.
//
// Thread: any; immutable but for the passwords learned from logins, which a mutex guards (logins
// only, never statements). What is learned lives as long as this, that is as long as the process,
// in locked memory where there is some.
#ifndef BULKHEAD_PROXY_USERS_H_
#define BULKHEAD_PROXY_USERS_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "proxy/auth/learned_passwords.h"
#include "proxy/auth/user.h"
#include "proxy/config/options.h"
#include "proxy/session/login.h"

namespace bulkhead {

class ConfiguredUsers final : public session::LoginPolicy {
 public:
  explicit ConfiguredUsers(std::shared_ptr<const config::Options> options);

  [[nodiscard]] session::LoginLookup Lookup(std::string_view user_as_given) const override;
  [[nodiscard]] auth::Credential Decoy(std::string_view user_as_given) const override;
  void Learn(const session::LoginResult& result) const override;

 private:
  const std::shared_ptr<const config::Options> options_;
  absl::flat_hash_map<std::string, std::shared_ptr<const auth::UserRecord>> records_;
  std::unique_ptr<const auth::DecoyCredentials> decoys_;
  mutable auth::LearnedPasswords learned_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_USERS_H_
