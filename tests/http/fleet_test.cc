// Pictures, the sampler, streams and the API, over a fleet that is made up.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "proxy/http/api_pages.h"
#include "proxy/http/asset_pages.h"
#include "proxy/http/fleet_sampler.h"
#include "proxy/http/fleet_stream.h"
#include "proxy/http/incident_report.h"
#include "proxy/http/json.h"
#include "proxy/http/tenant_answer.h"
#include "tests/http/fake_source.h"

namespace bulkhead::http {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Json Parse(const std::string& text) { return Json::parse(text, nullptr, false); }

metrics::HealthView Frozen(const FakeSource& source, size_t index) {
  metrics::HealthView view = source.View();
  view.backends[index].state = 3;  // down
  view.backends[index].reason = "ping unanswered for 2 s";
  view.backends[index].heard_ms = 4'000;
  view.backends[index].evidence = {{4.0, "no byte"}};
  view.shards[index].serving = false;
  view.shards[index].state = metrics::ShardState::kHeld;
  view.shards[index].text = "shard is down";
  view.shards[index].since_ms = 3'000;
  view.shards[index].kinds[1].held = 12;
  view.shards[index].kinds[1].refused = {1, 2, 0, 0};
  return view;
}

// --- pictures

TEST(FleetPictureTest, SaysWhatIsServedAndWhatIsNot) {
  FakeSource source(3);
  source.Publish(Frozen(source, 1));
  FleetSampler sampler(&source, {});
  const Json fleet = Parse(sampler.Picture()->Whole());
  ASSERT_TRUE(fleet.is_object());
  EXPECT_EQ(fleet["router"]["id"], "0123456789abcdef");
  EXPECT_EQ(fleet["totals"]["shards"], 3);
  EXPECT_EQ(fleet["totals"]["serving"], 2);
  EXPECT_EQ(fleet["totals"]["up"], 2);
  EXPECT_EQ(fleet["totals"]["tenants_affected"], 1);
  EXPECT_EQ(fleet["totals"]["held"], 12);
  const Json& held = fleet["shards"][1];
  EXPECT_EQ(held["name"], "s2");
  EXPECT_EQ(held["state"], "held");
  EXPECT_EQ(held["primary_state"], "down");
  EXPECT_EQ(held["refused"], 3);
  EXPECT_EQ(held["since_ms"], 3'000);
  EXPECT_EQ(fleet["backends"][1]["last_heard_ms"], 4'000);
  EXPECT_EQ(fleet["backends"][1]["evidence"][0]["text"], "no byte");
  EXPECT_EQ(fleet["backends"][0]["last_heard_ms"], 0);  // nothing that changes all the time
}

TEST(FleetPictureTest, BeforeAnythingWasPublishedNothingIsServed) {
  FakeSource source(1);
  source.health = nullptr;
  FleetSampler sampler(&source, {});
  const Json fleet = Parse(sampler.Picture()->Whole());
  EXPECT_EQ(fleet["totals"]["serving"], 0);
  EXPECT_EQ(fleet["shards"][0]["state"], "held");
  EXPECT_EQ(fleet["backends"][0]["state"], "unknown");
}

TEST(FleetPictureTest, WhatIsNoUtf8IsStillJson) {
  FakeSource source(1);
  metrics::HealthView view = source.View();
  view.shards[0].text = "bad \xff byte";
  view.backends[0].state = 2;
  view.backends[0].reason = "\xc3";
  source.Publish(view);
  FleetSampler sampler(&source, {});
  EXPECT_TRUE(Parse(sampler.Picture()->Whole()).is_object());
}

TEST(FleetPictureTest, FailoverIsThereWhereItIsKnown) {
  FakeSource source(2);
  metrics::HealthView view = source.View();
  view.shards[0].failover_ready = false;
  view.shards[0].fence_configured = true;
  view.shards[0].failover_words = "db1r is 40 s behind";
  source.Publish(view);
  FleetSampler sampler(&source, {});
  const Json fleet = Parse(sampler.Picture()->Whole());
  EXPECT_EQ(fleet["shards"][0]["failover"]["ready"], false);
  EXPECT_EQ(fleet["shards"][0]["failover"]["fence"], true);
  EXPECT_EQ(fleet["shards"][0]["failover"]["why"], "db1r is 40 s behind");
  EXPECT_FALSE(fleet["shards"][1].contains("failover"));
}

// --- the sampler

// `count` statements of that duration, and of them `refused` refused.
void Add(FakeSource* source, size_t shard, uint64_t count, uint64_t refused, size_t bucket) {
  metrics::ShardTotals& totals = source->totals[shard];
  totals.outcomes[0] += count - refused;
  totals.outcomes[static_cast<size_t>(metrics::StatementOutcome::kRefused)] += refused;
  totals.buckets[bucket] += count;
}

class SamplerTest : public ::testing::Test {
 protected:
  // A second of looks.
  void Second() {
    for (int i = 0; i < FleetSampler::kLooksPerSample; ++i) Look();
  }
  void Look() {
    now_ms_ += 250;
    sampler_.Look(now_ms_, now_ms_);
  }
  Json Shard(size_t index) { return Parse(sampler_.Picture()->Whole())["shards"][index]; }

  FakeSource source_{2};
  int64_t now_ms_ = 4'000'000'000'000;  // later than now, when it began
  FleetSampler sampler_{&source_, {}};
};

TEST_F(SamplerTest, RatesAreOfTheLastSecond) {
  Second();
  Second();
  Add(&source_, 0, 500, 20, 4);
  Second();
  EXPECT_NEAR(Shard(0)["per_second"].get<double>(), 500, 5);
  EXPECT_NEAR(Shard(0)["failed_per_second"].get<double>(), 20, 1);
  EXPECT_GT(Shard(0)["p99_ms"].get<double>(), 0.5);
  EXPECT_LE(Shard(0)["p99_ms"].get<double>(), 1);
  EXPECT_EQ(Shard(1)["per_second"], 0);
  Second();
  EXPECT_EQ(Shard(0)["per_second"], 0);
}

TEST_F(SamplerTest, WhatWasCountedBeforeItBeganIsNoRate) {
  FakeSource source(1);
  Add(&source, 0, 1'000'000, 0, 4);
  FleetSampler sampler(&source, {});
  EXPECT_EQ(Parse(sampler.Picture()->Whole())["shards"][0]["per_second"], 0);
}

TEST_F(SamplerTest, KeepsAHistory) {
  for (int second = 0; second < 30; ++second) {
    Add(&source_, 0, 100, 0, 6);
    if (second == 12) source_.Publish(Frozen(source_, 1));
    Second();
  }
  const Json history = Parse(sampler_.HistoryJson({"s1", "s2", "none"}));
  EXPECT_EQ(history["step_seconds"], 5);
  EXPECT_EQ(history["shards"].size(), 2u);
  const Json& s1 = history["shards"]["s1"];
  ASSERT_GE(s1["per_second"].size(), 4u);
  for (size_t i = 1; i < s1["per_second"].size(); ++i)
    EXPECT_NEAR(s1["per_second"][i].get<double>(), 100, 20);
  const auto held = history["shards"]["s2"]["held"].get<std::vector<uint32_t>>();
  EXPECT_EQ(held.front(), 0u);
  EXPECT_EQ(held.back(), 12u);
}

TEST_F(SamplerTest, AChangeOfStateIsPicturedAtOnce) {
  Second();
  const uint64_t calm = sampler_.Picture()->number;
  Second();
  EXPECT_EQ(sampler_.Picture()->number, calm + 1);  // one a second
  while (sampler_.Picture()->number == calm + 1) Look();
  source_.Publish(Frozen(source_, 0));
  Look();
  EXPECT_EQ(sampler_.Picture()->number, calm + 3);
  EXPECT_EQ(Shard(0)["state"], "held");
}

TEST_F(SamplerTest, ShardsComeAndGo) {
  Second();
  source_.SetShards(5);
  Second();
  EXPECT_EQ(Parse(sampler_.Picture()->Whole())["shards"].size(), 5u);
  source_.SetShards(1);
  for (int i = 0; i < 10; ++i) Second();
  EXPECT_EQ(Parse(sampler_.HistoryJson({"s1", "s5"}))["shards"].size(), 1u);
}

// Another place among the counters, or the same one that begins anew.
TEST_F(SamplerTest, AShardThatIsMadeAnewBeginsAnew) {
  Add(&source_, 0, 1'000'000, 1'000, 4);
  for (int i = 0; i < 12; ++i) Second();
  source_.ReplaceShard("s1");
  source_.totals[0] = {};
  Second();
  EXPECT_EQ(Shard(0)["per_second"], 0);
  EXPECT_EQ(Shard(0)["failed_per_second"], 0);
  EXPECT_EQ(Parse(sampler_.HistoryJson({"s1"}))["shards"]["s1"]["held"].size(), 0u);
}

TEST_F(SamplerTest, AClockThatIsSetBackIsNoRate) {
  Second();
  Add(&source_, 0, 500, 0, 4);
  const int64_t steady_ms = now_ms_;
  for (int i = 1; i <= FleetSampler::kLooksPerSample; ++i)
    sampler_.Look(now_ms_ - 3'600'000, steady_ms + 250 * i);
  EXPECT_NEAR(Shard(0)["per_second"].get<double>(), 500, 5);
}

TEST(SamplerThreadTest, TakesPicturesByItself) {
  FakeSource source(1);
  std::atomic<int> changed{0};
  FleetSampler sampler(&source, [&] { ++changed; });
  const int first = changed;
  sampler.Start();
  while (changed < first + 2) std::this_thread::yield();
  sampler.Stop();
}

// --- streams

TEST(FleetStreamTest, TheWholeFirstThenWhatChanged) {
  FakeSource source(50);
  FleetSampler sampler(&source, {});
  int64_t now_ms = 4'000'000'000'000;
  const auto second = [&] {
    for (int i = 0; i < FleetSampler::kLooksPerSample; ++i) {
      now_ms += 250;
      sampler.Look(now_ms, now_ms);
    };
  };
  second();
  FleetStream stream(&sampler);
  const std::string whole = *stream.Next();
  EXPECT_THAT(whole, StartsWith("event: fleet\ndata: {"));
  EXPECT_EQ(*stream.Next(), "");  // nothing new
  source.Publish(Frozen(source, 7));
  second();
  const std::string changes = *stream.Next();
  ASSERT_THAT(changes, StartsWith("event: changes\ndata: {"));
  EXPECT_LT(changes.size(), whole.size() / 4);
  const Json data = Parse(changes.substr(changes.find('{')));
  ASSERT_EQ(data["shards"].size(), 1u);
  EXPECT_EQ(data["shards"][0]["name"], "s8");
  EXPECT_EQ(data["backends"].size(), 1u);
  // Another topology is sent whole.
  source.SetShards(51);
  routing::TopologyBuilder builder(*source.topology);
  source.topology = *builder.Build();
  second();
  EXPECT_THAT(*stream.Next(), StartsWith("event: fleet\n"));
}

// --- the API

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() { AddApiPages(&source_, &sampler_, &pages_); }
  Response Ask(const std::string& path, std::map<std::string, std::string, std::less<>> query = {},
               const std::string& rest = "") {
    return pages_.at(path)({.path = path, .rest = rest, .query = std::move(query)});
  }
  Json Answer(const std::string& path, std::map<std::string, std::string, std::less<>> query = {},
              const std::string& rest = "") {
    const Response response = Ask(path, std::move(query), rest);
    EXPECT_EQ(response.status, 200) << path << response.body;
    EXPECT_EQ(response.content_type, "application/json");
    return Parse(response.body);
  }

  FakeSource source_{2};
  FleetSampler sampler_{&source_, {}};
  Pages pages_;
};

TEST_F(ApiTest, TenantsAreFoundAndTheAnswerIsASentence) {
  source_.Publish(Frozen(source_, 1));
  const Json t2 = Answer("/api/v1/tenant", {{"name", "t2"}});
  EXPECT_EQ(t2["affected"], true);
  EXPECT_THAT(t2["sentence"].get<std::string>(),
              StartsWith("Tenant t2 is on shard s2, backend db2. Its new statements are held"));
  EXPECT_EQ(t2["limits"], nullptr);
  source_.limit.running = 5;
  EXPECT_EQ(Answer("/api/v1/tenant", {{"name", "t1"}})["limits"]["most_running"], 5);
  EXPECT_EQ(Answer("/api/v1/tenant", {{"name", "t1"}})["affected"], false);
  const Json nobody = Answer("/api/v1/tenant", {{"name", "no body"}});
  EXPECT_EQ(nobody["known"], false);
  EXPECT_EQ(Ask("/api/v1/tenant").status, 400);
}

TEST_F(ApiTest, TenantsOfAShardAndByPartOfTheirNames) {
  EXPECT_THAT(Answer("/api/v1/tenants", {{"shard", "s2"}})["tenants"], ElementsAre("t2"));
  EXPECT_THAT(Answer("/api/v1/tenants", {{"part", "T"}})["tenants"], ElementsAre("t1", "t2"));
  EXPECT_TRUE(Answer("/api/v1/tenants", {{"shard", "none"}})["tenants"].empty());
  EXPECT_EQ(Answer("/api/v1/tenants", {{"limit", "1"}})["more"], true);
  source_.busiest = {{"t1", {.statements = {5}, .busy_ns = 2'000'000'000}}};
  const Json busiest = Answer("/api/v1/tenants")["busiest"];
  EXPECT_EQ(busiest[0]["tenant"], "t1");
  EXPECT_EQ(busiest[0]["statements"], 5);
  EXPECT_EQ(busiest[0]["busy_seconds"], 2);
}

TEST_F(ApiTest, EventsComeNewestFirstAndBounded) {
  for (uint64_t id = 1; id <= 3000; ++id) source_.events.push_back({id, 5, "backend", "db1", "x"});
  const Json events = Answer("/api/v1/events")["events"];
  EXPECT_EQ(events.size(), 200u);
  EXPECT_EQ(events[0]["id"], 3000);
  EXPECT_EQ(Answer("/api/v1/events", {{"limit", "999999"}})["events"].size(), 1000u);
  EXPECT_EQ(Answer("/api/v1/events", {{"after", "2998"}})["events"].size(), 2u);
  EXPECT_EQ(Answer("/api/v1/events", {{"after", "nonsense"}, {"limit", "-1"}})["events"].size(),
            200u);
}

TEST_F(ApiTest, HistoryWantsNames) {
  EXPECT_EQ(Ask("/api/v1/history").status, 400);
  std::string many = "s1";
  for (int i = 0; i < 200; ++i) many += ",s1";
  EXPECT_EQ(Ask("/api/v1/history", {{"shards", many}}).status, 400);
  EXPECT_TRUE(Answer("/api/v1/history", {{"shards", "s1,s2"}})["shards"].contains("s2"));
}

control::Incident Hang() {
  control::Incident incident;
  incident.id = 7;
  incident.backend = "db2";
  incident.shards = {"s2"};
  incident.worst = "write_stalled";
  incident.last_byte_ms = 1'000;
  incident.began_ms = 1'600;
  incident.over_ms = 60'000;
  incident.timeline = {{1'000, "last_byte", "db2", "the last sign of life"},
                       {1'600, "suspect", "db2", "a|b *c* <d>"},
                       {60'000, "over", "db2", "all well"}};
  return incident;
}

TEST_F(ApiTest, AnIncidentIsJoinedWithWhatOperatorsDid) {
  source_.incidents = {Hang()};
  source_.operations.resize(3);
  const auto done = control::Operation::State::kDone;
  source_.operations[0] = {3, "failover", "s2", done, "", "db3 is primary", "jo", 20'000, 30'000};
  source_.operations[1] = {4, "drain", "db9", done, "", "", "jo", 20'000, 0};
  source_.operations[2] = {5, "drain", "db2", done, "", "", "jo", 70'000, 0};
  source_.events = {{1, 15'000, "operator", "jo", "FAILOVER SHARD s2 TO db3"},
                    {2, 15'000, "backend", "db2", "not twice"},
                    {3, 90'000, "operator", "jo", "too late"}};
  const Json report = Answer("/api/v1/incidents/*", {}, "7");
  std::vector<std::string> what;
  for (const Json& moment : report["timeline"]) what.push_back(moment["what"]);
  EXPECT_THAT(what,
              ElementsAre("last_byte", "suspect", "operator", "failover", "failover", "over"));
  EXPECT_THAT(report["timeline"][4]["words"].get<std::string>(),
              HasSubstr("operation 3 done: db3 is primary"));

  const Response markdown = Ask("/api/v1/incidents/*", {}, "7.md");
  EXPECT_THAT(markdown.content_type, StartsWith("text/markdown"));
  EXPECT_THAT(markdown.body, StartsWith("# Incident 7: backend db2 was write stalled\n"));
  EXPECT_THAT(markdown.body, HasSubstr("| detected | 1970-01-01T00:00:01.600Z | 600 ms |"));
  EXPECT_THAT(markdown.body, HasSubstr("a\\|b \\*c\\* \\<d>"));
  EXPECT_THAT(markdown.body, HasSubstr("It took 59.0 s"));
  for (const char* wrong : {"8", "", "7.txt", "x.md", "-7"})
    EXPECT_EQ(Ask("/api/v1/incidents/*", {}, wrong).status, 404) << wrong;
  EXPECT_EQ(Answer("/api/v1/incidents")["incidents"][0]["moments"], 3);
}

TEST_F(ApiTest, AnIncidentThatGoesOn) {
  control::Incident incident = Hang();
  incident.over_ms = 0;
  source_.incidents = {incident};
  EXPECT_THAT(Ask("/api/v1/incidents/*", {}, "7.md").body, HasSubstr("Not over yet."));
  FleetSampler sampler(&source_, {});
  const Json fleet = Parse(sampler.Picture()->Whole());
  EXPECT_EQ(fleet["shards"][1]["incident"], 7);
  EXPECT_FALSE(fleet["shards"][0].contains("incident"));
}

TEST(SpanTextTest, IsForPeople) {
  EXPECT_EQ(SpanText(7), "7 ms");
  EXPECT_EQ(SpanText(12'340), "12.3 s");
  EXPECT_EQ(SpanText(250'000), "4 min 10 s");
  EXPECT_EQ(SpanText(16'740'000), "4 h 39 min");
}

TEST(AssetPagesTest, ThePageIsPartOfTheProgram) {
  Pages pages;
  AddAssetPages(&pages);
  const Response page = pages.at("/")({.path = "/"});
  EXPECT_THAT(page.body, StartsWith("<!doctype html>"));
  EXPECT_EQ(page.content_type, "text/html; charset=utf-8");
  EXPECT_TRUE(pages.contains("/assets/app.js"));
  EXPECT_TRUE(pages.contains("/assets/style.css"));
  std::string tag;
  for (const auto& [name, value] : page.headers) {
    if (name == "ETag") tag = value;
  }
  EXPECT_EQ(pages.at("/")({.path = "/", .if_none_match = tag}).status, 304);
  EXPECT_EQ(pages.at("/")({.path = "/", .if_none_match = "\"other\""}).status, 200);
}

}  // namespace
}  // namespace bulkhead::http
