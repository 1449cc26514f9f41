#include "proxy/users.h"

#include <openssl/rand.h>

#include <cstdlib>
#include <utility>

#include "routing/tenant_resolution.h"

namespace bulkhead {

namespace {

auth::Credential CredentialOf(const config::User& user) {
  if (user.password.has_value()) return auth::Credential::FromPlaintext(user.password->reveal());
  // The configuration has checked the verifier's form.
  return auth::Credential::FromVerifier(user.verifier->text).value_or(auth::Credential());
}

auth::UserRecord RecordOf(const config::User& user) {
  auth::UserRecord record;
  record.name = user.name;
  record.credential = CredentialOf(user);
  if (user.backend.has_value()) {
    record.backend_account =
        auth::BackendAccount{user.backend->user, auth::Secret(user.backend->password.reveal())};
  }
  record.tenants = user.tenants;
  record.pooling = user.pooling == routing::Pooling::kSession ? auth::PoolingMode::kSession
                                                              : auth::PoolingMode::kTransaction;
  return record;
}

auth::Secret RandomKey() {
  std::string bytes(32, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())) !=
      1)
    std::abort();
  auth::Secret key(bytes);
  auth::Wipe(bytes);
  return key;
}

}  // namespace

ConfiguredUsers::ConfiguredUsers(std::shared_ptr<const config::Options> options)
    : options_(std::move(options)) {
  std::vector<auth::UserRecord> table;
  for (const config::User& user : options_->users) {
    auth::UserRecord record = RecordOf(user);
    table.push_back(record);
    records_[user.name] = std::make_shared<const auth::UserRecord>(std::move(record));
  }
  decoys_ =
      std::make_unique<auth::DecoyCredentials>(auth::UserTable(std::move(table)), RandomKey());
}

session::LoginLookup ConfiguredUsers::Lookup(std::string_view user_as_given) const {
  // A user whose whole name is configured is meant literally, also where it looks like the pattern.
  session::LoginLookup found;
  auto it = records_.find(std::string(user_as_given));
  if (it == records_.end()) {
    const routing::LoginName name = routing::SplitLoginName(options_->tenancy, user_as_given);
    found.tenant = name.tenant;
    it = records_.find(std::string(name.user));
  }
  if (it == records_.end()) return found;
  found.record = it->second;
  found.learned_password = learned_.Find(found.record->name, found.record->credential);
  return found;
}

auth::Credential ConfiguredUsers::Decoy(std::string_view user_as_given) const {
  return decoys_->For(user_as_given);
}

void ConfiguredUsers::Learn(const session::LoginResult& result) const {
  if (result.secret.kind() != auth::LoginSecret::Kind::kPlaintext) return;
  learned_.Remember(result.record->name, result.record->credential, result.secret.password());
}

}  // namespace bulkhead
