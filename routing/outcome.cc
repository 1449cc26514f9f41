#include "routing/outcome.h"

#include <string_view>

namespace bulkhead::routing {
namespace {

// The facts after contradictions were read in the way that promises least.
struct Read {
  bool part;         // of the result reached the client
  bool sent;         // at least a part of the statement left
  bool deferred;     // the BEGIN never left
  bool transaction;  // of the server
  bool lost;         // what the session had on that connection can't be had again
};

Read ReadFacts(const InFlightFacts& f) {
  Read r;
  r.part = f.part_forwarded || f.half_packet_forwarded;
  r.sent = f.statement_sent != SentPart::kNone || r.part;
  r.deferred = f.begin_only && !r.sent && !f.commit_sent;
  r.transaction = f.in_transaction && !r.deferred;
  r.lost = f.pinned_by_lost_state || !f.restorable;
  return r;
}

Verdict Answer(OutcomeRow row, uint16_t code, ClientConnection connection, std::string_view why) {
  Verdict v;
  v.row = row;
  v.action = OutcomeAction::kAnswer;
  v.code = code;
  v.connection = connection;
  v.outcome_known = code != kOutcomeUnknown;
  v.why = why;
  return v;
}

Verdict HoldAgain(OutcomeRow row, std::string_view why) {
  Verdict v;
  v.row = row;
  v.action = OutcomeAction::kHoldAgain;
  v.resend_allowed = true;
  v.why = why;
  return v;
}

// `whole`: what becomes of it where the packets to the client are whole.
ClientConnection Unless(bool cut, ClientConnection whole) {
  return cut ? ClientConnection::kClosesUnanswered : whole;
}

Verdict RolledBack(const InFlightFacts& f, const Read& r) {
  if (!f.known_dead) {
    Verdict v;
    v.row = OutcomeRow::kRolledBack;
    v.action = OutcomeAction::kResetAndRetry;
    v.why = "in a transaction that can't have been committed; its connection is not reset yet";
    return v;
  }
  return Answer(OutcomeRow::kRolledBack, kOutcomeRolledBack,
                Unless(f.half_packet_forwarded,
                       r.lost ? ClientConnection::kStaysStateLost : ClientConnection::kStays),
                "no commit was sent and nothing that commits by itself, all tables are "
                "transactional, and the connection is gone");
}

}  // namespace

Verdict Decide(const InFlightFacts& f) {
  using Row = OutcomeRow;
  const Read r = ReadFacts(f);
  const ClientConnection usual =
      Unless(f.half_packet_forwarded,
             r.lost ? ClientConnection::kClosesAfterAnswer : ClientConnection::kStays);

  if (r.transaction && !f.commit_sent && !f.sent_since_begin_may_commit &&
      f.tables_known_transactional) {
    return RolledBack(f, r);
  }
  if (r.transaction || f.commit_sent) {
    return Answer(Row::kTransactionUnknown, kOutcomeUnknown, usual,
                  f.commit_sent ? "a commit was sent and not answered"
                                : "in a transaction of which a part may have been committed");
  }
  if (r.lost) {
    return r.sent ? Answer(Row::kPinnedUnknown, kOutcomeUnknown, usual,
                           "sent, and the session's state is lost with the connection")
                  : Answer(Row::kStateLost, kOutcomeStateLost, usual,
                           "not sent, and the session's state is lost with the connection");
  }
  if (r.part) {
    return f.may_have_written
               ? Answer(Row::kPartForwarded, kOutcomeUnknown, usual,
                        "a part of its result was forwarded, and it may have written")
               : Answer(Row::kPartForwarded, kOutcomeInterrupted, usual,
                        "a part of its result was forwarded, and it only reads");
  }
  if (r.deferred)
    return HoldAgain(Row::kBeginDeferred, "nothing followed a BEGIN that was deferred");
  if (!r.sent) return HoldAgain(Row::kNotSent, "not sent, and the session's state can be restored");
  if (f.provably_not_delivered) {
    return HoldAgain(Row::kNotDelivered, "its last byte never left this machine");
  }
  if (f.plain_read && !f.may_have_written && f.read_retry && !f.read_retried) {
    return HoldAgain(Row::kReadRetry, "it only reads, nothing was forwarded, read_retry is on");
  }
#ifdef BULKHEAD_PLANT_RESEND  // a bug for the simulator's tests: tests/sim must catch it
  return HoldAgain(Row::kSentUnknown, "planted: sent again after it was sent");
#endif
  return Answer(Row::kSentUnknown, kOutcomeUnknown, usual, "sent and not answered");
}

std::string_view OutcomeSqlstate(const Verdict& verdict) {
  switch (verdict.code) {
    case kOutcomeRolledBack:
      return "40001";
    case kOutcomeInterrupted:
      return "70100";
    case kOutcomeUnknown:
      return verdict.connection == ClientConnection::kStays ? "HY000" : "08007";
    default:
      return "HY000";
  }
}

std::string_view ToString(OutcomeRow row) {
  switch (row) {
    case OutcomeRow::kRolledBack:
      return "rolled_back";
    case OutcomeRow::kTransactionUnknown:
      return "transaction_unknown";
    case OutcomeRow::kStateLost:
      return "state_lost";
    case OutcomeRow::kPinnedUnknown:
      return "pinned_unknown";
    case OutcomeRow::kPartForwarded:
      return "part_forwarded";
    case OutcomeRow::kNotSent:
      return "not_sent";
    case OutcomeRow::kBeginDeferred:
      return "begin_deferred";
    case OutcomeRow::kNotDelivered:
      return "not_delivered";
    case OutcomeRow::kReadRetry:
      return "read_retry";
    case OutcomeRow::kSentUnknown:
      return "sent_unknown";
  }
  return "";
}

}  // namespace bulkhead::routing
