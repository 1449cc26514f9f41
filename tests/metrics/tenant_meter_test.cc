#include "metrics/tenant_meter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace bulkhead::metrics {
namespace {

using std::chrono::milliseconds;

TEST(TenantMeterTest, AddsUpWhatWorkersGive) {
  TenantBoard board(2);
  TenantMeter a(&board);
  TenantMeter b(&board);
  TenantMeter::Hint hint = 0;
  for (int i = 0; i < 3; ++i) a.Record("acme", StatementOutcome::kOk, milliseconds(2), &hint);
  b.Record("acme", StatementOutcome::kUnknown, milliseconds(4), &hint);
  b.Record("globex", StatementOutcome::kOk, milliseconds(1), &hint);
  EXPECT_TRUE(board.Busiest().empty());
  a.GiveOn();
  b.GiveOn();
  const auto busiest = board.Busiest();
  ASSERT_EQ(busiest.size(), 2u);
  EXPECT_EQ(busiest[0].name, "acme");
  EXPECT_EQ(busiest[0].counts.statements[static_cast<size_t>(StatementOutcome::kOk)], 3u);
  EXPECT_EQ(busiest[0].counts.statements[static_cast<size_t>(StatementOutcome::kUnknown)], 1u);
  EXPECT_EQ(busiest[0].counts.busy_ns, 10'000'000u);
  EXPECT_EQ(busiest[1].name, "globex");
  // Given once only.
  a.GiveOn();
  EXPECT_EQ(board.Busiest()[0].counts.all(), 4u);
}

TEST(TenantMeterTest, ShowsTheBusiestOnly) {
  TenantBoard board(3);
  TenantMeter meter(&board);
  TenantMeter::Hint hint = 0;
  for (int tenant = 0; tenant < 1000; ++tenant) {
    const std::string name = "t" + std::to_string(tenant);
    for (int i = 0; i < (tenant < 3 ? 500 : 1); ++i)
      meter.Record(name, StatementOutcome::kOk, milliseconds(1), &hint);
  }
  meter.GiveOn();
  std::vector<std::string> names;
  for (const auto& tenant : board.Busiest()) names.push_back(tenant.name);
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("t0", "t1", "t2"));
}

// A counter of a tenant that stays among the busiest never goes back, whatever others do.
TEST(TenantMeterTest, CountersDoNotGoBackWhileATenantStays) {
  TenantBoard board(5);
  TenantMeter a(&board);
  TenantMeter b(&board);
  TenantMeter::Hint hint = 0;
  uint64_t before = 0;
  for (int second = 0; second < 500; ++second) {
    for (int i = 0; i < 40; ++i) {
      (second % 3 == 0 ? a : b).Record("steady", StatementOutcome::kOk, milliseconds(1), &hint);
      a.Record("noise" + std::to_string(second * 40 + i), StatementOutcome::kOk, milliseconds(1),
               &hint);
    }
    a.GiveOn();
    b.GiveOn();
    uint64_t now = 0;
    for (const auto& tenant : board.Busiest()) {
      if (tenant.name == "steady") now = tenant.counts.all();
    }
    EXPECT_EQ(now, before + 40) << second;
    before = now;
  }
}

TEST(TenantMeterTest, NothingIsCountedWhereNothingIsShown) {
  TenantBoard board(0);
  TenantMeter meter(&board);
  TenantMeter none(nullptr);
  TenantMeter::Hint hint = 0;
  meter.Record("acme", StatementOutcome::kOk, milliseconds(1), &hint);
  none.Record("acme", StatementOutcome::kOk, milliseconds(1), &hint);
  meter.GiveOn();
  none.GiveOn();
  EXPECT_TRUE(board.Busiest().empty());
}

TEST(TenantMeterTest, IsReadWhileWorkersGive) {
  TenantBoard board(10);
  std::vector<std::thread> workers;
  for (int w = 0; w < 2; ++w) {
    workers.emplace_back([&] {
      TenantMeter meter(&board);
      TenantMeter::Hint hint = 0;
      for (int i = 0; i < 20'000; ++i) {
        meter.Record("t" + std::to_string(i % 100), StatementOutcome::kOk, milliseconds(1), &hint);
        if (i % 100 == 0) meter.GiveOn();
      }
    });
  }
  for (int i = 0; i < 200; ++i) EXPECT_LE(board.Busiest().size(), 10u);
  for (std::thread& worker : workers) worker.join();
}

}  // namespace
}  // namespace bulkhead::metrics
