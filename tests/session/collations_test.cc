#include "proxy/session/collations.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace bulkhead::session {
namespace {

constexpr ServerFamily kFamilies[] = {ServerFamily::kMysql, ServerFamily::kMariadb};

TEST(Collations, KnowsTheIdsOfBothFamilies) {
  for (const ServerFamily family : kFamilies) {
    const Collation* general = FindCollation(family, 45);
    ASSERT_NE(general, nullptr);
    EXPECT_EQ(general->name, "utf8mb4_general_ci");
    EXPECT_EQ(general->charset, "utf8mb4");
    EXPECT_EQ(FindCollation(family, 33)->name, "utf8mb3_general_ci");
    EXPECT_EQ(FindCollation(family, 8)->name, "latin1_swedish_ci");
    EXPECT_TRUE(FindCollation(family, 8)->is_default);
    EXPECT_EQ(FindCollation(family, 63)->charset, "binary");
    EXPECT_EQ(FindCollation(family, 28)->charset, "gbk");
    EXPECT_EQ(FindCollation(family, 0u), nullptr);
    EXPECT_EQ(FindCollation(family, 17u), nullptr);
    EXPECT_EQ(FindCollation(family, 256u), nullptr);
    EXPECT_EQ(FindCollation(family, 0xFFFFFFFFu), nullptr);
  }
}

TEST(Collations, FamiliesDifferWhereTheyDiffer) {
  EXPECT_EQ(FindCollation(ServerFamily::kMysql, 255)->name, "utf8mb4_0900_ai_ci");
  EXPECT_EQ(FindCollation(ServerFamily::kMariadb, 255), nullptr);
  EXPECT_EQ(FindCollation(ServerFamily::kMysql, 248)->charset, "gb18030");
  EXPECT_EQ(FindCollation(ServerFamily::kMysql, 245)->name, "utf8mb4_croatian_ci");
  EXPECT_EQ(FindCollation(ServerFamily::kMariadb, 245)->name, "utf8mb4_croatian_mysql561_ci");
  EXPECT_FALSE(FindCollation(ServerFamily::kMysql, 45)->is_default);
  EXPECT_TRUE(FindCollation(ServerFamily::kMariadb, 45)->is_default);
  EXPECT_EQ(FindCollation(ServerFamily::kMariadb, "utf8mb4_0900_ai_ci"), nullptr);
  EXPECT_EQ(FindCollation(ServerFamily::kMysql, "utf8mb4_0900_ai_ci")->id, 255);
}

TEST(Collations, TablesAreConsistent) {
  for (const ServerFamily family : kFamilies) {
    size_t known = 0;
    std::set<std::string_view> defaults;
    for (uint32_t id = 1; id <= 255; ++id) {
      const Collation* collation = FindCollation(family, id);
      if (collation == nullptr) continue;
      ++known;
      EXPECT_EQ(collation->id, id);
      EXPECT_EQ(FindCollation(family, collation->name), collation);
      EXPECT_TRUE(collation->name == "binary" ||
                  collation->name.starts_with(std::string(collation->charset) + "_"))
          << collation->name;
      if (collation->is_default) {
        EXPECT_TRUE(defaults.insert(collation->charset).second) << collation->charset;
      }
    }
    EXPECT_EQ(known, family == ServerFamily::kMysql ? 224u : 219u);
    EXPECT_GE(defaults.size(), 40u);
  }
}

TEST(Collations, SomeCharsetsCannotBeAClients) {
  EXPECT_FALSE(UsableAsClientCharset("ucs2"));
  EXPECT_FALSE(UsableAsClientCharset("utf16le"));
  EXPECT_TRUE(UsableAsClientCharset("utf8mb4"));
  EXPECT_TRUE(UsableAsClientCharset("binary"));
}

TEST(Collations, SomeCharactersEndInABackslash) {
  for (const std::string_view name : {"big5", "cp932", "gb18030", "gbk", "sjis"}) {
    EXPECT_TRUE(DangerousMultibyte(name)) << name;
  }
  for (const std::string_view name : {"utf8mb4", "latin1", "ujis", "euckr", "gb2312", "eucjpms"}) {
    EXPECT_FALSE(DangerousMultibyte(name)) << name;
  }
}

}  // namespace
}  // namespace bulkhead::session
