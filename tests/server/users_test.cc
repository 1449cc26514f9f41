#include "proxy/users.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "proxy/config/load.h"

namespace bulkhead {
namespace {

constexpr std::string_view kConfiguration = R"(
listen: {mysql: ["127.0.0.1:3306"]}
users:
  - {name: plain, password: secret}
  - {name: native, verifier: "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"}
  - {name: other, verifier: "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"}
tenancy: {username_pattern: "{user}@{tenant}"}
topology:
  backends: [{name: db1, address: "127.0.0.1:3307"}]
  shards: [{name: s1, primary: db1}]
  tenants: [{name: acme, shard: s1}]
)";

std::shared_ptr<const config::Options> LoadOptions() {
  const config::LoadResult loaded =
      config::LoadString(kConfiguration, "test.yaml", config::Environment::Empty());
  EXPECT_TRUE(loaded.ok()) << (loaded.errors.empty() ? "" : loaded.errors[0].ToString());
  return loaded.options;
}

session::LoginResult ResultOf(const session::LoginLookup& lookup, auth::LoginSecret secret) {
  session::LoginResult result;
  result.record = lookup.record;
  result.secret = std::move(secret);
  return result;
}

TEST(ConfiguredUsers, TakeTheTenantOffTheName) {
  const ConfiguredUsers users(LoadOptions());
  const session::LoginLookup app = users.Lookup("native@acme");
  ASSERT_NE(app.record, nullptr);
  EXPECT_EQ(app.record->name, "native");
  EXPECT_EQ(app.tenant, "acme");
  EXPECT_EQ(users.Lookup("nobody@acme").record, nullptr);
}

TEST(ConfiguredUsers, LearnPasswordsThatLoginsShow) {
  const ConfiguredUsers users(LoadOptions());
  const session::LoginLookup first = users.Lookup("native");
  ASSERT_NE(first.record, nullptr);
  EXPECT_EQ(first.learned_password, nullptr);
  users.Learn(ResultOf(first, auth::LoginSecret::Plaintext(auth::Secret("secret"))));
  // Whatever the tenant in the name.
  const session::LoginLookup second = users.Lookup("native@acme");
  ASSERT_NE(second.learned_password, nullptr);
  EXPECT_EQ(second.learned_password->view(), "secret");
  EXPECT_EQ(users.Lookup("other").learned_password, nullptr);
}

TEST(ConfiguredUsers, LearnNothingFromAScramble) {
  const ConfiguredUsers users(LoadOptions());
  const session::LoginLookup native = users.Lookup("native");
  users.Learn(ResultOf(native, auth::LoginSecret::NativeStage1(auth::Sha1Digest{})));
  users.Learn(ResultOf(native, auth::LoginSecret()));
  EXPECT_EQ(users.Lookup("native").learned_password, nullptr);
  // A plaintext credential says it all by itself.
  const session::LoginLookup plain = users.Lookup("plain");
  users.Learn(ResultOf(plain, auth::LoginSecret::Plaintext(auth::Secret("secret"))));
  EXPECT_EQ(users.Lookup("plain").learned_password, nullptr);
}

}  // namespace
}  // namespace bulkhead
