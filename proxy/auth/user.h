// The users who may log in to the router. Immutable once built; any thread may read.
#ifndef BULKHEAD_PROXY_AUTH_USER_H_
#define BULKHEAD_PROXY_AUTH_USER_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/auth/credential.h"

namespace bulkhead::auth {

enum class PoolingMode : uint8_t { kTransaction, kSession };

// The account that a user's statements run under on the backends, where it is not his own.
struct BackendAccount {
  std::string user;
  Secret password;
};

struct UserRecord {
  std::string name;  // what remains of the login name once the tenant is taken off
  Credential credential;
  std::optional<BackendAccount>
      backend_account;                 // nullopt: the same name, with the secret of his login
  std::vector<std::string> tenants;    // that he may use; empty: all
  std::optional<PoolingMode> pooling;  // nullopt: the default
};

class UserDirectory {
 public:
  virtual ~UserDirectory() = default;

  // nullptr if there is none. The record lives as long as the directory.
  [[nodiscard]] virtual const UserRecord* Find(std::string_view login_name) const = 0;
};

// A directory in memory. Names are compared byte by byte, as the server does.
class UserTable final : public UserDirectory {
 public:
  UserTable() = default;
  // Of several records with one name the first counts.
  explicit UserTable(std::vector<UserRecord> users);

  [[nodiscard]] const UserRecord* Find(std::string_view login_name) const override;
  [[nodiscard]] const std::vector<UserRecord>& users() const { return users_; }

 private:
  std::vector<UserRecord> users_;  // sorted by name
};

// Stands in for the credential of a user who does not exist, so that his login takes the same
// course and the same time as a known user's with a wrong password. Which kind of credential a name
// gets is a fixed function of the name and `key` (random, made once per process), in the
// proportions of the kinds in `users`; no password fits it.
class DecoyCredentials {
 public:
  // `key`: at least 16 random bytes.
  DecoyCredentials(const UserTable& users, Secret key);

  [[nodiscard]] Credential For(std::string_view login_name) const;

 private:
  std::vector<Credential::Kind> kinds_;  // one per user
  CachingSha2Verifier::Scheme scheme_ = CachingSha2Verifier::Scheme::kShaCrypt;
  uint32_t rounds_ = kCachingSha2DefaultRounds;
  Ed25519PublicKey ed25519_;  // one for all: making one takes long enough to be noticed
  Secret key_;
};

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_USER_H_
