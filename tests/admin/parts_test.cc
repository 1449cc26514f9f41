// The smaller parts of the admin listener: texts taken apart, parameters as literals, who may run
// how much, users, audit lines.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

#include "proxy/admin/admin_users.h"
#include "proxy/admin/audit.h"
#include "proxy/admin/live_source.h"
#include "proxy/admin/parameter_text.h"
#include "proxy/admin/query_threads.h"
#include "proxy/admin/sql_work.h"
#include "proxy/admin/text_scan.h"

namespace bulkhead::admin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using wire::ColumnType;

// Two jobs that wait for each other, given while one thread is idle: it is not there for both.
TEST(QueryThreadsTest, OneIdleThreadIsNotThereForTwoJobs) {
  for (int round = 0; round < 100; ++round) {
    std::mutex mutex;
    std::condition_variable changed;
    int met = 0, done = 0;
    QueryThreads threads;
    const auto run = [&](const char* caller, int others) {
      threads.Run(caller, [&, others] {
        std::unique_lock lock(mutex);
        ++met;
        changed.notify_all();
        changed.wait(lock, [&] { return met >= others; });
        ++done;
        changed.notify_all();
      });
    };
    run("first", 1);
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return done == 1; });
    }
    run("a", 3);
    run("b", 3);
    std::unique_lock lock(mutex);
    const bool both = changed.wait_for(lock, std::chrono::seconds(20), [&] { return done == 3; });
    if (!both) met = 3;  // so that the other one ends
    changed.notify_all();
    lock.unlock();
    ASSERT_TRUE(both) << "round " << round;
  }
}

TEST(TextScan, FindsSignsOutsideOfQuotesAndComments) {
  EXPECT_EQ(EndOfStatement("a; b", 0), 1u);
  EXPECT_EQ(EndOfStatement("a; b", 2), 4u);
  EXPECT_EQ(EndOfStatement("';' \";\" `;` /* ; */ -- ;\n# ;\n ;", 0), 30u);
  EXPECT_EQ(EndOfStatement("'it''s; \\'; ' ;", 0), 14u);
  EXPECT_EQ(EndOfStatement("'open ;", 0), 7u);
  EXPECT_EQ(EndOfStatement("/* open ;", 0), 9u);
  EXPECT_EQ(EndOfStatement("'ends with \\", 0), 12u);
  EXPECT_EQ(EndOfStatement("a-- b;", 0), 6u);
  EXPECT_EQ(EndOfStatement("a--b;", 0), 4u) << "two minuses and no space are no comment";
  EXPECT_TRUE(IsBlank(" ; /* x */ -- y"));
  EXPECT_FALSE(IsBlank("/*! 1 */"));
  EXPECT_THAT(FindPlaceholders("SELECT ?, '?', `?`, ? -- ?"), ElementsAre(7, 20));
  EXPECT_EQ(FillPlaceholders("a ? b ?", {2, 6}, {"'x'", "NULL"}), "a 'x' b NULL");
}

wire::Parameter Make(ColumnType type, std::string_view value, bool is_unsigned = false) {
  wire::Parameter parameter;
  parameter.type.type = type;
  parameter.type.is_unsigned = is_unsigned;
  parameter.value = value;
  return parameter;
}

std::string_view Bytes(const char* text, size_t size) { return {text, size}; }

