// What may be said of a statement whose backend went silent: PRODUCT.md's table as one function.
//
// Purpose: a statement ends as exactly one of: done, not executed, rolled back, outcome unknown;
// and it is sent again only if its first copy can't have been delivered (or it only reads, and the
// operator wants that). The rows are tried in the table's order. Pure; any thread.
//
// Facts that can't all be true are read in the way that promises least: a deferred BEGIN counts
// only while nothing was sent; state that can't be restored counts as pinned; a result of which a
// packet was cut counts as begun. Sources: PRODUCT.md, "Holding and refusing". 1213 / 40001 and
// 1317 / 70100: MySQL's and MariaDB's error references (ER_LOCK_DEADLOCK: "the transaction was
// rolled back"; ER_QUERY_INTERRUPTED).
#ifndef BULKHEAD_ROUTING_OUTCOME_H_
#define BULKHEAD_ROUTING_OUTCOME_H_

#include <cstdint>
#include <string_view>

namespace bulkhead::routing {

// How much of the statement was handed to the kernel.
enum class SentPart : uint8_t { kNone, kPartly, kWholly };

struct InFlightFacts {
  bool in_transaction = false;  // of the client's view: BEGIN, or autocommit=0 and work done
  bool commit_sent = false;
  // Since BEGIN something was sent that may commit by itself or call stored code: DDL, BEGIN, SET
  // autocommit, LOCK TABLES, CALL, multi-statements, EXECUTE of text, XA past START. The statement
  // in flight counts.
  bool sent_since_begin_may_commit = false;
  bool tables_known_transactional = false;  // all that were touched since BEGIN
  bool begin_only = false;  // a plain BEGIN that was deferred, nothing sent after it; never WITH
                            // CONSISTENT SNAPSHOT
  bool pinned_by_lost_state = false;
  SentPart statement_sent = SentPart::kNone;
  // Proven by SIOCOUTQNSD and the abortive close without a yield in between, which both have
  // happened; or its last byte never left our own buffers and the connection is closed.
  bool provably_not_delivered = false;
  bool part_forwarded = false;         // of its result, to the client
  bool half_packet_forwarded = false;  // and that ended within a packet
  bool may_have_written = true;
  bool restorable = true;  // the session's state can be built up on another connection
  bool plain_read =
      false;  // autocommit SELECT of base tables and built-ins, no locks, no variables
  bool read_retry = false;    // the operator's option
  bool read_retried = false;  // it was already sent once more
  bool known_dead = false;    // the connection was reset: no commit can follow on it any more
};

enum class OutcomeAction : uint8_t {
  kHoldAgain,      // resend allowed: enqueue it (on a new connection, state restored)
  kAnswer,         // with `code`
  kResetAndRetry,  // reset the connection, so that it is known dead, and decide again
};

enum class ClientConnection : uint8_t {
  kStays,
  // Stays, but what the session had on its backend connection is gone: its next statement that
  // isn't a ROLLBACK, COMMIT or SET of everything gets 9411 and the connection closes.
  kStaysStateLost,
  kClosesAfterAnswer,
  kClosesUnanswered,  // a packet was cut: nothing that could be read may be written
};

// The table's rows, in its order.
enum class OutcomeRow : uint8_t {
  kRolledBack,
  kTransactionUnknown,
  kStateLost,
  kPinnedUnknown,
  kPartForwarded,
  kNotSent,
  kBeginDeferred,
  kNotDelivered,
  kReadRetry,  // the table names it last, as the exception to kSentUnknown
  kSentUnknown,
};

struct Verdict {
  OutcomeRow row = OutcomeRow::kSentUnknown;
  OutcomeAction action = OutcomeAction::kAnswer;
  uint16_t code = 0;  // kAnswer: 1213, 1317, 9410, 9411; otherwise 0
  ClientConnection connection = ClientConnection::kStays;
  bool resend_allowed = false;
  bool outcome_known = true;  // false: list it in SHOW UNKNOWN
  std::string_view why;       // for the event log and SHOW UNKNOWN, a constant
};

inline constexpr uint16_t kOutcomeRolledBack = 1213;
// A read whose result was cut off: nothing can have been written, so nothing is unknown; but
// "not executed" would be a lie.
inline constexpr uint16_t kOutcomeInterrupted = 1317;
inline constexpr uint16_t kOutcomeUnknown = 9410;
inline constexpr uint16_t kOutcomeStateLost = 9411;

Verdict Decide(const InFlightFacts& facts);
// "40001", "70100", "HY000", and "08007" for 9410 where the connection closes.
std::string_view OutcomeSqlstate(const Verdict& verdict);
std::string_view ToString(OutcomeRow row);

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_OUTCOME_H_
