#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "routing/health_types.h"

namespace bulkhead::routing {

std::string_view ToString(BackendState state) {
  switch (state) {
    case BackendState::kUnknown:
      return "unknown";
    case BackendState::kUp:
      return "up";
    case BackendState::kSuspect:
      return "suspect";
    case BackendState::kDown:
      return "down";
    case BackendState::kRecovering:
      return "recovering";
    case BackendState::kFenced:
      return "fenced";
    case BackendState::kReadOnly:
      return "read_only";
    case BackendState::kWriteStalled:
      return "write_stalled";
    case BackendState::kSaturated:
      return "saturated";
  }
  return "?";
}

std::string_view ToString(GateEffect effect) {
  switch (effect) {
    case GateEffect::kServe:
      return "serve";
    case GateEffect::kHold:
      return "hold";
    case GateEffect::kHoldWrites:
      return "hold writes";
    case GateEffect::kApplyPolicy:
      return "apply the hold policy";
    case GateEffect::kShed:
      return "shed";
  }
  return "?";
}

std::string_view ToString(DetectionMode mode) {
  switch (mode) {
    case DetectionMode::kFull:
      return "full";
    case DetectionMode::kHold:
      return "hold";
    case DetectionMode::kObserve:
      return "observe";
  }
  return "?";
}

std::string_view ToString(BackendRole role) {
  return role == BackendRole::kPrimary ? "primary" : "replica";
}

std::string_view ToString(OperatorMark mark) {
  switch (mark) {
    case OperatorMark::kAuto:
      return "auto";
    case OperatorMark::kUp:
      return "up";
    case OperatorMark::kDown:
      return "down";
  }
  return "?";
}

std::string_view ToString(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::kLogin:
      return "new connection";
    case ProbeKind::kPing:
      return "ping";
    case ProbeKind::kRead:
      return "read";
    case ProbeKind::kCommit:
      return "commit";
  }
  return "?";
}

std::string_view ToString(ProbeOutcome outcome) {
  switch (outcome) {
    case ProbeOutcome::kOk:
      return "ok";
    case ProbeOutcome::kTimeout:
      return "unanswered";
    case ProbeOutcome::kRefused:
      return "refused";
    case ProbeOutcome::kReset:
      return "reset";
    case ProbeOutcome::kClosed:
      return "closed";
    case ProbeOutcome::kUnreachable:
      return "unreachable";
    case ProbeOutcome::kServerError:
      return "error";
    case ProbeOutcome::kLoginFailed:
      return "login failed";
    case ProbeOutcome::kTooManyConnections:
      return "too many connections";
    case ProbeOutcome::kHostBlocked:
      return "host blocked";
    case ProbeOutcome::kReadOnly:
      return "read only";
  }
  return "?";
}

std::string_view ToString(ProbeStage stage) {
  switch (stage) {
    case ProbeStage::kConnect:
      return "no connection";
    case ProbeStage::kGreeting:
      return "accepted, no greeting";
    case ProbeStage::kLogin:
      return "greeted, login unanswered";
    case ProbeStage::kAnswer:
      return "logged in, no answer";
  }
  return "?";
}

std::string_view ToString(ConnectionError error) {
  switch (error) {
    case ConnectionError::kRefused:
      return "refused";
    case ConnectionError::kReset:
      return "reset";
    case ConnectionError::kClosed:
      return "closed";
    case ConnectionError::kUnreachable:
      return "unreachable";
    case ConnectionError::kTimedOut:
      return "timed out";
  }
  return "?";
}

std::string SignalWords(uint32_t signals) {
  static constexpr std::string_view kNames[] = {"silence",  "ping",  "connect", "reset",
                                                "replicas", "reads", "commits", "blocked"};
  std::string words;
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if ((signals >> i & 1) == 0) continue;
    if (!words.empty()) words += ", ";
    words += kNames[i];
  }
  return words;
}

std::string_view ToString(HealthAction::Kind kind) {
  switch (kind) {
    case HealthAction::Kind::kStartProbe:
      return "start probe";
    case HealthAction::Kind::kAbandonProbe:
      return "abandon probe";
    case HealthAction::Kind::kStateChanged:
      return "state changed";
    case HealthAction::Kind::kGiveUpInFlight:
      return "give up in flight";
    case HealthAction::Kind::kCheckIdentity:
      return "check identity";
    case HealthAction::Kind::kKillAbandoned:
      return "kill abandoned";
    case HealthAction::Kind::kForgetAbandoned:
      return "forget abandoned";
    case HealthAction::Kind::kNotice:
      return "notice";
  }
  return "?";
}

}  // namespace bulkhead::routing