TEST(ParameterText, IsALiteral) {
  EXPECT_EQ(ParameterText(Make(ColumnType::kTiny, "\xFF")), "-1");
  EXPECT_EQ(ParameterText(Make(ColumnType::kTiny, "\xFF", true)), "255");
  EXPECT_EQ(ParameterText(Make(ColumnType::kShort, Bytes("\x00\x80", 2))), "-32768");
  EXPECT_EQ(ParameterText(Make(ColumnType::kLongLong, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", true)),
            "18446744073709551615");
  EXPECT_EQ(ParameterText(Make(ColumnType::kDouble, Bytes("\0\0\0\0\0\0\x14\x40", 8))), "5");
  EXPECT_EQ(ParameterText(Make(ColumnType::kDouble, Bytes("\0\0\0\0\0\0\xE0\x3F", 8))), "0.5");
  EXPECT_EQ(ParameterText(Make(ColumnType::kDouble, Bytes("\0\0\0\0\0\0\xF0\x7F", 8))),
            std::nullopt)
      << "infinity has no literal";
  EXPECT_EQ(ParameterText(Make(ColumnType::kVarString, "it's \\")), "'it''s \\\\'");
  EXPECT_EQ(ParameterText(Make(ColumnType::kDate, "\xE8\x07\x02\x1D")), "'2024-02-29'");
  EXPECT_EQ(ParameterText(Make(ColumnType::kDatetime, "\xE8\x07\x02\x1D\x0A\x0B\x0C")),
            "'2024-02-29 10:11:12'");
  EXPECT_EQ(ParameterText(Make(ColumnType::kTime, Bytes("\1\1\0\0\0\2\3\4", 8))), "'-26:03:04'");
  EXPECT_EQ(ParameterText(Make(ColumnType::kTime, "")), "'00:00:00'");
  for (const char* text : {"\1", "\1\2", "\1\2\3", "\1\2\3\4\5"})
    EXPECT_EQ(ParameterText(Make(ColumnType::kDate, text)), std::nullopt);
  EXPECT_EQ(ParameterText(Make(ColumnType::kLong, "\1")), std::nullopt) << "too short";
  EXPECT_EQ(ParameterText(Make(ColumnType::kGeometry, "x")), std::nullopt);
  wire::Parameter null = Make(ColumnType::kLong, "");
  null.is_null = true;
  EXPECT_EQ(ParameterText(null), "NULL");
}

// Waits until so many have come.
class Turnstile {
 public:
  void Pass() {
    std::unique_lock lock(mutex_);
    ++inside_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  bool Await(size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return inside_ >= count; });
  }
  size_t inside() {
    const std::lock_guard lock(mutex_);
    return inside_;
  }
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t inside_ = 0;
  bool open_ = false;
};

TEST(QueryThreads, OneCallerDoesNotKeepOthersWaiting) {
  Turnstile slow, quick;
  {
    QueryThreads threads;
    for (size_t i = 0; i < QueryThreads::kMost * 2; ++i) threads.Run("hog", [&] { slow.Pass(); });
    ASSERT_TRUE(slow.Await(QueryThreads::kMostEach));
    threads.Run("other", [&] { quick.Pass(); });
    EXPECT_TRUE(quick.Await(1));
    EXPECT_EQ(slow.inside(), QueryThreads::kMostEach);
    quick.Open();
    slow.Open();
    ASSERT_TRUE(slow.Await(QueryThreads::kMost * 2)) << "the rest has its turn";
  }
}

TEST(ResultBudget, BoundsWhatIsKeptAtOnce) {
  ResultBudget budget;
  const auto table = [] {
    ResultTable large;
    large.columns = {{"x"}};
    for (int i = 0; i < 64; ++i) large.Add(std::string(1 << 20, 'x'));
    return large;
  };
  std::vector<std::shared_ptr<const ResultTable>> kept;
  for (int i = 0; i < 3; ++i) {
    kept.push_back(budget.Keep(table()));
    ASSERT_NE(kept.back(), nullptr);
  }
  EXPECT_EQ(budget.Keep(table()), nullptr);
  kept.clear();
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_NE(budget.Keep(table()), nullptr);
}

TEST(AdminUsers, KnowWhoOnlyReads) {
  std::vector<config::AdminUser> configured(2);
  configured[0].name = "dba";
  configured[0].password = config::Secret("x");
  configured[1].name = "viewer";
  configured[1].verifier = {config::VerifierKind::kNative,
                            "*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29"};
  configured[1].read_only = true;
  const AdminUsers users(configured, auth::Secret("0123456789abcdef"));
  ASSERT_NE(users.Lookup("dba").record, nullptr);
  EXPECT_EQ(users.Lookup("viewer").record->credential.kind(),
            auth::Credential::Kind::kNativeVerifier);
  EXPECT_EQ(users.Lookup("app").record, nullptr);
  EXPECT_FALSE(users.IsReadOnly("dba"));
  EXPECT_TRUE(users.IsReadOnly("viewer"));
  EXPECT_TRUE(users.IsReadOnly("app"));
}

TEST(Audit, IsOneLineWhateverWasTyped) {
  EXPECT_EQ(AuditLine({.user = "a\nb",
                       .address = "10.0.0.1",
                       .connection = 3,
                       .statement = "SHOW \"x\"\n",
                       .outcome = "ok",
                       .took_ms = 12}),
            "audit: user=\"a b\" address=10.0.0.1 connection=3 ms=12 statement=\"SHOW \\\"x\\\" \" "
            "outcome=\"ok\"");
  EXPECT_EQ(ErrorOutcome(1064, "near 'x'", "SET a.password = '***'"), "error 1064");
}

TEST(StatusRows, AreMetricsByName) {
  prometheus::MetricFamily counter{"c_total", "help", prometheus::MetricType::Counter, {}};
  counter.metric.resize(1);
  counter.metric[0].label = {{"shard", "s1"}, {"kind", "read"}};
  counter.metric[0].counter.value = 12;
  prometheus::MetricFamily histogram{"h", "help", prometheus::MetricType::Histogram, {}};
  histogram.metric.resize(1);
  histogram.metric[0].histogram.sample_count = 3;
  histogram.metric[0].histogram.sample_sum = 0.25;
  std::vector<std::string> rows;
  for (const StatusRow& row : StatusRows({counter, histogram}))
    rows.push_back(row.name + " " + row.value);
  EXPECT_THAT(rows,
              ElementsAre("c_total{shard=\"s1\",kind=\"read\"} 12", "h_count 3", "h_sum 0.25"));
}

}  // namespace
}  // namespace bulkhead::admin
