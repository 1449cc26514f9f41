// The admin users' passwords, for whoever logs in with the password itself (HTTP Basic).
//
// Purpose: from the configuration's admin_users, by plaintext or by stored verifier.
// Thread: any; one check at a time (a mutex), so that guessing costs at most one processor.
// Errors: an unknown user costs as much time as a wrong password.
#ifndef BULKHEAD_PROXY_ADMIN_LOGIN_H_
#define BULKHEAD_PROXY_ADMIN_LOGIN_H_

#include <mutex>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "proxy/auth/credential.h"
#include "proxy/config/options.h"

namespace bulkhead {

class AdminLogin {
 public:
  explicit AdminLogin(const config::Options& options);
  // Milliseconds where the user has a caching_sha2_password verifier.
  [[nodiscard]] bool Check(std::string_view user, std::string_view password) const;

 private:
  mutable std::mutex mutex_;
  absl::flat_hash_map<std::string, auth::Credential> users_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_ADMIN_LOGIN_H_
