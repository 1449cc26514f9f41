// The users who may log in to the router. Immutable once built; any thread may read.
#ifndef BULKHEAD_PROXY_AUTH_USER_H_
#define BULKHEAD_PROXY_AUTH_USER_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/auth/credential.h"

namespace bulkhead::auth {

enum class PoolingMode : uint8_t { kTransaction, kSession };

// The account that a user's statements run under on the backends, where it is not his own.
struct BackendAccount {
  std::string user;
  Secret password;
};

// How many sessions a user has, and may have. One for all records of a name, whatever a reload
// changes; any thread.
struct UserSessions {
  std::atomic<uint32_t> open{0};
  std::atomic<uint32_t> most{0};  // 0: no limit of his own
};

// One session's place. Not valid until Take has succeeded.
class UserPlace {
 public:
  UserPlace() = default;
  UserPlace(UserPlace&& other) noexcept = default;
  UserPlace& operator=(UserPlace&& other) noexcept {
    std::swap(sessions_, other.sessions_);
    return *this;
  }
  ~UserPlace() {
    if (sessions_ != nullptr) sessions_->open.fetch_sub(1, std::memory_order_relaxed);
  }
  // False: the user has as many as he may. nullptr: nobody counts.
  [[nodiscard]] bool Take(const std::shared_ptr<UserSessions>& sessions) {
    if (sessions == nullptr || sessions == sessions_) return true;
    const uint32_t most = sessions->most.load(std::memory_order_relaxed);
    if (sessions->open.fetch_add(1, std::memory_order_relaxed) >= most && most != 0) {
      sessions->open.fetch_sub(1, std::memory_order_relaxed);
      return false;
    }
    UserPlace before;
    std::swap(before.sessions_, sessions_);
    sessions_ = sessions;
    return true;
  }

 private:
  std::shared_ptr<UserSessions> sessions_;
};

struct UserRecord {
  std::string name;  // what remains of the login name once the tenant is taken off
  Credential credential;
  std::optional<BackendAccount>
      backend_account;                 // nullopt: the same name, with the secret of his login
  std::vector<std::string> tenants;    // that he may use; empty: all
  std::optional<PoolingMode> pooling;  // nullopt: the default
  std::shared_ptr<UserSessions> sessions;
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
