#include "proxy/control/change_hands.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/control/fence_command.h"

namespace bulkhead::control {

using routing::ChangeKind;
using routing::ChangeStep;
using routing::Duration;
using routing::StepReport;
using namespace std::chrono_literals;

namespace {

// Of one statement that only looks.
constexpr Duration kLookLimit = 2s;
// Behind the step's own limit: what a cut connection takes to return.
constexpr Duration kLate = 1s;

}  // namespace

struct SqlHands::Step {
  uint64_t id = 0;
  routing::ChangeAction action;
  HandsContext context;
  Done done;
  routing::MonoTime deadline{};
  int phase = 0;
  std::vector<Errand> errands;
  size_t awaited = 0;
  StepReport report;               // of the server that the step is about
  std::vector<StepReport> others;  // of those beside it
};

SqlHands::SqlHands(HandsSetup setup, const ChangeScene& scene,
                   const std::function<routing::BackendTls(const std::string& backend)>& tls_of)
    : setup_(std::move(setup)) {
  const auto add = [&](const NamedFacts& server) {
    ControlClient::Options options;
    options.address = server.address;
    options.tls_mode = tls_of(server.name);
    options.tls = setup_.tls;
    options.user = setup_.user;
    options.password = setup_.password;
    options.lock = "bulkhead." + setup_.router_id;
    clients_.emplace_back(server.name, std::make_unique<ControlClient>(
                                           std::move(options), setup_.post, setup_.threads));
  };
  add(scene.old_primary);
  add(scene.candidate);
  for (const NamedFacts& other : scene.others) add(other);
}

SqlHands::~SqlHands() = default;

ControlClient* SqlHands::ClientOf(const std::string& server) {
  for (auto& [name, client] : clients_) {
    if (name == server) return client.get();
  }
  return nullptr;
}

// --- steps and their errands
// ------------------------------------------------------------------------------------

void SqlHands::Run(const routing::ChangeAction& action, const HandsContext& context, Done done) {
  step_ = std::make_unique<Step>();
  step_->id = ++last_step_;
  step_->action = action;
  step_->context = context;
  step_->done = std::move(done);
  step_->deadline = setup_.now() + action.timeout + kLate;
  std::vector<Errand> errands;
  switch (action.step) {
    case ChangeStep::kInspect:
      BeginInspect();
      return;
    case ChangeStep::kFence:
      errands.push_back(Fence());
      break;
    case ChangeStep::kStopReceiving:
      errands.push_back(RunOn(action.server));
      if (context.stop_others) AddOthers(StopReceivingThere, &errands);
      break;
    case ChangeStep::kReattach:
      errands.push_back(RunOn(action.server));
      if (context.stop_others) AddOthers(StartReplicationThere, &errands);
      break;
    default:
      errands.push_back(RunOn(action.server));
      break;
  }
  Begin(std::move(errands));
}

void SqlHands::Begin(std::vector<Errand> errands) {
  step_->errands = std::move(errands);
  step_->awaited = step_->errands.size();
  StartIdle();
}

void SqlHands::StartIdle() {
  if (step_ == nullptr) return;
  for (Errand& errand : step_->errands) {
    if (errand.started || errand.client->busy()) continue;
    errand.started = true;
    errand.client->Start(std::move(errand.work), [this, alive = std::weak_ptr<bool>(alive_),
                                                  id = step_->id, take = errand.take] {
      if (!alive.expired()) OnErrandDone(id, take);
    });
  }
}

void SqlHands::OnErrandDone(uint64_t step, const std::function<void()>& take) {
  if (step_ == nullptr || step_->id != step) return;
  take();
  if (--step_->awaited == 0) Continue();
}

void SqlHands::Finish(StepReport report) {
  const std::unique_ptr<Step> step = std::move(step_);
  step->done(std::move(report));
}

void SqlHands::Abort() {
  step_.reset();
  for (auto& [name, client] : clients_) client->Cut();
}

void SqlHands::Tick(routing::MonoTime now) {
  for (auto& [name, client] : clients_) client->Tick();
  StartIdle();
  if (step_ == nullptr || now < step_->deadline) return;
  std::string silent;
  for (const Errand& errand : step_->errands) {
    for (const auto& [name, client] : clients_) {
      if (client.get() == errand.client && client->busy())
        absl::StrAppend(&silent, silent.empty() ? "" : ", ", name);
    }
  }
  for (auto& [name, client] : clients_) client->Cut();
  Finish({.result = StepReport::Result::kUnknown, .why = "no answer in time of " + silent});
}

void SqlHands::Continue() {
  const ChangeStep step = step_->action.step;
  StepReport& report = step_->report;
  const bool failed = report.result != StepReport::Result::kOk;
  if (step == ChangeStep::kInspect) {
    ContinueInspect();
    return;
  }
  if (step == ChangeStep::kStopReceiving && !failed) {
    // Nobody acknowledges any more only if everybody was seen to have stopped.
    bool all = report.semi_sync_fence && step_->context.stop_others;
    for (const StepReport& other : step_->others) {
      all = all && other.result == StepReport::Result::kOk && other.semi_sync_fence;
      if (other.result != StepReport::Result::kOk) report.notes.push_back(other.why);
    }
    report.semi_sync_fence = all;
  }
  if (step == ChangeStep::kApplyReceived && !failed && step_->phase == 0) {
    LookForLost();
    return;
  }
  if (step == ChangeStep::kApplyReceived && !failed) report.lost = LostBy(step_->context.scene);
  Finish(std::move(report));
}

// --- errands
// ------------------------------------------------------------------------------------------------

SqlHands::Errand SqlHands::RunOn(const std::string& server) {
  StepContext context;
  context.action = step_->action;
  context.saved = DecodeSaved(step_->action.record.saved).value_or(SavedForChange{});
  context.candidate = step_->context.scene.candidate.address;
  context.replication_user = setup_.replication_user;
  context.replication_password = setup_.replication_password;
  context.router_id = setup_.router_id;
  context.own_users = {setup_.user, setup_.probe_user};
  context.epochs = step_->context.epochs;
  context.end_all = step_->context.end_all;
  auto found = std::make_shared<StepReport>();
  return {.client = ClientOf(server),
          .work = [context = std::move(context),
                   found](SqlSession* session) { *found = RunStep(context, session); },
          .take = [this, found] { step_->report = *found; }};
}

void SqlHands::AddOthers(StepReport (*run)(SqlSession*, Duration), std::vector<Errand>* errands) {
  for (const NamedFacts& other : step_->context.scene.others) {
    auto found = std::make_shared<StepReport>();
    const Duration limit = step_->action.timeout;
    errands->push_back(
        {.client = ClientOf(other.name),
         .work = [run, found, limit](SqlSession* session) { *found = run(session, limit); },
         .take =
             [this, found, name = other.name] {
               if (!found->why.empty()) found->why = name + ": " + found->why;
               step_->others.push_back(*found);
             }});
  }
}

SqlHands::Errand SqlHands::Fence() {
  auto found = std::make_shared<FenceResult>();
  return {.client = ClientOf(step_->action.server),
          .work = [found, command = setup_.fence_command, limit = step_->action.timeout](
                      SqlSession*) { *found = RunFence(command, limit); },
          .take =
              [this, found] {
                StepReport& report = step_->report;
                if (!found->output.empty())
                  report.notes.push_back("the fence command said: " + found->output);
                if (found->confirmed) return;
                report.result = StepReport::Result::kFailed;
                report.why = found->why;
                if (!found->output.empty()) report.why += " (" + found->output + ")";
              }};
}

SqlHands::Errand SqlHands::Look(NamedFacts* server) {
  auto found = std::make_shared<ServerFacts>();
  // Not asked: it never answered, or its last statement has not ended.
  server->facts = {};
  server->facts.why = "no answer";
  return {.client = ClientOf(server->name),
          .work = [found](SqlSession* session) { *found = ReadFacts(session, kLookLimit); },
          .take = [server, found] { server->facts = std::move(*found); }};
}

void SqlHands::BeginInspect() {
  ChangeScene& scene = step_->context.scene;
  std::vector<Errand> errands;
  if (scene.plan.kind == ChangeKind::kSwitchover) errands.push_back(Look(&scene.old_primary));
  errands.push_back(Look(&scene.candidate));
  for (NamedFacts& other : scene.others) errands.push_back(Look(&other));
  Begin(std::move(errands));
}

// The old primary's position comes after everybody else's, which must be part of it.
void SqlHands::ContinueInspect() {
  ChangeScene& scene = step_->context.scene;
  const bool again = scene.plan.kind == ChangeKind::kSwitchover && step_->phase == 0 &&
                     scene.old_primary.facts.answered;
  if (again) {
    ++step_->phase;
    auto found = std::make_shared<ServerFacts>();
    Begin({{.client = ClientOf(scene.old_primary.name),
            .work =
                [found](SqlSession* session) {
                  (void)ReadVariables(session, "gtid%", kLookLimit, found.get());
                },
            .take =
                [found, old_primary = &scene.old_primary.facts] {
                  for (const auto& [name, value] : found->variables)
                    old_primary->variables[name] = value;
                }}});
    return;
  }
  Finish(scene.plan.kind == ChangeKind::kSwitchover ? JudgeSwitchover(scene)
                                                    : JudgeFailover(scene));
}

void SqlHands::LookForLost() {
  ++step_->phase;
  ChangeScene& scene = step_->context.scene;
  std::vector<Errand> errands;
  errands.push_back(Look(&scene.candidate));
  for (NamedFacts& other : scene.others) errands.push_back(Look(&other));
  Begin(std::move(errands));
}

}  // namespace bulkhead::control
