#include "proxy/admin/admin_users.h"

#include <utility>

namespace bulkhead::admin {

AdminUsers::AdminUsers(const std::vector<config::AdminUser>& users, const auth::Secret& decoy_key) {
  std::vector<auth::UserRecord> table;
  for (const config::AdminUser& user : users) {
    auth::UserRecord record;
    record.name = user.name;
    // The configuration has checked the verifier's form.
    record.credential =
        user.password.has_value()
            ? auth::Credential::FromPlaintext(user.password->reveal())
            : auth::Credential::FromVerifier(user.verifier->text).value_or(auth::Credential());
    table.push_back(record);
    users_[user.name] = {std::make_shared<const auth::UserRecord>(std::move(record)),
                         user.read_only};
  }
  decoys_ = std::make_unique<auth::DecoyCredentials>(auth::UserTable(std::move(table)), decoy_key);
}

session::LoginLookup AdminUsers::Lookup(std::string_view user_as_given) const {
  auto it = users_.find(user_as_given);
  if (it == users_.end()) return {};
  session::LoginLookup found;
  found.record = it->second.record;
  return found;
}

auth::Credential AdminUsers::Decoy(std::string_view user_as_given) const {
  return decoys_->For(user_as_given);
}

bool AdminUsers::IsReadOnly(std::string_view user) const {
  auto it = users_.find(user);
  return it == users_.end() || it->second.read_only;
}

}  // namespace bulkhead::admin
