#include "proxy/control/incident_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxy/control/incident_json.h"

namespace bulkhead::control {
namespace {

using routing::BackendState;
using ::testing::ElementsAre;

IncidentLog::StateChange Change(BackendState from, BackendState to,
                                std::vector<std::string> shards = {"s1"}) {
  return {.backend = "db1",
          .from = from,
          .to = to,
          .last_byte_ms = 1'000,
          .words = "because",
          .shards = std::move(shards)};
}

std::vector<std::string> Moments(const Incident& incident) {
  std::vector<std::string> what;
  for (const IncidentMoment& moment : incident.timeline) what.push_back(moment.what);
  return what;
}

// A hang from its first silence to the last released statement.
TEST(IncidentLogTest, TellsAHangFromTheLastByteToTheEnd) {
  IncidentLog log;
  log.OnGate("s1", {.asked = 5, .released = 5});
  log.OnBackend(Change(BackendState::kUp, BackendState::kSuspect), 1'600);
  log.OnShard("s1", "held", "is suspect", 1'650);
  log.OnBackend(Change(BackendState::kSuspect, BackendState::kDown), 3'900);
  log.OnGate("s1", {.held = 40, .asked = 45, .released = 5});
  log.OnGivenUp("db1", 3, 11'000);
  log.OnUnknown("s1");
  log.OnUnknown("s2");  // another's
  log.OnBackend(Change(BackendState::kDown, BackendState::kRecovering), 20'000);
  log.OnBackend(Change(BackendState::kRecovering, BackendState::kUp), 20'400);
  log.OnShard("s1", "releasing", "has answered again", 20'410);
  EXPECT_TRUE(log.any_open());
  log.OnGate("s1", {.held = 0, .asked = 47, .released = 40, .refused = 5, .cancelled = 2});
  log.OnShard("s1", "serving", "", 22'000);
  EXPECT_FALSE(log.any_open());

  const Incident incident = log.Newest(1).at(0);
  EXPECT_EQ(log.NewestFacts(1).at(0).id, incident.id);
  EXPECT_EQ(log.NewestFacts(1).at(0).moments, incident.timeline.size());
  EXPECT_EQ(incident.backend, "db1");
  EXPECT_EQ(incident.worst, "down");
  EXPECT_THAT(incident.shards, ElementsAre("s1"));
  EXPECT_EQ(incident.last_byte_ms, 1'000);
  EXPECT_EQ(incident.began_ms, 1'600);
  EXPECT_EQ(incident.held_ms, 1'650);
  EXPECT_EQ(incident.verdict_ms, 3'900);
  EXPECT_EQ(incident.given_up_ms, 11'000);
  EXPECT_EQ(incident.answered_ms, 20'000);
  EXPECT_EQ(incident.released_ms, 20'410);
  EXPECT_EQ(incident.over_ms, 22'000);
  EXPECT_EQ(incident.numbers.most_held, 40u);
  EXPECT_EQ(incident.numbers.asked, 42u);
  EXPECT_EQ(incident.numbers.released, 35u);
  EXPECT_EQ(incident.numbers.refused, 5u);
  EXPECT_EQ(incident.numbers.cancelled, 2u);
  EXPECT_EQ(incident.numbers.unknown, 1u);
  EXPECT_EQ(incident.numbers.reset, 3u);
  EXPECT_THAT(Moments(incident), ElementsAre("last_byte", "suspect", "held", "down", "given_up",
                                             "recovering", "up", "releasing", "serving", "over"));
}

TEST(IncidentLogTest, ASuspicionThatWasNothingIsShort) {
  IncidentLog log;
  log.OnBackend(Change(BackendState::kUp, BackendState::kSuspect), 1'600);
  log.OnBackend(Change(BackendState::kSuspect, BackendState::kUp), 1'900);
  const Incident incident = log.Newest(1).at(0);
  EXPECT_EQ(incident.worst, "suspect");
  EXPECT_EQ(incident.over_ms, 1'900);
  EXPECT_EQ(incident.verdict_ms, 0);
}

TEST(IncidentLogTest, AStartIsNone) {
  IncidentLog log;
  log.OnBackend(Change(BackendState::kUnknown, BackendState::kUp), 100);
  log.OnShard("s1", "serving", "", 110);
  EXPECT_TRUE(log.Newest(10).empty());
  // But one that is down from the start is.
  log.OnBackend(Change(BackendState::kUnknown, BackendState::kDown), 200);
  EXPECT_EQ(log.Newest(10).size(), 1u);
}

TEST(IncidentLogTest, AFailoverEndsItOnceTheShardIsServed) {
  IncidentLog log;
  log.OnBackend(Change(BackendState::kUp, BackendState::kDown), 1'600);
  log.OnShard("s1", "held", "is down", 1'650);
  log.OnTopology({{"db1", false}, {"db2", true}}, 9'000);  // db2 is the primary now
  EXPECT_TRUE(log.any_open());                             // s1 is still held
  log.OnShard("s1", "serving", "", 9'500);
  EXPECT_FALSE(log.any_open());
  const Incident incident = log.Newest(1).at(0);
  EXPECT_EQ(incident.over_ms, 9'500);
  EXPECT_THAT(Moments(incident),
              ElementsAre("last_byte", "down", "held", "moved", "serving", "over"));
  // The old primary comes back as nobody's: that is no new incident.
  log.OnBackend(Change(BackendState::kDown, BackendState::kRecovering, {}), 20'000);
  log.OnBackend(Change(BackendState::kRecovering, BackendState::kFenced, {}), 21'000);
  EXPECT_EQ(log.Newest(10).size(), 1u);
}

TEST(IncidentLogTest, HeldAgainIsReleasedLater) {
  IncidentLog log;
  log.OnBackend(Change(BackendState::kUp, BackendState::kDown), 1'600);
  log.OnShard("s1", "held", "is down", 1'650);
  log.OnShard("s1", "releasing", "", 2'000);
  log.OnShard("s1", "held", "is down", 2'500);
  log.OnBackend(Change(BackendState::kDown, BackendState::kUp), 3'000);
  log.OnShard("s1", "releasing", "", 3'100);
  log.OnShard("s1", "serving", "", 3'500);
  EXPECT_EQ(log.Newest(1)[0].held_ms, 1'650);
  EXPECT_EQ(log.Newest(1)[0].released_ms, 3'100);
}

TEST(IncidentLogTest, ListsAreBounded) {
  IncidentLog log;
  for (size_t i = 0; i < IncidentLog::kMost + 50; ++i) {
    log.OnBackend(Change(BackendState::kUp, BackendState::kSuspect), static_cast<int64_t>(i));
    log.OnBackend(Change(BackendState::kSuspect, BackendState::kUp), static_cast<int64_t>(i));
  }
  EXPECT_EQ(log.Newest(1'000).size(), IncidentLog::kMost);
  log.OnBackend(Change(BackendState::kUp, BackendState::kDown), 1);
  for (size_t i = 0; i < IncidentLog::kMostMoments + 50; ++i)
    log.OnShard("s1", i % 2 == 0 ? "held" : "releasing", "", 2);
  const Incident incident = log.Newest(1).at(0);
  EXPECT_EQ(incident.timeline.size(), IncidentLog::kMostMoments);
  EXPECT_EQ(incident.left_out, 52u);
}

TEST(IncidentLogTest, SurvivesTheStore) {
  IncidentLog log;
  log.OnBackend(Change(BackendState::kUp, BackendState::kDown), 1'600);
  log.OnShard("s1", "held", "is \"down\"\n\xff", 1'650);
  const std::vector<Incident> changed = log.TakeChanged();
  ASSERT_EQ(changed.size(), 1u);
  EXPECT_TRUE(log.TakeChanged().empty());
  const std::optional<Incident> read = ParseIncident(IncidentText(changed[0]));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(IncidentText(*read), IncidentText(changed[0]));

  IncidentLog next;
  next.Restore({*read}, 50'000);
  const Incident restored = next.Newest(1).at(0);
  EXPECT_EQ(restored.over_ms, 50'000);  // nobody knows how it went on
  EXPECT_FALSE(next.any_open());
  next.OnBackend(Change(BackendState::kUp, BackendState::kDown), 60'000);
  EXPECT_EQ(next.Newest(1)[0].id, restored.id + 1);
}

TEST(IncidentLogTest, RubbishInTheStoreIsNoIncident) {
  for (const char* text : {"", "{", "[]", "{}", "{\"id\":1}", "{\"id\":\"x\",\"backend\":1}",
                           "{\"id\":1,\"backend\":\"b\",\"timeline\":[1,{}],\"shards\":[2]}"}) {
    const auto incident = ParseIncident(text);
    EXPECT_EQ(incident.has_value(), std::string(text).find("timeline") != std::string::npos)
        << text;
  }
}

}  // namespace
}  // namespace bulkhead::control
