// The one list of all metrics: name, type, labels, help, and where each is counted.
//
// Purpose: everything that is rendered on /metrics has its row in kDefinitions; the documentation's
//   table is made from it (RenderMarkdownTable) and a test checks that the collector renders these
//   families and no others; tests/integration/test_prometheus.py checks that alert rules and the
//   dashboard use no others. Label values that are vocabularies of their own are enums here, each
//   with its words beside it.
// Thread: constants only.
// Naming: https://prometheus.io/docs/practices/naming/ (base units, _total for counters, a prefix
//   for the application). process_* are the names every Prometheus client library uses.
#ifndef BULKHEAD_METRICS_LIST_H_
#define BULKHEAD_METRICS_LIST_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::metrics {

// What a statement is for whoever reads a graph. The lexer's finer kinds map onto these.
enum class StatementKind : uint8_t { kRead, kWrite, kDdl, kTransaction, kCall, kOther };
inline constexpr std::array<std::string_view, 6> kStatementKindNames = {
    "read", "write", "ddl", "transaction", "call", "other"};

// How a statement ended, as the client was told. Exactly one per statement.
enum class StatementOutcome : uint8_t {
  kOk,          // the backend answered, no error
  kError,       // the backend answered with an error of its own
  kRefused,     // not executed, the router said so (9401 to 9403, unknown tenant, limits, ...)
  kUnknown,     // 9410
  kRolledBack,  // 1213 given by the router
  kStateLost,   // 9411
};
inline constexpr std::array<std::string_view, 6> kStatementOutcomeNames = {
    "ok", "error", "refused", "unknown", "rolled_back", "state_lost"};

enum class SessionState : uint8_t { kUnauthenticated, kAuthenticated };
inline constexpr std::array<std::string_view, 2> kSessionStateNames = {"unauthenticated",
                                                                       "authenticated"};

enum class LoginFailure : uint8_t {
  kPassword,        // unknown user or wrong password: told apart nowhere, on purpose
  kTenant,          // tenant unknown, or not allowed for this user
  kTlsRequired,     // the listener or the user demands TLS
  kTimeout,         // the handshake was not finished in time
  kProtocol,        // malformed packet or unsupported capabilities
  kTooManyClients,  // a limit on clients or on unauthenticated clients
  kDisconnected,    // the client went away in mid-handshake
  kOther,
};
inline constexpr std::array<std::string_view, 8> kLoginFailureNames = {
    "password", "tenant",           "tls_required", "timeout",
    "protocol", "too_many_clients", "disconnected", "other"};

enum class PoolState : uint8_t {
  kIdle,        // free for the next session
  kLent,        // in use by a session
  kConnecting,  // TCP connect, TLS or login under way
  kLingering,   // given back but not free yet: resetting, restoring, waiting for a KILL, closing
};
inline constexpr std::array<std::string_view, 4> kPoolStateNames = {"idle", "lent", "connecting",
                                                                    "lingering"};

enum class ConnectResult : uint8_t {
  kOk,
  kRefused,      // TCP: refused, reset, unreachable, name not resolved
  kTimeout,      // connect or login did not end in time
  kLoginDenied,  // the backend refused the account
  kTooMany,      // 1040, 1203, 1226: the backend has no place
  kError,        // any other error, protocol errors included
};
inline constexpr std::array<std::string_view, 6> kConnectResultNames = {
    "ok", "refused", "timeout", "login_denied", "too_many", "error"};

enum class RestoreKind : uint8_t {
  kNone,        // the connection had the session's state already
  kVariables,   // SET of one or more variables, character set included
  kDatabase,    // COM_INIT_DB
  kReset,       // COM_RESET_CONNECTION
  kChangeUser,  // COM_CHANGE_USER
  kPrepare,     // a prepared statement was prepared again
};
inline constexpr std::array<std::string_view, 6> kRestoreKindNames = {
    "none", "variables", "database", "reset", "change_user", "prepare"};

enum class Direction : uint8_t { kReceived, kSent };
inline constexpr std::array<std::string_view, 2> kDirectionNames = {"received", "sent"};

