#include "proxy/auth/learned_passwords.h"

#include <utility>

namespace bulkhead::auth {

std::shared_ptr<const Secret> LearnedPasswords::Find(std::string_view user,
                                                     const Credential& credential) const {
  const std::lock_guard lock(mutex_);
  const auto at = entries_.find(user);
  if (at == entries_.end() || !at->second.credential.SameAs(credential)) return nullptr;
  return at->second.password;
}

void LearnedPasswords::Remember(std::string_view user, const Credential& credential,
                                std::string_view password) {
  if (credential.kind() == Credential::Kind::kPlaintext) return;
  Entry entry{credential, std::make_shared<const Secret>(password)};
  const std::lock_guard lock(mutex_);
  const auto at = entries_.find(user);
  if (at == entries_.end()) {
    entries_.emplace(user, std::move(entry));
  } else {
    at->second = std::move(entry);
  }
}

size_t LearnedPasswords::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace bulkhead::auth
