// The configured users as the login machines ask for them.
//
// Thread: any. A mutex guards the table, which a reload replaces, and the passwords learned from
// logins (logins only, never statements). What is learned lives as long as this, that is as long as
// the process, in locked memory where there is some, and is bound to the verifier that it was shown
// for. A user whose entry a reload leaves as it was keeps his record, and so his place in the
// pools.
#ifndef BULKHEAD_PROXY_USERS_H_
#define BULKHEAD_PROXY_USERS_H_

#include <memory>
#include <mutex>
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

  // For logins from now on.
  void Replace(std::shared_ptr<const config::Options> options);

  [[nodiscard]] session::LoginLookup Lookup(std::string_view user_as_given) const override;
  [[nodiscard]] auth::Credential Decoy(std::string_view user_as_given) const override;
  void Learn(const session::LoginResult& result) const override;

 private:
  struct Table {
    std::shared_ptr<const config::Options> options;
    absl::flat_hash_map<std::string, std::shared_ptr<const auth::UserRecord>> records;
    std::unique_ptr<const auth::DecoyCredentials> decoys;
  };
  [[nodiscard]] std::shared_ptr<const Table> Now() const;
  [[nodiscard]] std::shared_ptr<const Table> MakeTable(
      std::shared_ptr<const config::Options> options, const Table* before) const;

  const auth::Secret decoy_key_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Table> table_;
  mutable auth::LearnedPasswords learned_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_USERS_H_