// Upper bounds of the duration histograms: 1-2-5 from 50 us to 60 s, so that the limits people
// set (1 s, 5 s, 10 s, 30 s, 60 s) are bounds themselves.
inline constexpr std::array<uint64_t, 19> kDurationBoundsNs = {
    50'000,        100'000,        200'000,        500'000,       1'000'000,
    2'000'000,     5'000'000,      10'000'000,     20'000'000,    50'000'000,
    100'000'000,   200'000'000,    500'000'000,    1'000'000'000, 2'000'000'000,
    5'000'000'000, 10'000'000'000, 30'000'000'000, 60'000'000'000};

// What a state that control finds out took since the backend's last proof of life.
enum class DetectedState : uint8_t { kSuspect, kDown };
inline constexpr std::array<std::string_view, 2> kDetectedStateNames = {"suspect", "down"};

// How a statement that had to wait at a gate left it.
enum class HoldEnd : uint8_t { kReleased, kRefused };
inline constexpr std::array<std::string_view, 2> kHoldEndNames = {"released", "refused"};

enum class Type : uint8_t { kCounter, kGauge, kHistogram };

// One per row of kDefinitions, in the same order.
enum class Metric : uint8_t {
  kBuildInfo,
  kStartTime,
  kResidentMemory,
  kOpenFds,
  kMaxFds,
  kVirtualMemory,
  kCpuSeconds,
  kReady,
  kCertificateExpiry,
  kChangesStuck,
  kStoreWritable,
  kStoreCommits,
  kLogLines,
  kLogHeldBack,
  kLogDropped,
  kHttpAnswers,
  kHttpStreams,
  kSessions,
  kClientConnections,
  kLoginsFailed,
  kClientBytes,
  kPinnedSessions,
  kStatements,
  kStatementDuration,
  kSlowStatements,
  kTenantStatements,
  kTenantBusy,
  kTenantLimitSessions,
  kTenantLimitRunning,
  kTenantLimitRefused,
  kPoolConnections,
  kPoolLimit,
  kPoolWaiting,
  kPoolWaits,
  kPoolConnects,
  kPoolRestores,
  kBackendBytes,
  kLoopLag,
  kBackendState,
  kBackendStateChanges,
  kBackendSilence,
  kBackendCanary,
  kDetection,
  kDetectionSignals,
  kFalseSuspects,
  kProbes,
  kGivenUp,
  kAbandoned,
  kTopologyVersion,
  kShardPrimary,
  kShardEpoch,
  kShardTenants,
  kShardServing,
  kShardOutage,
  kShardFailoverReady,
  kShardFence,
  kHeldStatements,
  kHeldBytes,
  kHoldLimitStatements,
  kHoldLimitBytes,
  kHoldDuration,
  kGateEnqueued,
  kGateReleased,
  kGateRefused,
  kGateCancelled,
  kReleaseConcurrency,
  kUnknownOutcomes,
  kOperationsRunning,
  kPredecessorSessions,
  kCount,
};

struct Definition {
  Metric id;
  std::string_view name;
  Type type;
  std::string_view labels;  // separated by commas; empty: none
  std::string_view help;
  std::string_view counted;  // by whom and when
};

