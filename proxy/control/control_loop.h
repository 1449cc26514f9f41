// The control thread: watches every backend, keeps the gates, and is the sole owner of decisions
// that all workers share.
//
// Purpose: samples what the workers' connections show, runs the probes, gives the evidence to each
// backend's health machine, and what follows from it to the gates. Stays responsive when everything
// else is not: nothing here waits for a worker, a backend or a disk.
// Thread: Start, Stop and Join from the server's; GateKeeper's methods from any; all else its own.
// Units: the loop's monotonic clock. Without a probe account what the applications' own connections
// show is all that is known: silence is seconded by logins that hang or are refused, and hangs are
// noticed later, or not at all where nobody logs on (said in the log).
#ifndef BULKHEAD_PROXY_CONTROL_CONTROL_LOOP_H_
#define BULKHEAD_PROXY_CONTROL_CONTROL_LOOP_H_

#include <array>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "metrics/health_view.h"
#include "metrics/worker_metrics.h"
#include "proxy/config/options.h"
#include "proxy/control/auto_failover.h"
#include "proxy/control/backend_watch.h"
#include "proxy/control/event_log.h"
#include "proxy/control/fleet_rows.h"
#include "proxy/control/gate_desk.h"
#include "proxy/control/incident_log.h"
#include "proxy/control/operator_world.h"
#include "proxy/control/operators.h"
#include "proxy/control/predecessor.h"
#include "proxy/control/returned_primary.h"
#include "proxy/control/semi_sync_reader.h"
#include "proxy/control/store_thread.h"
#include "proxy/control/successor.h"
#include "proxy/control/table_reader.h"
#include "proxy/io/event_loop.h"
#include "proxy/io/gate_keeper.h"
#include "proxy/io/worker.h"
#include "routing/canary_history.h"
#include "routing/gate_board.h"
#include "routing/tenant_limits.h"

