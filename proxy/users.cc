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

bool Same(const auth::UserRecord& a, const auth::UserRecord& b) {
  const auto account = [](const auth::UserRecord& record) {
    return record.backend_account.has_value()
               ? std::pair(record.backend_account->user, record.backend_account->password.view())
               : std::pair(std::string(), std::string_view());
  };
  return a.name == b.name && a.credential.SameAs(b.credential) &&
         a.backend_account.has_value() == b.backend_account.has_value() &&
         account(a) == account(b) && a.tenants == b.tenants && a.pooling == b.pooling;
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
    : decoy_key_(RandomKey()), table_(MakeTable(std::move(options), nullptr)) {}

std::shared_ptr<const ConfiguredUsers::Table> ConfiguredUsers::MakeTable(
    std::shared_ptr<const config::Options> options, const Table* before) const {
  auto table = std::make_shared<Table>();
  std::vector<auth::UserRecord> records;
  for (const config::User& user : options->users) {
    auth::UserRecord record = RecordOf(user);
    if (before != nullptr && before->records.contains(user.name))
      record.sessions = before->records.at(user.name)->sessions;
    if (record.sessions == nullptr) record.sessions = std::make_shared<auth::UserSessions>();
    record.sessions->most = user.max_connections.value_or(0);
    records.push_back(record);
    std::shared_ptr<const auth::UserRecord>& kept = table->records[user.name];
    if (before != nullptr) {
      auto it = before->records.find(user.name);
      if (it != before->records.end() && Same(*it->second, record)) kept = it->second;
    }
    if (kept == nullptr) kept = std::make_shared<const auth::UserRecord>(std::move(record));
  }
  table->decoys =
      std::make_unique<auth::DecoyCredentials>(auth::UserTable(std::move(records)), decoy_key_);
  table->options = std::move(options);
  return table;
}

std::shared_ptr<const ConfiguredUsers::Table> ConfiguredUsers::Now() const {
  const std::lock_guard lock(mutex_);
  return table_;
}

void ConfiguredUsers::Replace(std::shared_ptr<const config::Options> options) {
  std::shared_ptr<const Table> table = MakeTable(std::move(options), Now().get());
  const std::lock_guard lock(mutex_);
  table_ = std::move(table);
}

session::LoginLookup ConfiguredUsers::Lookup(std::string_view user_as_given) const {
  const std::shared_ptr<const Table> table = Now();
  // A user whose whole name is configured is meant literally, also where it looks like the pattern.
  session::LoginLookup found;
  auto it = table->records.find(std::string(user_as_given));
  if (it == table->records.end()) {
    const routing::LoginName name = routing::SplitLoginName(table->options->tenancy, user_as_given);
    found.tenant = name.tenant;
    it = table->records.find(std::string(name.user));
  }
  if (it == table->records.end()) return found;
  found.record = it->second;
  found.learned_password = learned_.Find(found.record->name, found.record->credential);
  return found;
}

auth::Credential ConfiguredUsers::Decoy(std::string_view user_as_given) const {
  return Now()->decoys->For(user_as_given);
}

void ConfiguredUsers::Learn(const session::LoginResult& result) const {
  if (result.secret.kind() != auth::LoginSecret::Kind::kPlaintext) return;
  learned_.Remember(result.record->name, result.record->credential, result.secret.password());
}

}  // namespace bulkhead
