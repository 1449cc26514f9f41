#include "proxy/admin_login.h"

#include "routing/abseil_view.h"

namespace bulkhead {

AdminLogin::AdminLogin(const config::Options& options) {
  for (const config::AdminUser& user : options.admin_users) {
    if (user.password.has_value()) {
      users_.emplace(user.name, auth::Credential::FromPlaintext(user.password->reveal()));
    } else if (auto credential = auth::Credential::FromVerifier(user.verifier->text)) {
      users_.emplace(user.name, *std::move(credential));
    }
  }
}

bool AdminLogin::Check(std::string_view user, std::string_view password) const {
  if (users_.empty()) return false;
  const std::lock_guard lock(mutex_);
  const auto it = users_.find(routing::Abs(user));
  const bool known = it != users_.end();
  const bool right = (known ? it : users_.begin())->second.Check(password);
  return known && right;
}

}  // namespace bulkhead
