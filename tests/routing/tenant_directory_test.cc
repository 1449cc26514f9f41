#include "routing/tenant_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "routing/topology.h"

namespace bulkhead::routing {
namespace {

std::map<std::string, int> Contents(const TenantDirectory& directory) {
  std::map<std::string, int> out;
  directory.ForEach([&](std::string_view name, const TenantRecord& record) {
    EXPECT_TRUE(out.emplace(std::string(name), record.shard.index).second) << name;
    return true;
  });
  return out;
}

TenantRecord OnShard(int shard) { return {.shard = ShardId{static_cast<uint16_t>(shard), 1}}; }

TEST(StableTenantHash, IsFixedForEver) {
  // Computed apart from this code, from FNV-1a and MurmurHash3's finaliser as published.
  EXPECT_EQ(StableTenantHash(""), 0xefd01f60ba992926ull);
  EXPECT_EQ(StableTenantHash("acme"), 0x3a25b6656ba9cfc6ull);
  EXPECT_EQ(SlotOf("acme"), 0x3a25b6656ba9cfc6ull >> 52);
  EXPECT_EQ(StableTenantHash("globex"), 0x2d5e34dab39d74b1ull);
}

TEST(TenantDirectory, FindsWhatWasInserted) {
  TenantDirectory directory;
  EXPECT_FALSE(directory.Find("acme"));
  EXPECT_TRUE(directory.Insert("acme", OnShard(3)));
  EXPECT_FALSE(directory.Insert("acme", OnShard(4)));
  ASSERT_TRUE(directory.Find("acme"));
  EXPECT_EQ(directory.Find("acme")->shard, (ShardId{4, 1}));
  EXPECT_FALSE(directory.Find("ACME"));
  EXPECT_FALSE(directory.Find("acm"));
  EXPECT_EQ(directory.size(), 1u);
}

TEST(TenantDirectory, KeepsEveryOption) {
  TenantDirectory directory;
  directory.Insert("plain", OnShard(1));
  directory.Insert("full", {.shard = ShardId{65534, 65535},
                            .pooling = Pooling::kSession,
                            .hold = HoldPolicy::kReject,
                            .physical_database = "crm_full"});
  directory.Insert("first", {.shard = ShardId{0, 0},
                             .pooling = Pooling::kTransaction,
                             .hold = HoldPolicy::kHold,
                             .physical_database = std::string_view()});
  EXPECT_FALSE(directory.Find("plain")->pooling);
  EXPECT_FALSE(directory.Find("plain")->hold);
  EXPECT_EQ(directory.Find("plain")->physical_database, "");
  EXPECT_EQ(directory.Find("full")->shard, (ShardId{65534, 65535}));
  EXPECT_EQ(directory.Find("full")->pooling, Pooling::kSession);
  EXPECT_EQ(directory.Find("full")->hold, HoldPolicy::kReject);
  EXPECT_EQ(directory.Find("full")->physical_database, "crm_full");
  EXPECT_EQ(directory.Find("first")->pooling, Pooling::kTransaction);
  EXPECT_EQ(directory.Find("first")->hold, HoldPolicy::kHold);
}

TEST(TenantDirectory, LongestTextsFit) {
  const std::string name(kMaxEntryText, 'n');
  const std::string schema(kMaxEntryText, 's');
  TenantDirectory directory;
  directory.Insert(name, {.shard = ShardId{1, 1}, .physical_database = schema});
  EXPECT_EQ(directory.Find(name)->physical_database, schema);
  EXPECT_TRUE(directory.Erase(name));
  EXPECT_TRUE(directory.empty());
}

TEST(TenantDirectory, AnOldVersionDoesNotChange) {
  TenantDirectory now;
  for (int i = 0; i < 5000; ++i) now.Insert("tenant" + std::to_string(i), OnShard(i % 7));
  const TenantDirectory before = now;
  const auto contents = Contents(before);
  for (int i = 0; i < 5000; i += 2) now.Insert("tenant" + std::to_string(i), OnShard(50));
  for (int i = 1; i < 5000; i += 2) EXPECT_TRUE(now.Erase("tenant" + std::to_string(i)));
  now.Insert("new", OnShard(1));
  EXPECT_EQ(Contents(before), contents);
  EXPECT_EQ(before.size(), 5000u);
  EXPECT_EQ(now.size(), 2501u);
  EXPECT_EQ(now.Find("tenant0")->shard.index, 50);
  EXPECT_FALSE(now.Find("tenant1"));
}

// Against std::map: random inserts, replacements and erasures, with versions kept and compared at
// the end.
TEST(TenantDirectory, AgreesWithAMap) {
  std::mt19937 random(42);
  TenantDirectory directory;
  std::map<std::string, int> model;
  std::vector<std::pair<TenantDirectory, std::map<std::string, int>>> versions;
  for (int step = 0; step < 60'000; ++step) {
    // Grows, then shrinks to nothing, twice.
    const bool shrinking = step / 15'000 % 2 == 1;
    const std::string name = "t" + std::to_string(random() % 4000);
    if (random() % 10 < (shrinking ? 1u : 8u)) {
      const int shard = static_cast<int>(random() % 100);
      EXPECT_EQ(directory.Insert(name, OnShard(shard)), !model.contains(name));
      model[name] = shard;
    } else {
      EXPECT_EQ(directory.Erase(name), model.erase(name) == 1);
    }
    ASSERT_EQ(directory.size(), model.size());
    if (step % 5'000 == 0) versions.emplace_back(directory, model);
  }
  EXPECT_EQ(Contents(directory), model);
  for (const auto& [version, expected] : versions) EXPECT_EQ(Contents(version), expected);
  for (const auto& [name, shard] : model) directory.Erase(name);
  EXPECT_TRUE(directory.empty());
  EXPECT_EQ(directory.MemoryBytes(), 0u);
}

TEST(TenantDirectory, VisitStopsWhenAsked) {
  TenantDirectory directory;
  for (int i = 0; i < 1000; ++i) directory.Insert("t" + std::to_string(i), OnShard(0));
  int seen = 0;
  directory.ForEach([&](std::string_view, const TenantRecord&) { return ++seen < 10; });
  EXPECT_EQ(seen, 10);
}

TEST(TenantDirectory, StaysSmall) {
  TenantDirectory directory;
  for (int i = 0; i < 100'000; ++i) directory.Insert("customer-" + std::to_string(i), OnShard(1));
  EXPECT_LT(directory.MemoryBytes() / directory.size(), 150u);
  for (int i = 0; i < 99'900; ++i) directory.Erase("customer-" + std::to_string(i));
  EXPECT_LT(directory.MemoryBytes() / directory.size(), 150u);  // pages are joined again
}

TEST(TenantNameProblem, SaysWhy) {
  EXPECT_EQ(TenantNameProblem("acme"), "");
  EXPECT_EQ(TenantNameProblem("acme.com-2_x@y:1"), "");
  EXPECT_EQ(TenantNameProblem("café"), "");
  EXPECT_EQ(TenantNameProblem(""), "is empty");
  EXPECT_EQ(TenantNameProblem(std::string(128, 'x')), "");
  EXPECT_EQ(TenantNameProblem(std::string(129, 'x')), "is longer than 128 bytes");
  EXPECT_EQ(TenantNameProblem("a b"), "holds white space or a control character");
  EXPECT_EQ(TenantNameProblem(std::string("a\0b", 3)), "holds white space or a control character");
  for (const char* bad : {"a'b", "a\"b", "a`b", "a\\b", "a/b", "a*b", "a;b", "a,b"}) {
    EXPECT_EQ(TenantNameProblem(bad), "holds one of ' \" ` \\ / * ; ,") << bad;
  }
  for (const char* bad :
       {"\xC3", "\x80", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "a\xFF"}) {
    EXPECT_EQ(TenantNameProblem(bad), "is not valid UTF-8") << bad;
  }
}

}  // namespace
}  // namespace bulkhead::routing
