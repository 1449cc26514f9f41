// The one list of what is logged: the event's name, its fields, what it means.
//
// Purpose: every line of ours names one of these; docs/LOGS.md holds the table made from it
// (RenderEventTable) and a test compares them. Names stay as they are: people search for them.
// Thread: constants only.
#ifndef BULKHEAD_PROXY_LOG_EVENTS_H_
#define BULKHEAD_PROXY_LOG_EVENTS_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::log {

// Whether every single line is wanted (changes of state, audit, outcomes), or a flood of them is
// held back and counted.
enum class Repeat : uint8_t { kAlways, kLimited };

struct Event {
  std::string_view name;
  Repeat repeat;
  std::string_view fields;  // separated by commas; repeats are told apart by the first one
  std::string_view meaning;
};

namespace event {

inline constexpr Event kStarted = {"started", Repeat::kAlways, "version,config",
                                   "The process has begun."};
inline constexpr Event kListening = {"listening", Repeat::kAlways, "address,what",
                                     "A listener is open: `what` is clients, admin or http."};
inline constexpr Event kStopping = {"stopping", Repeat::kAlways, "signals",
                                    "A signal was taken: the first drains, the second ends."};
inline constexpr Event kStopped = {"stopped", Repeat::kAlways, "", "The process ends."};
inline constexpr Event kSetup = {"setup", Repeat::kAlways, "what",
                                 "Something of the configuration or the system that is not as it "
                                 "should be: no probe account, memory that can't be locked."};
inline constexpr Event kTopology = {"topology", Repeat::kAlways, "revision,differences",
                                    "Which topology rules, the stored or the configured one."};
inline constexpr Event kBackendState = {
    "backend_state", Repeat::kAlways, "backend,from,to,signals,silent_ms",
    "A backend's state has changed; the message holds the evidence."};
inline constexpr Event kBackendNotice = {"backend_notice", Repeat::kAlways, "backend",
                                         "Something about a backend that is no change of state."};
inline constexpr Event kGivenUp = {"given_up", Repeat::kAlways, "backend,connections",
                                   "Connections were reset under a statement: the backend is down "
                                   "beyond the grace."};
inline constexpr Event kLeft = {"left", Repeat::kAlways, "backend,connections",
                                "Connections were left in mid-statement by clients while the "
                                "backend hung."};
inline constexpr Event kGate = {
    "gate", Repeat::kAlways, "shard,tenant",
    "A shard (or a tenant) is held, refused, released or served again."};
inline constexpr Event kChange = {"change_of_primary", Repeat::kAlways, "operation,shard,kind",
                                  "A step of a switchover or failover, and how it ended."};
inline constexpr Event kReturned = {
    "returned_primary", Repeat::kAlways, "backend",
    "A former primary has come back after a failover, and what only it has."};
inline constexpr Event kOutcomeUnknown = {
    "outcome_unknown", Repeat::kAlways, "tenant,shard,backend,connection,session",
    "A statement's outcome can't be known (9410); SHOW UNKNOWN has its digest."};
inline constexpr Event kOperator = {"operator", Repeat::kAlways,
                                    "user,address,connection,statement,outcome,duration_ms",
                                    "An admin statement and how it ended: the audit line."};
inline constexpr Event kOperatorLogin = {"operator_login", Repeat::kAlways,
                                         "address,user,connection", "An operator has logged in."};
inline constexpr Event kLogin = {"login_failed", Repeat::kLimited, "address,user",
                                 "A client's or an operator's login ended without success."};
inline constexpr Event kSlow = {
    "slow_statement", Repeat::kAlways,
    "tenant,shard,backend,session,kind,outcome,duration_ms,digest",
    "A statement took longer than `log.slow_statement`; literals are removed."};
inline constexpr Event kSlowLeftOut = {"slow_statements_left_out", Repeat::kAlways, "count",
                                       "More were slow than `log.slow_per_second` allows."};
inline constexpr Event kLate = {"late", Repeat::kLimited, "milliseconds",
                                "This process did not run for a while: nothing it saw meanwhile "
                                "counts as evidence."};
inline constexpr Event kStore = {"store_failed", Repeat::kLimited, "what",
                                 "The topology store can't be written."};
inline constexpr Event kListener = {"listener", Repeat::kLimited, "what,times",
                                    "Client connections can't be accepted."};
inline constexpr Event kHttp = {"http", Repeat::kLimited, "what", "The HTTP server's own trouble."};
inline constexpr Event kHttpLogin = {"http_login_failed", Repeat::kLimited, "address",
                                     "Somebody without the right password asked for a page."};
inline constexpr Event kReload = {"reload", Repeat::kAlways, "",
                                  "SIGHUP or RELOAD CONFIG, and what came of it."};
inline constexpr Event kHandover = {"handover", Repeat::kAlways, "what",
                                    "One process hands over to another (SIGUSR2): how it goes, and "
                                    "how the first one ends."};
inline constexpr Event kLogFile = {"log_file", Repeat::kAlways, "",
                                   "The log's file could not be opened anew."};

}  // namespace event

inline constexpr std::array<const Event*, 27> kEvents = {
    &event::kStarted, &event::kListening,      &event::kStopping,      &event::kStopped,
    &event::kSetup,   &event::kTopology,       &event::kReload,        &event::kLogFile,
    &event::kLate,    &event::kBackendState,   &event::kGate,          &event::kGivenUp,
    &event::kLeft,    &event::kOutcomeUnknown, &event::kOperator,      &event::kBackendNotice,
    &event::kLogin,   &event::kSlow,           &event::kStore,         &event::kSlowLeftOut,
    &event::kChange,  &event::kReturned,       &event::kOperatorLogin, &event::kListener,
    &event::kHttp,    &event::kHttpLogin,      &event::kHandover,
};

// The list as a Markdown table.
[[nodiscard]] std::string RenderEventTable();

}  // namespace bulkhead::log

#endif  // BULKHEAD_PROXY_LOG_EVENTS_H_
