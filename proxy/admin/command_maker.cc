// From what the grammar matched to a command for the control thread.

#include <algorithm>
#include <utility>

#include "proxy/admin/statement.h"
#include "proxy/admin/values.h"
#include "proxy/config/values.h"

namespace bulkhead::admin {

namespace {

// The grammar has checked the forms of all values.
uint64_t NumberOf(const std::string& text) { return config::ParseNumber(text).value_or(0); }

std::optional<routing::Duration> DurationAfter(const MatchResult& match, std::string_view keyword) {
  const std::optional<std::string> text = match.TextAfter(keyword);
  return text.has_value() ? ParseDuration(*text) : std::nullopt;
}

std::optional<uint32_t> SmallAfter(const MatchResult& match, std::string_view keyword) {
  const std::optional<std::string> text = match.TextAfter(keyword);
  if (!text.has_value()) return std::nullopt;
  return static_cast<uint32_t>(std::min<uint64_t>(NumberOf(*text), UINT32_MAX));
}

std::optional<routing::ServerFamily> FamilyOf(const MatchResult& match) {
  const std::optional<std::string> word = match.TextAfter("FAMILY");
  if (!word.has_value()) return std::nullopt;
  if (*word == "MYSQL") return routing::ServerFamily::kMysql;
  return *word == "MARIADB" ? routing::ServerFamily::kMariadb : routing::ServerFamily::kAuto;
}

std::optional<routing::BackendTls> TlsOf(const MatchResult& match) {
  const std::optional<std::string> word = match.TextAfter("TLS");
  if (!word.has_value()) return std::nullopt;
  if (*word == "DISABLED") return routing::BackendTls::kDisabled;
  if (*word == "PREFERRED") return routing::BackendTls::kPreferred;
  return *word == "REQUIRED" ? routing::BackendTls::kRequired : routing::BackendTls::kVerify;
}

std::optional<routing::FailoverMode> FailoverOf(const MatchResult& match) {
  const std::optional<std::string> word = match.TextAfter("FAILOVER");
  if (!word.has_value()) return std::nullopt;
  if (*word == "MANUAL") return routing::FailoverMode::kManual;
  return *word == "AUTOMATIC" ? routing::FailoverMode::kAutomatic
                              : routing::FailoverMode::kAutomaticWithLoss;
}

std::optional<routing::HoldPolicy> PolicyOf(const MatchResult& match) {
  const std::optional<std::string> word = match.TextAfter("POLICY");
  if (!word.has_value()) return std::nullopt;
  if (*word == "HOLD") return routing::HoldPolicy::kHold;
  return *word == "REJECT" ? routing::HoldPolicy::kReject : routing::HoldPolicy::kReplica;
}

std::optional<routing::Pooling> PoolingOf(const MatchResult& match) {
  const std::optional<std::string> word = match.TextAfter("POOLING");
  if (!word.has_value()) return std::nullopt;
  return *word == "SESSION" ? routing::Pooling::kSession : routing::Pooling::kTransaction;
}

routing::HoldOverrides OverridesOf(const MatchResult& match) {
  routing::HoldOverrides hold;
  hold.policy = PolicyOf(match);
  hold.max_wait = DurationAfter(match, "MAX_WAIT");
  hold.outage_limit = DurationAfter(match, "OUTAGE_LIMIT");
  hold.max_statements = SmallAfter(match, "MAX_STATEMENTS");
  if (const std::optional<std::string> size = match.TextAfter("MAX_BYTES"); size.has_value())
    hold.max_bytes = ParseSize(*size);
  return hold;
}

control::SliceName Slice(const MatchResult& match) {
  if (match.Has("SHARD")) return {control::SliceName::Kind::kShard, match.After("SHARD").text};
  return {control::SliceName::Kind::kTenant, match.After("TENANT").text};
}

control::OperatorCommand MakeMark(const MatchResult& match) {
  control::MarkBackend mark{.backend = match.After("BACKEND").text};
  if (match.Has("DOWN")) mark.as = control::MarkBackend::As::kDown;
  if (match.Has("UP")) mark.as = control::MarkBackend::As::kUp;
  return mark;
}

control::OperatorCommand MakeSwitchover(const MatchResult& match) {
  control::Switchover command{.shard = match.After("SHARD").text, .to = match.After("TO").text};
  command.timeout = DurationAfter(match, "TIMEOUT").value_or(command.timeout);
  command.dry_run = match.Has("DRY");
  return command;
}

control::OperatorCommand MakeFailover(const MatchResult& match) {
  return control::Failover{.shard = match.After("SHARD").text,
                           .to = match.After("TO").text,
                           .dry_run = match.Has("DRY"),
                           .accept_data_loss = match.Has("DATA"),
                           .accept_split_brain = match.Has("SPLIT")};
}

control::OperatorCommand MakeCreateBackend(const MatchResult& match) {
  routing::BackendSpec spec;
  spec.name = match.After("BACKEND").text;
  spec.address = ParseAddress(match.After("ADDRESS").text).value_or(routing::Address());
  spec.family = FamilyOf(match).value_or(spec.family);
  spec.tls = TlsOf(match);
  spec.max_connections = SmallAfter(match, "MAX_CONNECTIONS");
  return control::CreateBackend{std::move(spec)};
}

control::OperatorCommand MakeAlterBackend(const MatchResult& match) {
  control::AlterBackend command;
  command.name = match.After("BACKEND").text;
  if (match.Has("ADDRESS")) command.address = ParseAddress(match.After("ADDRESS").text);
  command.family = FamilyOf(match);
  command.tls = TlsOf(match);
  command.max_connections = SmallAfter(match, "MAX_CONNECTIONS");
  return command;
}

control::OperatorCommand MakeCreateShard(const MatchResult& match) {
  routing::ShardSpec spec;
  spec.name = match.After("SHARD").text;
  spec.primary = match.After("PRIMARY").text;
  spec.replicas = match.After("REPLICAS").list;
  spec.hold = OverridesOf(match);
  spec.failover = FailoverOf(match).value_or(spec.failover);
  return control::CreateShard{std::move(spec)};
}

control::OperatorCommand MakeAlterShard(const MatchResult& match) {
  control::AlterShard command;
  command.name = match.After("SHARD").text;
  command.primary = match.TextAfter("PRIMARY");
  if (match.Has("REPLICAS")) command.replicas = match.After("REPLICAS").list;  // NONE has none
  command.hold = OverridesOf(match);
  command.reset_hold = match.Has("DEFAULT");
  command.failover = FailoverOf(match);
  return command;
}

control::OperatorCommand MakeCreateTenant(const MatchResult& match) {
  routing::TenantSpec spec;
  spec.name = match.After("TENANT").text;
  spec.shard = match.After("SHARD").text;
  spec.pooling = PoolingOf(match);
  spec.hold = PolicyOf(match);
  spec.physical_database = match.TextAfter("DATABASE").value_or("");
  return control::CreateTenant{std::move(spec)};
}

control::OperatorCommand MakeAlterTenant(const MatchResult& match) {
  return control::AlterTenant{.name = match.After("TENANT").text,
                              .pooling = PoolingOf(match),
                              .hold = PolicyOf(match),
                              .physical_database = match.TextAfter("DATABASE")};
}

control::OperatorCommand MakeAssignSlots(const MatchResult& match) {
  const auto [first, last] = ParseSlots(match.After("SLOTS").text).value_or(std::pair(0, 0));
  return control::AssignSlots{first, last, match.After("SHARD").text};
}

StatementMeaning MakeLimit(const MatchResult& match) {
  control::LimitTenant command{.tenant = match.After("TENANT").text, .limit = {}};
  const bool given =
      match.Has("SESSIONS") || match.Has("RUNNING") || match.Has("RATE") || match.Has("BURST");
  if (given && match.Has("DEFAULT"))
    return StatementError{.message = "syntax error: DEFAULT takes all limits back and stands alone",
                          .position = match.After("TENANT").position};
  if (match.Has("BURST") && !match.Has("RATE"))
    return StatementError{.message = "syntax error: BURST goes with RATE",
                          .position = match.After("TENANT").position};
  if (given) {
    command.limit = routing::TenantLimit{.sessions = SmallAfter(match, "SESSIONS").value_or(0),
                                         .running = SmallAfter(match, "RUNNING").value_or(0),
                                         .per_second = SmallAfter(match, "RATE").value_or(0),
                                         .burst = SmallAfter(match, "BURST").value_or(0)};
  }
  return control::OperatorCommand(std::move(command));
}

StatementMeaning MakeKill(const MatchResult& match) {
  const uint64_t id = NumberOf(match.parts.back().text);
  if (match.Has("SESSION"))
    return control::OperatorCommand(control::KillSession{id, match.Has("QUERY")});
  return KillConnection{id, match.Has("QUERY")};
}

control::OperatorCommand MakeDrill(const MatchResult& match) {
  control::DrillHang command{.shard = match.After("SHARD").text};
  command.lasting = DurationAfter(match, "FOR").value_or(command.lasting);
  command.force = match.Has("FORCE");
  return command;
}

control::OperatorCommand MakeDrain(const MatchResult& match) {
  control::DrainBackend command{.backend = match.After("BACKEND").text};
  command.timeout = DurationAfter(match, "TIMEOUT").value_or(command.timeout);
  return command;
}

control::OperatorCommand MakeAssignTenant(const MatchResult& match) {
  control::AssignTenant command{.tenant = match.After("TENANT").text,
                                .shard = match.After("SHARD").text};
  command.timeout = DurationAfter(match, "TIMEOUT").value_or(command.timeout);
  return command;
}

control::OperatorCommand MakeSet(const MatchResult& match) {
  return control::SetVariable{match.parts[1].text, match.parts[2].text};
}

using control::OperatorCommand;

}  // namespace

StatementMeaning MakeCommand(const MatchResult& match) {
  switch (match.statement->verb) {
    case Verb::kHoldShard:
    case Verb::kHoldTenant:
      return OperatorCommand(control::HoldSlice{Slice(match), DurationAfter(match, "FOR")});
    case Verb::kRejectShard:
    case Verb::kRejectTenant:
      return OperatorCommand(control::RejectSlice{Slice(match), DurationAfter(match, "FOR")});
    case Verb::kReleaseShard:
    case Verb::kReleaseTenant:
      return OperatorCommand(control::ReleaseSlice{Slice(match), match.Has("FORCE")});
    case Verb::kMarkBackend:
      return MakeMark(match);
    case Verb::kDrainBackend:
      return MakeDrain(match);
    case Verb::kDisableBackend:
      return OperatorCommand(control::DisableBackend{match.After("BACKEND").text});
    case Verb::kEnableBackend:
      return OperatorCommand(control::EnableBackend{match.After("BACKEND").text});
    case Verb::kSwitchover:
      return MakeSwitchover(match);
    case Verb::kFailover:
      return MakeFailover(match);
    case Verb::kCancelOperation:
      return OperatorCommand(control::CancelOperation{NumberOf(match.After("OPERATION").text)});
    case Verb::kCreateBackend:
      return MakeCreateBackend(match);
    case Verb::kAlterBackend:
      return MakeAlterBackend(match);
    case Verb::kDropBackend:
      return OperatorCommand(control::DropBackend{match.After("BACKEND").text});
    case Verb::kCreateShard:
      return MakeCreateShard(match);
    case Verb::kAlterShard:
      return MakeAlterShard(match);
    case Verb::kDropShard:
      return OperatorCommand(control::DropShard{match.After("SHARD").text});
    case Verb::kCreateTenant:
      return MakeCreateTenant(match);
    case Verb::kAlterTenant:
      return MakeAlterTenant(match);
    case Verb::kDropTenant:
      return OperatorCommand(control::DropTenant{match.After("TENANT").text});
    case Verb::kAssignTenant:
      return MakeAssignTenant(match);
    case Verb::kAssignSlots:
      return MakeAssignSlots(match);
    case Verb::kKill:
      return MakeKill(match);
    case Verb::kLimitTenant:
      return MakeLimit(match);
    case Verb::kSet:
      return MakeSet(match);
    case Verb::kReloadConfig:
      return OperatorCommand(control::ReloadConfig{});
    case Verb::kShutdown:
      return OperatorCommand(control::Shutdown{});
    case Verb::kDrillHang:
      return MakeDrill(match);
    case Verb::kShow:
    case Verb::kSelect:
    case Verb::kDescribe:
    case Verb::kExplainRoute:
    case Verb::kHelp:
      break;
  }
  return StatementError{.message = "this statement only reads"};
}

}  // namespace bulkhead::admin
