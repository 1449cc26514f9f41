#include "routing/outcome.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::routing {
namespace {

InFlightFacts Sent() {
  InFlightFacts f;
  f.statement_sent = SentPart::kWholly;
  return f;
}

InFlightFacts InTransaction() {
  InFlightFacts f = Sent();
  f.in_transaction = true;
  f.tables_known_transactional = true;
  f.known_dead = true;
  return f;
}

template <typename F>
InFlightFacts With(InFlightFacts f, F change) {
  change(f);
  return f;
}

struct Case {
  std::string what;
  InFlightFacts facts;
  OutcomeRow row;
  OutcomeAction action;
  uint16_t code;
  ClientConnection connection;
};

using Row = OutcomeRow;
using Act = OutcomeAction;
using Conn = ClientConnection;

// PRODUCT.md's rows in their order, each with what makes the next one apply.
std::vector<Case> TransactionCases() {
  const InFlightFacts tx = InTransaction();
  return {
      {"rolled back", tx, Row::kRolledBack, Act::kAnswer, 1213, Conn::kStays},
      {"rolled back, nothing in flight",
       With(tx, [](auto& f) { f.statement_sent = SentPart::kNone; }), Row::kRolledBack,
       Act::kAnswer, 1213, Conn::kStays},
      {"connection not known dead", With(tx, [](auto& f) { f.known_dead = false; }),
       Row::kRolledBack, Act::kResetAndRetry, 0, Conn::kStays},
      {"rolled back, a temporary table lost",
       With(tx, [](auto& f) { f.pinned_by_lost_state = true; }), Row::kRolledBack, Act::kAnswer,
       1213, Conn::kStaysStateLost},
      {"rolled back, result begun", With(tx, [](auto& f) { f.part_forwarded = true; }),
       Row::kRolledBack, Act::kAnswer, 1213, Conn::kStays},
      {"rolled back, a packet cut", With(tx, [](auto& f) { f.half_packet_forwarded = true; }),
       Row::kRolledBack, Act::kAnswer, 1213, Conn::kClosesUnanswered},
      {"rolled back although not delivered",
       With(tx, [](auto& f) { f.provably_not_delivered = true; }), Row::kRolledBack, Act::kAnswer,
       1213, Conn::kStays},
      {"commit sent", With(tx, [](auto& f) { f.commit_sent = true; }), Row::kTransactionUnknown,
       Act::kAnswer, 9410, Conn::kStays},
      {"commit sent, no transaction seen", With(Sent(), [](auto& f) { f.commit_sent = true; }),
       Row::kTransactionUnknown, Act::kAnswer, 9410, Conn::kStays},
      {"may have committed", With(tx, [](auto& f) { f.sent_since_begin_may_commit = true; }),
       Row::kTransactionUnknown, Act::kAnswer, 9410, Conn::kStays},
      {"tables not known", With(tx, [](auto& f) { f.tables_known_transactional = false; }),
       Row::kTransactionUnknown, Act::kAnswer, 9410, Conn::kStays},
      {"tables not known, state lost",
       With(tx,
            [](auto& f) {
              f.tables_known_transactional = false;
              f.restorable = false;
            }),
       Row::kTransactionUnknown, Act::kAnswer, 9410, Conn::kClosesAfterAnswer},
  };
}

std::vector<Case> OtherCases() {
  const InFlightFacts none;
  return {
      {"pinned, not sent", With(none, [](auto& f) { f.pinned_by_lost_state = true; }),
       Row::kStateLost, Act::kAnswer, 9411, Conn::kClosesAfterAnswer},
      {"not restorable, not sent", With(none, [](auto& f) { f.restorable = false; }),
       Row::kStateLost, Act::kAnswer, 9411, Conn::kClosesAfterAnswer},
      {"pinned, sent", With(Sent(), [](auto& f) { f.pinned_by_lost_state = true; }),
       Row::kPinnedUnknown, Act::kAnswer, 9410, Conn::kClosesAfterAnswer},
      {"pinned, not delivered",
       With(Sent(),
            [](auto& f) {
              f.pinned_by_lost_state = true;
              f.provably_not_delivered = true;
            }),
       Row::kPinnedUnknown, Act::kAnswer, 9410, Conn::kClosesAfterAnswer},
      {"result begun, may have written", With(Sent(), [](auto& f) { f.part_forwarded = true; }),
       Row::kPartForwarded, Act::kAnswer, 9410, Conn::kStays},
      {"result begun, a read",
       With(Sent(),
            [](auto& f) {
              f.part_forwarded = true;
              f.may_have_written = false;
              f.plain_read = f.read_retry = true;
            }),
       Row::kPartForwarded, Act::kAnswer, 1317, Conn::kStays},
      {"packet cut", With(Sent(), [](auto& f) { f.half_packet_forwarded = true; }),
       Row::kPartForwarded, Act::kAnswer, 9410, Conn::kClosesUnanswered},
      {"not sent", none, Row::kNotSent, Act::kHoldAgain, 0, Conn::kStays},
      {"BEGIN deferred",
       With(none,
            [](auto& f) {
              f.in_transaction = true;
              f.begin_only = true;
            }),
       Row::kBeginDeferred, Act::kHoldAgain, 0, Conn::kStays},
      {"BEGIN deferred, then something sent",
       With(Sent(),
            [](auto& f) {
              f.in_transaction = true;
              f.begin_only = true;
            }),
       Row::kTransactionUnknown, Act::kAnswer, 9410, Conn::kStays},
      {"not delivered", With(Sent(), [](auto& f) { f.provably_not_delivered = true; }),
       Row::kNotDelivered, Act::kHoldAgain, 0, Conn::kStays},
      {"sent in part, no proof", With(none, [](auto& f) { f.statement_sent = SentPart::kPartly; }),
       Row::kSentUnknown, Act::kAnswer, 9410, Conn::kStays},
      {"sent", Sent(), Row::kSentUnknown, Act::kAnswer, 9410, Conn::kStays},
      {"read, no retry",
       With(Sent(),
            [](auto& f) {
              f.plain_read = true;
              f.may_have_written = false;
            }),
       Row::kSentUnknown, Act::kAnswer, 9410, Conn::kStays},
      {"read, retry",
       With(Sent(),
            [](auto& f) {
              f.plain_read = f.read_retry = true;
              f.may_have_written = false;
            }),
       Row::kReadRetry, Act::kHoldAgain, 0, Conn::kStays},
      {"read, retried once",
       With(Sent(),
            [](auto& f) {
              f.plain_read = f.read_retry = f.read_retried = true;
              f.may_have_written = false;
            }),
       Row::kSentUnknown, Act::kAnswer, 9410, Conn::kStays},
      {"read said to be plain, and to write",
       With(Sent(), [](auto& f) { f.plain_read = f.read_retry = true; }), Row::kSentUnknown,
       Act::kAnswer, 9410, Conn::kStays},
  };
}

void Check(const Case& c) {
  const Verdict v = Decide(c.facts);
  EXPECT_EQ(ToString(v.row), ToString(c.row)) << c.what;
  EXPECT_EQ(v.action, c.action) << c.what;
  EXPECT_EQ(v.code, c.code) << c.what;
  EXPECT_EQ(v.connection, c.connection) << c.what;
  EXPECT_EQ(v.resend_allowed, c.action == Act::kHoldAgain) << c.what;
}

TEST(OutcomeTest, TheTableRowByRow) {
  for (const Case& c : TransactionCases()) Check(c);
  for (const Case& c : OtherCases()) Check(c);
}

constexpr uint32_t kFlags = 15;
constexpr uint32_t kCombinations = 3u << kFlags;

InFlightFacts Combination(uint32_t number) {
  InFlightFacts f;
  bool* const flags[kFlags] = {&f.in_transaction,
                               &f.commit_sent,
                               &f.sent_since_begin_may_commit,
                               &f.tables_known_transactional,
                               &f.begin_only,
                               &f.pinned_by_lost_state,
                               &f.provably_not_delivered,
                               &f.part_forwarded,
                               &f.half_packet_forwarded,
                               &f.may_have_written,
                               &f.restorable,
                               &f.plain_read,
                               &f.read_retry,
                               &f.read_retried,
                               &f.known_dead};
  for (uint32_t i = 0; i < kFlags; ++i) *flags[i] = (number >> i & 1) != 0;
  f.statement_sent = static_cast<SentPart>(number >> kFlags);
  return f;
}

// What can have reached the server, whatever else is said.
bool MayHaveBeenDelivered(const InFlightFacts& f) {
  const bool result_began = f.part_forwarded || f.half_packet_forwarded;
  if (result_began) return true;
  return f.statement_sent != SentPart::kNone && !f.provably_not_delivered;
}

TEST(OutcomeTest, NeverSentAgainIfItMayHaveBeenDelivered) {
  for (uint32_t n = 0; n < kCombinations; ++n) {
    const InFlightFacts f = Combination(n);
    const Verdict v = Decide(f);
    ASSERT_EQ(v.resend_allowed, v.action == Act::kHoldAgain) << n;
    if (!v.resend_allowed) continue;
    const bool harmless_read = f.plain_read && f.read_retry && !f.read_retried &&
                               !f.may_have_written && !f.part_forwarded && !f.half_packet_forwarded;
    ASSERT_TRUE(!MayHaveBeenDelivered(f) || harmless_read) << n;
    // In a transaction of the server a second copy would run outside of it.
    ASSERT_TRUE(!f.in_transaction || (f.begin_only && f.statement_sent == SentPart::kNone)) << n;
    ASSERT_FALSE(f.commit_sent) << n;
    ASSERT_FALSE(f.pinned_by_lost_state || !f.restorable) << n;
  }
}

TEST(OutcomeTest, RolledBackOnlyWhereItIsCertain) {
  uint32_t seen = 0;
  for (uint32_t n = 0; n < kCombinations; ++n) {
    const InFlightFacts f = Combination(n);
    const Verdict v = Decide(f);
    const bool certain = f.in_transaction && !f.commit_sent && !f.sent_since_begin_may_commit &&
                         f.tables_known_transactional;
    if (v.code == 1213) {
      ++seen;
      ASSERT_TRUE(certain && f.known_dead) << n;
    }
    if (v.action == Act::kResetAndRetry) {
      ASSERT_TRUE(certain && !f.known_dead) << n;
      InFlightFacts dead = f;
      dead.known_dead = true;
      ASSERT_EQ(Decide(dead).code, 1213) << n;  // asked again it answers
    }
  }
  EXPECT_GT(seen, 1000u);
}

TEST(OutcomeTest, ClosesExactlyWhereTheProductSays) {
  for (uint32_t n = 0; n < kCombinations; ++n) {
    const InFlightFacts f = Combination(n);
    const Verdict v = Decide(f);
    const bool lost = f.pinned_by_lost_state || !f.restorable;
    if (v.action != Act::kAnswer) {
      ASSERT_EQ(v.connection, Conn::kStays) << n;
      continue;
    }
    if (f.half_packet_forwarded) {
      ASSERT_EQ(v.connection, Conn::kClosesUnanswered) << n;
    } else if (v.code == 1213) {
      ASSERT_EQ(v.connection, lost ? Conn::kStaysStateLost : Conn::kStays) << n;
    } else {
      ASSERT_EQ(v.connection, lost ? Conn::kClosesAfterAnswer : Conn::kStays) << n;
    }
    ASSERT_TRUE(v.code != 9411 || lost) << n;
  }
}

TEST(OutcomeTest, EveryAnswerHasAKnownCodeAndItsTruth) {
  for (uint32_t n = 0; n < kCombinations; ++n) {
    const InFlightFacts f = Combination(n);
    const Verdict v = Decide(f);
    ASSERT_FALSE(v.why.empty());
    ASSERT_EQ(v.outcome_known, v.code != 9410) << n;
    if (v.action != Act::kAnswer) {
      ASSERT_EQ(v.code, 0) << n;
      continue;
    }
    ASSERT_TRUE(v.code == 1213 || v.code == 1317 || v.code == 9410 || v.code == 9411) << n;
    if (v.code == 9411) {
      ASSERT_FALSE(MayHaveBeenDelivered(f) || f.commit_sent) << n;  // "not executed"
    }
    if (v.code == 1317) {
      ASSERT_FALSE(f.may_have_written || f.in_transaction || f.commit_sent) << n;
    }
    const std::string_view state = OutcomeSqlstate(v);
    ASSERT_NE(state, "08S01");
    ASSERT_EQ(state == "08007", v.code == 9410 && v.connection != Conn::kStays) << n;
  }
}

}  // namespace
}  // namespace bulkhead::routing
