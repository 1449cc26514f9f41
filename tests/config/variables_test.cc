// The configuration as variables: every key is there, SET is checked as the file is, and a reload
// takes what may change.

#include "proxy/config/variables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/config/load.h"
#include "proxy/config/option_list.h"

namespace bulkhead::config {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kHead[] =
    "listen: {mysql: [\"127.0.0.1:3306\"], admin: \"127.0.0.1:6032\"}\n"
    "users: [{name: app, password: secret}]\n"
    "admin_users: [{name: dba, password: secret}]\n";

std::shared_ptr<const Options> Load(const std::string& text) {
  const LoadResult result = LoadString(text, "/etc/b/b.yaml", Environment::Empty());
  for (const ConfigError& error : result.errors) ADD_FAILURE() << error.ToString();
  return result.options;
}

Variable Find(const Options& options, std::string_view name) {
  for (Variable& variable : ListVariables(options)) {
    if (variable.name == name) return std::move(variable);
  }
  ADD_FAILURE() << "no " << name;
  return {};
}

TEST(Variables, HoldEveryKeyThatIsOneValueAndNoSecret) {
  const auto options = Load(kHead);
  std::set<std::string_view> names;
  for (const Variable& variable : ListVariables(*options)) names.insert(variable.name);
  for (const Option& option : OptionList()) {
    const std::string_view path = option.path;
    const bool part_of_list = path.find('[') != std::string_view::npos;
    const bool secret = path.find("password") != std::string_view::npos;
    // Said by the key above.
    const bool told = path.ends_with(".address") || path == "tenancy.unassigned.shard";
    EXPECT_EQ(names.contains(path), !part_of_list && !secret && !told) << path;
  }
}

TEST(Variables, TellWhereTheyComeFrom) {
  const auto options = Load(std::string(kHead) + "hold: {max_wait: 1500ms}\n");
  EXPECT_EQ(Find(*options, "hold.max_wait").value, "1500ms");
  EXPECT_EQ(Find(*options, "hold.max_wait").source, "file");
  EXPECT_EQ(Find(*options, "hold.max_bytes").value, "64MiB");
  EXPECT_EQ(Find(*options, "hold.max_bytes").source, "default");
  EXPECT_EQ(Find(*options, "listen.admin").value, "127.0.0.1:6032");
  const auto changed = WithOverrides(*options, {{"hold.max_bytes", "1MiB"}});
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_EQ(Find(**changed, "hold.max_bytes").value, "1MiB");
  EXPECT_EQ(Find(**changed, "hold.max_bytes").source, "SET");
  EXPECT_EQ(Find(**changed, "hold.max_wait").source, "file");
  EXPECT_EQ((*changed)->hold.max_bytes, 1u << 20);
}

// Whatever the options are, their texts are read back as the same.
TEST(Variables, AreReadBackAsTheSame) {
  const auto options = Load(std::string(kHead) +
                            "hold: {max_wait: 90s, read_retry: true, policy: replica}\n"
                            "health: {ping_timeout: 250ms, canaries: 7, detection: hold}\n"
                            "pools: {max_connections: 7, max_age: 0}\n"
                            "clients: {max_allowed_packet: 5000B, idle_timeout: 1h}\n"
                            "tenant_limits: {per_second: 5, burst: 9}\n"
                            "compression: {clients: [zstd], backends: [zlib], zlib_level: 1}\n"
                            "log: {level: debug, format: json}\n"
                            "admin: {idle_timeout: 5m}\n"
                            "metrics: {busiest_tenants: 3}\n"
                            "shutdown_timeout: 7s\n");
  const auto again = WithOverrides(*options, {});
  ASSERT_TRUE(again.ok()) << again.status();
  const std::vector<Variable> before = ListVariables(*options);
  const std::vector<Variable> after = ListVariables(**again);
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].value, after[i].value) << before[i].name;
    EXPECT_EQ(before[i].source, after[i].source) << before[i].name;
  }
  EXPECT_EQ((*again)->users[0].password->reveal(), "secret");
}

// Each variable that may be SET takes its own value, and nothing that is no value at all.
TEST(Variables, EachIsChecked) {
  const auto options = Load(kHead);
  size_t settable = 0;
  for (const Variable& variable : ListVariables(*options)) {
    const std::string name(variable.name);
    if (ChangeOf(name) != OptionChange::kSet) {
      EXPECT_FALSE(CheckSettable(name).ok()) << name;
      EXPECT_FALSE(WithOverrides(*options, {{name, variable.value}}).ok()) << name;
      continue;
    }
    ++settable;
    EXPECT_TRUE(WithOverrides(*options, {{name, variable.value}}).ok()) << name;
    const auto bad = WithOverrides(*options, {{name, "no such thing"}});
    ASSERT_FALSE(bad.ok()) << name;
    EXPECT_THAT(std::string(bad.status().message()), HasSubstr(name));
  }
  EXPECT_GT(settable, 50u);
}

TEST(Variables, ErrorsSayWhatIsWrong) {
  const auto options = Load(kHead);
  const auto error = [&](const char* name, const char* value) {
    return std::string(WithOverrides(*options, {{name, value}}).status().message());
  };
  EXPECT_THAT(error("hold.max_wait", "soon"), HasSubstr("needs a duration such as"));
  EXPECT_THAT(error("hold.max_bytes", "1TiB"), HasSubstr("is more than total_bytes of all"));
  EXPECT_THAT(error("hold.max_wiat", "1s"), HasSubstr("did you mean hold.max_wait?"));
  EXPECT_THAT(error("workers", "3"), HasSubstr("then restart it"));
  EXPECT_THAT(error("tls.clients.mode", "required"), HasSubstr("then RELOAD CONFIG"));
  EXPECT_THAT(error("probe.password", "x"), HasSubstr("there is no variable"));
  // YAML in a value is text.
  EXPECT_THAT(error("hold.policy", "{a: b}"), HasSubstr("needs one of"));
}