namespace bulkhead::control {

class ControlLoop final : public io::GateKeeper,
                          public BackendWatchOwner,
                          public OperatorWorld,
                          private Successor::Hands {
 public:
  static constexpr size_t kMaxUnknown = 10'000;

  struct Setup {
    std::shared_ptr<const config::Options> options;
    io::TlsContext::Ptr backend_tls;
    const std::vector<io::Worker*>* workers = nullptr;  // complete before Start
    routing::GateBoard* gates = nullptr;
    std::string router_id;
    routing::TenantLimits* limits = nullptr;
    metrics::ControlMetrics* metrics = nullptr;
    std::function<void()> shut_down;  // an operator's SHUTDOWN; any thread
    // An operator's RELOAD CONFIG or SET; never blocking, the answer on any thread. May be empty.
    std::function<void(ConfigRequest, std::function<void(ConfigAnswer)>)> configure;
    // The service manager's watchdog wants a sign of life this often (0: it wants none). It is
    // given only while every worker's loop turns.
    routing::Duration watchdog{};
    std::function<void()> alive;
    // Clients that are connected to this process.
    std::function<uint64_t()> clients;
    uint32_t process = 0;  // see io::WorkerSetup
    // The process's account of a backend's connections.
    std::function<routing::ConnectionBudget*(const routing::Backend&)> budget_of;
    // May be null: nothing is stored. `stored`: what it held when the process began.
    std::unique_ptr<TopologyStore> store;
    StoredState stored;
  };

  explicit ControlLoop(Setup setup);
  ~ControlLoop() override;

  void Start();
  void Stop();
  void Join();

  // The statements whose outcome is not known, the newest last, and how many older ones were
  // dropped. Any thread.
  struct UnknownList {
    std::vector<io::UnknownStatement> statements;
    uint64_t dropped = 0;
  };
  [[nodiscard]] UnknownList Unknown() const;

  // The last picture of backends and gates. Any thread.
  [[nodiscard]] std::shared_ptr<const metrics::HealthView> View() const;

  // Rules, accounts and limits from now on; no state is lost. Any thread.
  void PublishOptions(std::shared_ptr<const config::Options> options,
                      io::TlsContext::Ptr backend_tls);

  // Rows of this moment, given on the control thread. Any thread; never called once it has stopped.
  void PostRows(const FleetQuestion& question, std::function<void(ControlRows)> done) const;

  // --- handing over to another process (control_handover.cc). Any thread; so is `done`'s.
  // Takes the store out of use, and operators' commands with it; what was to be stored is on disk
  // once the thread has ended. An error: something is under way, nothing has changed.
  void GiveStore(std::function<void(absl::StatusOr<std::unique_ptr<StoreThread>>)> done);
  // For the event log.
  void NoteEvent(const std::string& kind, const std::string& object, const std::string& text);
  // After GiveStore, where it came to nothing.
  void TakeStoreBack(std::unique_ptr<TopologyStore> store, uint64_t revision);
  // Goes by the process at the other end of `fd` from now on, and asks the process to end
  // (Setup::shut_down) once no session is left, `drain` is over, or the other one is gone.
  void Follow(int fd, pid_t pid, routing::Duration drain);
  // The process that this one took over from. Before Start. `following` and `gone`: on this thread.
  void SetPredecessor(int fd, pid_t pid, std::function<void()> following);
  // Processes that this one took over from and that have not ended: sessions, and their numbers.
  struct Predecessors {
    uint64_t sessions = 0;
    std::vector<uint32_t> numbers;
  };
  [[nodiscard]] Predecessors SeenPredecessors() const;
  // KILL of a session that may be one of theirs.
  void PostKillElsewhere(uint64_t id, bool query_only, const std::optional<io::KillScope>& scope,
                         std::function<void(bool)> done);

  // The topology of now. Any thread.
  [[nodiscard]] std::shared_ptr<const routing::Topology> Snapshot() const;
  [[nodiscard]] OperatorDesk* operators() { return operators_.get(); }
  [[nodiscard]] const EventLog& event_log() const { return events_; }
  [[nodiscard]] const OperationLog& operation_log() const { return operations_; }
  [[nodiscard]] const IncidentLog& incident_log() const { return incidents_; }

  // io::GateKeeper
  void Enqueue(io::HeldStatement statement) override;
  void Cancel(routing::ShardId shard, uint64_t ticket) override;
  void Finished(routing::ShardId shard, uint64_t ticket, uint64_t took_ns, bool ok) override;
  void NoteUnknown(io::UnknownStatement statement) override;
  void NoteDdl(routing::BackendId backend) override;
  void NoteLeft(routing::BackendId backend, io::AbandonedConnection connection) override;
  void NoteAbandoned(routing::BackendId backend,
                     std::vector<io::AbandonedConnection> connections) override;

 private:
  struct Watched {
    std::unique_ptr<BackendWatch> watch;
    struct Counted {  // of the activity cells, as last seen
      uint32_t refused = 0, reset = 0, logins = 0, login_timeouts = 0, full = 0, read_only = 0;
    } counted;
    // When the watch began: what its cells show of earlier is of another server at its place.
    routing::MonoTime began{};
    struct Left {
      routing::MonoTime at{};
      io::AbandonedConnection connection;
    };
    std::deque<Left> left;          // lately, while it seemed well
    uint32_t give_ups_awaited = 0;  // workers that have not answered yet
    std::vector<std::function<void()>> when_given_up;
    std::vector<io::AbandonedConnection> given_up;
    routing::GateEffect effect{};
    bool effect_known = false;
    uint32_t ready_connections = 0;  // as last told to the gates
    std::unique_ptr<TableReader> tables;
    routing::MonoTime tables_due{};  // when to ask again
    uint64_t ddl_notes = 0;          // how often a statement was seen that may make tables
    bool tables_told = false;        // that the account may not see all tables
    std::array<uint64_t, metrics::kBackendStateNames.size()> entered{};
    std::array<uint64_t, metrics::kSignalNames.size()> signals{};
    uint64_t false_suspects = 0;
    int64_t since_ms = 0;  // when its state began, since 1970
    uint64_t connections_given_up = 0;
    routing::CanaryHistory canaries;        // committed here
    routing::MonoTime unanswered_canary{};  // when it was sent; kNoTime: all are answered
    uint64_t canary_seen = 0;               // the newest that a read has shown here
    std::unique_ptr<SemiSyncReader> semi_sync_reader;
    SemiSyncSeen semi_sync;  // as last read, while it was a primary
    routing::MonoTime semi_sync_at{};
    routing::MonoTime semi_sync_due{};
    std::unique_ptr<ReturnedPrimary> returned;  // being looked at
    routing::MonoTime look_at{};                // when to look, if it is fenced after a failover
  };

  void OnStateChanged(BackendWatch* watch, const routing::HealthAction& change) override;
  void OnNotice(BackendWatch* watch, const std::string& words) override;
  void OnCanaryBegun(BackendWatch* watch, routing::MonoTime begun) override;
  void OnCanary(BackendWatch* watch, uint64_t number, routing::MonoTime begun) override;
  void OnCanarySeen(BackendWatch* watch, uint64_t number) override;
  void OnEpochs(BackendWatch* watch, const std::vector<SeenEpoch>& epochs) override;
  void GiveUpInFlight(BackendWatch* watch, const routing::HealthAction& action) override;
  // control_topology.cc
  [[nodiscard]] BackendWatch::Options WatchOptions(const routing::Backend& backend);
  void Watch(const routing::Backend& backend);
  void SyncWatches();
  [[nodiscard]] BackendWatch::Role RoleOf(routing::BackendId backend) const;

  // OperatorWorld
  void Post(std::function<void()> message) override { loop_.Post(std::move(message)); }
  [[nodiscard]] routing::MonoTime Now() override;
  [[nodiscard]] const config::Options& options() const override { return *setup_.options; }
  [[nodiscard]] const TopologyPtr& topology() const override { return topology_; }
  void Publish(TopologyPtr topology, const std::vector<StoreEdit>& edits,
               std::function<void()> done) override;
  void CountBusy(io::BusyFilter filter, std::function<void(const io::BusyCount&)> done) override;
  [[nodiscard]] routing::BackendHealth* HealthOf(routing::BackendId backend) override;
  void CarryOut(routing::BackendId backend) override;
  // control_changes.cc
  void GiveUp(routing::BackendId backend, std::function<void()> done) override;
  void ExpectReadOnly(routing::BackendId backend, bool expected) override;
  void AddKnown(ChangeScene* scene) override;
  [[nodiscard]] std::unique_ptr<ChangeHands> MakeHands(const ChangeScene& scene) override;
  [[nodiscard]] const std::string& router_id() const override { return setup_.router_id; }
  [[nodiscard]] std::vector<std::string> OtherRoutersOn(
      const std::vector<routing::BackendId>& backends) const override;
  [[nodiscard]] GateDesk* gates() override { return desk_.get(); }
  [[nodiscard]] const std::vector<io::Worker*>& workers() const override { return *setup_.workers; }
  [[nodiscard]] routing::TenantLimits* limits() override { return setup_.limits; }
  [[nodiscard]] EventLog* events() override { return &events_; }
  [[nodiscard]] OperationLog* operations() override { return &operations_; }
  [[nodiscard]] IncidentLog* incidents() override { return &incidents_; }
  void Configure(ConfigRequest request, std::function<void(ConfigAnswer)> done) override;
  void ShutDown() override { setup_.shut_down(); }
  void KillElsewhere(uint64_t id, bool query_only, std::function<void(bool)> done) override;
  [[nodiscard]] std::string FollowerTrouble() override;

  // Successor::Hands
  void FollowOrders(Successor::Orders shards, Successor::Orders tenants) override;
  void FollowOrder(bool tenant, const std::string& name, const routing::GateOrder& order) override;
  void FollowMark(const std::string& backend, int mark) override;
  void FollowReadOnly(const std::string& backend, bool expected) override;
  [[nodiscard]] bool FollowTopology(const std::vector<StoreEdit>& edits,
                                    std::function<void()> done) override;
  void AnswerBusy(const std::string& backend, const std::string& shard, const std::string& tenant,
                  std::function<void(const io::BusyCount&)> done) override;
  void FollowGiveUp(const std::string& backend, std::function<void()> done) override;
  void FollowKill(uint64_t id, bool query_only, std::optional<io::KillScope> scope,
                  std::function<void(bool)> done) override;
  void TickHandover(routing::MonoTime now);
  void EndFollowing(const std::string& why);
  [[nodiscard]] size_t LiveWorkers() const;
  void Persist(std::vector<StoreEdit> edits,
               std::function<void(const absl::Status&)> done) override;

  // control_rows.cc
  [[nodiscard]] std::vector<ShardRow> ShardRows();
  [[nodiscard]] std::vector<BackendRow> BackendRows();
  [[nodiscard]] std::vector<ReplicaRow> ReplicaRows();
  [[nodiscard]] std::vector<HoldRow> HoldRows();
  void FillGate(const routing::Shard& shard, ShardRow* row);
  [[nodiscard]] std::string GateState(const routing::ShardGate& gate, const routing::Shard* shard);
  void FillHealth(const routing::Backend& backend, BackendRow* row);

  void AskForSemiSync(Watched* watched, routing::MonoTime now);
  void LookAtReturned(Watched* watched, routing::MonoTime now);
  void OnReturnedSeen(routing::BackendId id, const std::string& present, const ExtraFound& found);
  void FailOverByItself(routing::MonoTime now);
  [[nodiscard]] AutoFailoverView AutoViewOf(const routing::Shard& shard);
  [[nodiscard]] ControlClient::Options ControlClientOf(const routing::Backend& backend) const;
  // control_store.cc
  void StartStore();
  void StoreHistory(routing::MonoTime now);
  void NoteCommit(const absl::Status& status);

  // control_incidents.cc
  struct ShardSeen {
    metrics::ShardState state = metrics::ShardState::kServing;
    routing::MonoTime since{};
    int64_t since_ms = 0;  // the same, since 1970
    bool ordered = false;  // by an operator
  };
  void NoteStateChange(Watched* watched, const routing::HealthAction& change);
  void OnGateNotice(const routing::ShardGate& gate);
  void NoteGates();
  [[nodiscard]] metrics::ShardState StateOf(const routing::ShardGate& gate);
  [[nodiscard]] int64_t WallMs(routing::MonoTime then);

  void ChooseReplicas(routing::MonoTime now);
  [[nodiscard]] routing::BackendId ReplicaFor(const routing::Shard& shard) const;
  void OnTick();
  void FinishStop();
  void NoteLateLoops(routing::MonoTime now);
  void GiveSignOfLife(routing::MonoTime now);
  void Sample(Watched* watched, routing::MonoTime now);
  [[nodiscard]] routing::TrafficSample ReadCells(const Watched& watched,
                                                 Watched::Counted* counted) const;
  void NoteCounted(Watched* watched, const Watched::Counted& counted, routing::MonoTime now);
  void PublishHealth(Watched* watched, routing::MonoTime now);
  void AbandonLeft(Watched* watched);
  void AskForTables(Watched* watched, routing::MonoTime now);
  void PublishTables();
  void JudgeFleet(routing::MonoTime now);
  void PublishView(routing::MonoTime now);
  [[nodiscard]] metrics::BackendView ViewOf(const Watched& watched, routing::MonoTime now);
  void AddFailover(routing::ShardId id, metrics::ShardView* view) const;
  [[nodiscard]] metrics::ShardView ViewOf(const routing::ShardGate& gate, routing::MonoTime now);
  [[nodiscard]] std::string TimeOfDay(routing::MonoTime then);
  [[nodiscard]] std::string Words(const BackendWatch& watch);

  Setup setup_;  // constant but for the store, which is given on, and what PublishOptions replaces
  ClientThreads client_threads_;  // outlives whoever leaves some
  io::EventLoop loop_;
  std::thread thread_;
  std::unique_ptr<io::Timer> tick_;
  std::unique_ptr<GateDesk> desk_;
  TopologyPtr topology_;  // read elsewhere by Snapshot: changed under view_mutex_
  EventLog events_;
  OperationLog operations_;
  IncidentLog incidents_;
  absl::flat_hash_map<routing::ShardId, ShardSeen> shards_seen_;
  std::unique_ptr<Operators> operators_;
  AutoFailover auto_failover_;
  bool all_bad_ = false;
  absl::flat_hash_set<routing::BackendId> expected_read_only_;
  std::unique_ptr<StoreThread> store_;        // may be null
  bool giving_store_ = false;                 // to another process; it may come back
  std::unique_ptr<Predecessor> predecessor_;  // while it lives
  std::unique_ptr<Successor> successor_;      // this process drains
  routing::MonoTime followed_at_{};
  routing::MonoTime drain_until_{};
  routing::MonoTime reported_at_{};
  bool ending_ = false;              // the successor need not be told more than once
  uint64_t stored_event_ = 0;        // the last one that was given to the store
  std::vector<StoreEdit> unstored_;  // of the history: tried again
  bool storing_history_ = false;
  routing::MonoTime history_at_{};
  routing::MonoTime committed_at_{};  // when a commit was asked for last
  metrics::StoreView store_view_;
  absl::flat_hash_map<routing::BackendId, Watched> watched_;
  routing::TransactionalTables tables_;
  routing::MonoTime last_tick_{};
  routing::MonoTime alive_at_{};                     // when the watchdog was told last
  routing::MonoTime stop_by_ = routing::kMonoNever;  // once Stop was called
  routing::MonoTime last_sweep_{};
  mutable std::mutex unknown_mutex_;  // never taken on the data path but for a lost statement
  std::deque<io::UnknownStatement> unknown_;
  uint64_t unknown_dropped_ = 0;
  uint64_t unknown_total_ = 0;
  mutable std::mutex view_mutex_;
  Predecessors predecessors_;  // under view_mutex_
  std::shared_ptr<const metrics::HealthView> view_;
  routing::MonoTime view_at_{};
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_CONTROL_LOOP_H_
