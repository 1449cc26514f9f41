// The passwords that users with a stored verifier have shown by logging in, kept for the life of
// the process: for the fast exchange of caching_sha2_password, and for logging on to backends in
// their names.
//
// Thread-safe (a lock held for a lookup; it is taken once per login, never per statement). In
// memory only, in locked memory where there is some (see secret.h). Limit: one entry per user name,
// and none for users who do not exist, since nobody proves a password for those.
#ifndef BULKHEAD_PROXY_AUTH_LEARNED_PASSWORDS_H_
#define BULKHEAD_PROXY_AUTH_LEARNED_PASSWORDS_H_

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "proxy/auth/credential.h"
#include "proxy/auth/secret.h"

namespace bulkhead::auth {

class LearnedPasswords {
 public:
  // nullptr if none is known, or if it was shown for another credential than this one (the
  // configuration has changed since).
  [[nodiscard]] std::shared_ptr<const Secret> Find(std::string_view user,
                                                   const Credential& credential) const;

  // `password` has just been proved against `credential`. Without effect for a plaintext
  // credential, which says it all by itself.
  void Remember(std::string_view user, const Credential& credential, std::string_view password);

  [[nodiscard]] size_t size() const;

 private:
  struct Entry {
    Credential credential;
    std::shared_ptr<const Secret> password;
  };

  mutable std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_LEARNED_PASSWORDS_H_