TEST(Reload, TakesWhatMayChangeAndNamesTheRest) {
  const auto running = Load(std::string(kHead) + "hold: {max_wait: 10s}\n");
  const auto loaded = Load(
      "listen: {mysql: [\"127.0.0.1:3307\"], admin: \"127.0.0.1:6033\"}\n"
      "users: [{name: other, password: secret}]\n"
      "admin_users: [{name: dba, password: secret}]\n"
      "state_dir: /elsewhere\n"
      "workers: 3\n"
      "tenancy: {username_pattern: \"{user}+{tenant}\"}\n"
      "hold: {max_wait: 20s}\n");
  const ReloadPlan plan = PlanReload(*running, *loaded);
  EXPECT_THAT(plan.need_restart, ElementsAre("listen.mysql", "listen.admin", "workers", "state_dir",
                                             "tenancy.username_pattern"));
  EXPECT_EQ(plan.options->hold.max_wait, 20s);
  EXPECT_EQ(plan.options->users[0].name, "other");
  EXPECT_EQ(plan.options->mysql[0].address.port, 3306);
  EXPECT_EQ(plan.options->admin->address.port, 6032);
  EXPECT_EQ(plan.options->workers, 0u);
  EXPECT_EQ(plan.options->state_dir, running->state_dir);
  EXPECT_FALSE(plan.options->tenancy.username_pattern.has_value());
  EXPECT_EQ(plan.options->topology, running->topology);
  EXPECT_THAT(PlanReload(*running, *running).need_restart, IsEmpty());
}

TEST(PossibleOverrides, TakesThoseThatArePossibleTogether) {
  const auto options = Load(kHead);
  const Overrides pairs = {
      {"clients.max_connections", "900"}, {"clients.max_unauthenticated", "800"},
      {"hold.max_statements", "80000"},   {"hold.total_statements", "100000"},
      {"tenant_limits.burst", "50"},      {"tenant_limits.per_second", "20"}};
  const PossibleOverrides all = WithPossibleOverrides(options, pairs);
  EXPECT_EQ(all.taken, pairs);
  EXPECT_THAT(all.left_out, IsEmpty());
  EXPECT_EQ(Find(*all.options, "hold.max_statements").value, "80000");

  // One that is not possible any more takes none of the others with it.
  Overrides with_bad = pairs;
  with_bad["hold.max_wait"] = "soon";
  with_bad["hold.no_such_key"] = "1";
  const PossibleOverrides most = WithPossibleOverrides(options, with_bad);
  EXPECT_EQ(most.taken, pairs);
  EXPECT_EQ(most.left_out.size(), 2u);
  EXPECT_TRUE(most.left_out.contains("hold.max_wait"));
  EXPECT_EQ(Find(*most.options, "hold.max_statements").value, "80000");
  EXPECT_EQ(Find(*most.options, "hold.max_wait").source, "default");
}

TEST(PossibleOverrides, NoneAtAllIsTheFile) {
  const auto options = Load(kHead);
  const PossibleOverrides none = WithPossibleOverrides(options, {{"hold.max_wait", "soon"}});
  EXPECT_EQ(none.options, options);
  EXPECT_THAT(none.taken, IsEmpty());
}

TEST(Reload, SeesWhatAListenerIsBesidesItsAddress) {
  const auto running = Load(kHead);
  const auto loaded = Load(
      "listen: {mysql: [{address: \"127.0.0.1:3306\", version: 10.5.1-MariaDB}], admin: "
      "\"127.0.0.1:6032\"}\n"
      "users: [{name: app, password: secret}]\n"
      "admin_users: [{name: dba, password: secret}]\n");
  EXPECT_THAT(PlanReload(*running, *loaded).need_restart, ElementsAre("listen.mysql"));
}

TEST(AdminAccess, IsReadAsFarAsItCanBe) {
  Environment environment = Environment::Empty();
  environment.read_file = [](const std::string& path,
                             std::string* why) -> std::optional<Environment::File> {
    if (path == "/etc/b.yaml") {
      return Environment::File{
          "listen: {mysql: \"1.2.3.4:1\", admin: {address: \"127.0.0.1:7\", tls: required}}\n"
          "tls: {clients: {cert: /secret/a, key: /secret/b}}\n"
          "admin_users:\n"
          "  - {name: a, password_file: /secret/c}\n"
          "  - {name: b, password: x, read_only: true}\n",
          false};
    }
    *why = "Permission denied";
    return std::nullopt;
  };
  std::string why;
  const auto access = LoadAdminAccess("/etc/b.yaml", environment, &why);
  ASSERT_TRUE(access.has_value()) << why;
  ASSERT_TRUE(access->listener.has_value());
  EXPECT_EQ(access->listener->address.port, 7);
  ASSERT_EQ(access->users.size(), 2u);
  EXPECT_FALSE(access->users[0].password.has_value());
  EXPECT_TRUE(access->users[1].read_only);
  EXPECT_FALSE(LoadAdminAccess("/etc/other.yaml", environment, &why).has_value());
  EXPECT_EQ(why, "Permission denied");
}

}  // namespace
}  // namespace bulkhead::config