inline constexpr std::array<Definition, static_cast<size_t>(Metric::kCount)> kDefinitions = {{
    {Metric::kBuildInfo, "bulkhead_build_info", Type::kGauge, "version",
     "Always 1; the labels say what runs.", "at start"},
    {Metric::kStartTime, "process_start_time_seconds", Type::kGauge, "",
     "When the process started, in seconds since the epoch.", "at start"},
    {Metric::kResidentMemory, "process_resident_memory_bytes", Type::kGauge, "",
     "Memory of the process that is resident.", "at each scrape, from /proc"},
    {Metric::kOpenFds, "process_open_fds", Type::kGauge, "", "Open file descriptors.",
     "at each scrape, from /proc"},
    {Metric::kMaxFds, "process_max_fds", Type::kGauge, "", "Limit on open file descriptors.",
     "at each scrape"},
    {Metric::kVirtualMemory, "process_virtual_memory_bytes", Type::kGauge, "",
     "Address space of the process.", "at each scrape, from /proc"},
    {Metric::kCpuSeconds, "process_cpu_seconds_total", Type::kCounter, "",
     "CPU time used, user and system.", "at each scrape"},
    {Metric::kReady, "bulkhead_ready", Type::kGauge, "",
     "1 if /readyz says that clients can be served.", "at each scrape"},
    {Metric::kCertificateExpiry, "bulkhead_certificate_expiry_timestamp_seconds", Type::kGauge,
     "role",
     "When a certificate ends, in seconds since the epoch; role: clients (what clients are shown) "
     "or backends (the router's own, for servers that ask).",
     "when it is loaded"},
    {Metric::kChangesStuck, "bulkhead_changes_stuck", Type::kGauge, "",
     "Switchovers and failovers under way that need a person: their shards are held, and the step "
     "is tried on and on.",
     "by control, five times a second"},
    {Metric::kStoreWritable, "bulkhead_store_writable", Type::kGauge, "",
     "1 if the topology store took what was written last; it is tried at least once a minute.",
     "by control, when a commit has ended"},
    {Metric::kStoreCommits, "bulkhead_store_commits_total", Type::kCounter, "result",
     "Commits to the topology store, by result: ok or failed.",
     "by control, when a commit has ended"},
    {Metric::kLogLines, "bulkhead_log_lines_total", Type::kCounter, "level",
     "Lines written to the log.", "by the log's thread"},
    {Metric::kLogHeldBack, "bulkhead_log_held_back_total", Type::kCounter, "",
     "Repeats that were counted instead of written (`log.max_repeats`).", "by the log's thread"},
    {Metric::kLogDropped, "bulkhead_log_dropped_total", Type::kCounter, "",
     "Lines that were lost: too many waited, or they could not be written.", "by the log's thread"},
    {Metric::kHttpAnswers, "bulkhead_http_requests_total", Type::kCounter, "code",
     "Requests to the HTTP listener, by the first digit of the status.", "when it is answered"},
    {Metric::kHttpStreams, "bulkhead_http_streams", Type::kGauge, "",
     "Status pages that follow the fleet live.", "when one opens and closes"},
    {Metric::kSessions, "bulkhead_sessions", Type::kGauge, "state",
     "Client sessions that are open now.", "by the worker, at accept, login and close"},
    {Metric::kClientConnections, "bulkhead_client_connections_total", Type::kCounter, "",
     "Client connections accepted.", "by the worker, at accept"},
    {Metric::kLoginsFailed, "bulkhead_logins_failed_total", Type::kCounter, "reason",
     "Client connections that ended before login succeeded.",
     "by the worker, when the login is given up"},
    {Metric::kClientBytes, "bulkhead_client_bytes_total", Type::kCounter, "direction",
     "Bytes received from and sent to clients, as on the wire.",
     "by the worker, at each read and write"},
    {Metric::kPinnedSessions, "bulkhead_pinned_sessions", Type::kGauge, "reason",
     "Sessions that must keep their backend connection, by reason; one session may have several.",
     "by the worker, when a session is pinned and unpinned"},
    {Metric::kStatements, "bulkhead_statements_total", Type::kCounter, "shard,kind,outcome",
     "Statements by how they ended; shard is empty where none was known.",
     "by the worker, when the client has its answer"},
    {Metric::kStatementDuration, "bulkhead_statement_duration_seconds", Type::kHistogram,
     "shard,kind",
     "From a statement's first byte to the end of its answer; a kind appears with its first "
     "statement.",
     "by the worker, when the client has its answer"},
    {Metric::kSlowStatements, "bulkhead_slow_statements_total", Type::kCounter, "shard",
     "Statements that took longer than `log.slow_statement`.",
     "by the worker, when the client has its answer"},
    {Metric::kTenantStatements, "bulkhead_tenant_statements_total", Type::kCounter,
     "tenant,outcome",
     "Statements of the tenants that are busiest lately (`metrics.busiest_tenants` of them), since "
     "they are among them.",
     "by the worker, added up once a second"},
    {Metric::kTenantBusy, "bulkhead_tenant_busy_seconds_total", Type::kCounter, "tenant",
     "Time from first byte to answer of all their statements.",
     "by the worker, added up once a second"},
    {Metric::kTenantLimitSessions, "bulkhead_tenant_limit_sessions", Type::kGauge, "tenant",
     "Sessions of tenants under limits; of the `metrics.busiest_tenants` that were refused most.",
     "at each scrape"},
    {Metric::kTenantLimitRunning, "bulkhead_tenant_limit_running", Type::kGauge, "tenant",
     "Running statements of the same tenants.", "at each scrape"},
    {Metric::kTenantLimitRefused, "bulkhead_tenant_limit_refused_total", Type::kCounter, "tenant",
     "Sessions and statements refused because of the tenant's limit (9405, 1203), since its "
     "account exists.",
     "when it is refused"},
    {Metric::kPoolConnections, "bulkhead_pool_connections", Type::kGauge, "backend,state",
     "Connections to backends.", "by the worker, on each change of state"},
    {Metric::kPoolLimit, "bulkhead_pool_limit_connections", Type::kGauge, "backend",
     "Most connections to the backend that the process may open.", "from the topology"},
    {Metric::kPoolWaiting, "bulkhead_pool_waiting", Type::kGauge, "backend",
     "Sessions that wait for a backend connection now.",
     "by the worker, when waiting begins and ends"},
    {Metric::kPoolWaits, "bulkhead_pool_waits_total", Type::kCounter, "backend",
     "Statements that had to wait for a backend connection.", "by the worker, when waiting begins"},
    {Metric::kPoolConnects, "bulkhead_pool_connects_total", Type::kCounter, "backend,result",
     "Attempts to connect and log in to a backend.", "by the worker, when the attempt has ended"},
    {Metric::kPoolRestores, "bulkhead_pool_restores_total", Type::kCounter, "kind",
     "Session state restored on a connection taken from the pool.",
     "by the worker, when the restore is sent"},
    {Metric::kBackendBytes, "bulkhead_backend_bytes_total", Type::kCounter, "backend,direction",
     "Bytes received from and sent to backends, as on the wire.",
     "by the worker, at each read and write"},
    {Metric::kLoopLag, "bulkhead_loop_lag_seconds", Type::kHistogram, "thread",
     "How late a timer of the event loop fired.", "by each loop's own timer"},
    {Metric::kBackendState, "bulkhead_backend_state", Type::kGauge, "backend,state",
     "1 for the state in which the backend is, 0 for the others.",
     "by control, five times a second"},
    {Metric::kBackendStateChanges, "bulkhead_backend_state_changes_total", Type::kCounter,
     "backend,state", "Changes of a backend to this state.", "by control, at the change"},
    {Metric::kBackendSilence, "bulkhead_backend_silence_seconds", Type::kGauge, "backend",
     "Time since the last proof that the backend lives.", "by control, five times a second"},
    {Metric::kBackendCanary, "bulkhead_backend_canary", Type::kGauge, "backend",
     "Of primaries: 1 if commits are probed, 0 if the probe account can't (a disk that hangs is "
     "then seen only by silent clients).",
     "by control, five times a second"},
    {Metric::kDetection, "bulkhead_detection_duration_seconds", Type::kHistogram, "state",
     "From a backend's last proof of life to this state.", "by control, at the change"},
    {Metric::kDetectionSignals, "bulkhead_detection_signals_total", Type::kCounter,
     "backend,signal", "Suspicions and verdicts that rested on this signal.",
     "by control, at the change"},
    {Metric::kFalseSuspects, "bulkhead_false_suspects_total", Type::kCounter, "backend",
     "Suspicions that ended without a verdict: new work was held for nothing, if shortly.",
     "by control, at the change"},
    {Metric::kProbes, "bulkhead_probes_total", Type::kCounter, "backend,kind,result",
     "Probes that have ended, by result: ok or failed.", "by control, when the probe has ended"},
    {Metric::kGivenUp, "bulkhead_given_up_connections_total", Type::kCounter, "backend",
     "Connections that were reset under a statement because the backend was down.",
     "by control, when the workers have reset them"},
    {Metric::kAbandoned, "bulkhead_abandoned_connections", Type::kGauge, "backend",
     "Of the connections given up, those that were not seen gone on the server yet.",
     "by control, five times a second"},
    {Metric::kTopologyVersion, "bulkhead_topology_version", Type::kGauge, "",
     "Number of the topology, raised with each change.", "from the topology"},
    {Metric::kShardPrimary, "bulkhead_shard_primary_info", Type::kGauge, "shard,backend",
     "Always 1; says which backend is the shard's primary.", "from the topology"},
    {Metric::kShardEpoch, "bulkhead_shard_epoch", Type::kGauge, "shard",
     "Raised with each change of the shard's primary.", "from the topology"},
    {Metric::kShardTenants, "bulkhead_shard_tenants", Type::kGauge, "shard",
     "Tenants with an entry of their own in the directory.",
     "when the topology has changed, at most once in ten seconds"},
    {Metric::kShardServing, "bulkhead_shard_serving", Type::kGauge, "shard",
     "1 if new work of the shard is sent at once, 0 if its gate is asked.",
     "by control, five times a second"},
    {Metric::kShardOutage, "bulkhead_shard_outage_seconds", Type::kGauge, "shard",
     "How long the shard's outage lasts, since its primary fell silent; 0: there is none.",
     "by control, five times a second"},
    {Metric::kShardFailoverReady, "bulkhead_shard_failover_ready", Type::kGauge, "shard",
     "1 if what a FAILOVER of the shard needs is there: control and replication accounts, and a "
     "replica that is up and not fenced; whether data would be lost is seen only by FAILOVER ... "
     "DRY RUN. Absent where a shard has no replicas.",
     "by control, five times a second"},
    {Metric::kShardFence, "bulkhead_shard_fence_configured", Type::kGauge, "shard",
     "1 if the shard's primary can be fenced by a configured command, or its semi-synchronous "
     "replication is one. Absent where a shard has no replicas.",
     "from the configuration, and what the primary said last"},
    {Metric::kHeldStatements, "bulkhead_held_statements", Type::kGauge, "shard,kind",
     "Statements that wait at the shard's gate now.", "by control, five times a second"},
    {Metric::kHeldBytes, "bulkhead_held_bytes", Type::kGauge, "shard",
     "Bytes of the statements that wait at the shard's gate now.",
     "by control, five times a second"},
    {Metric::kHoldLimitStatements, "bulkhead_hold_limit_statements", Type::kGauge, "shard",
     "Most statements that may wait at the shard's gate.", "from the topology"},
    {Metric::kHoldLimitBytes, "bulkhead_hold_limit_bytes", Type::kGauge, "shard",
     "Most bytes of statements that may wait at the shard's gate.", "from the topology"},
    {Metric::kHoldDuration, "bulkhead_hold_duration_seconds", Type::kHistogram, "shard,end",
     "How long statements waited at the shard's gate that had to wait; end: released or refused.",
     "by control, at the release or refusal"},
    {Metric::kGateEnqueued, "bulkhead_gate_enqueued_total", Type::kCounter, "shard,kind",
     "Statements that came to the shard's gate because it did not plainly serve; always the sum of "
     "released, refused, cancelled and held.",
     "by control, when the statement comes"},
    {Metric::kGateReleased, "bulkhead_gate_released_total", Type::kCounter, "shard,kind",
     "Statements that the gate let through.", "by control, at the release"},
    {Metric::kGateRefused, "bulkhead_gate_refused_total", Type::kCounter, "shard,kind,code",
     "Statements that the gate refused, not executed, by error code.",
     "by control, at the refusal"},
    {Metric::kGateCancelled, "bulkhead_gate_cancelled_total", Type::kCounter, "shard,kind",
     "Statements whose client left or killed them while they waited.",
     "by control, when it is told"},
    {Metric::kReleaseConcurrency, "bulkhead_release_concurrency", Type::kGauge, "shard",
     "Statements that may run at once while held ones are released; 0: no release under way.",
     "by control, five times a second"},
    {Metric::kUnknownOutcomes, "bulkhead_unknown_outcomes_total", Type::kCounter, "",
     "Statements whose outcome could not be known (9410).", "by control, when a worker tells it"},
    {Metric::kOperationsRunning, "bulkhead_operations_running", Type::kGauge, "kind",
     "Operations of operators under way (drain, assign, switchover, failover, drill).",
     "at each scrape"},
    {Metric::kPredecessorSessions, "bulkhead_predecessor_sessions", Type::kGauge, "",
     "Client sessions that are still in processes that this one took over from (SIGUSR2).",
     "as they say, four times a second"},
}};

[[nodiscard]] constexpr const Definition& DefinitionOf(Metric metric) {
  return kDefinitions[static_cast<size_t>(metric)];
}

// The list as a Markdown table, for docs/METRICS.md.
[[nodiscard]] std::string RenderMarkdownTable();

}  // namespace bulkhead::metrics

#endif  // BULKHEAD_METRICS_LIST_H_
