#include "routing/ids.h"

namespace bulkhead::routing {

std::string_view ToString(Pooling pooling) {
  switch (pooling) {
    case Pooling::kTransaction:
      return "transaction";
    case Pooling::kSession:
      return "session";
  }
  return "?";
}

std::string_view ToString(ServerFamily family) {
  switch (family) {
    case ServerFamily::kAuto:
      return "auto";
    case ServerFamily::kMysql:
      return "mysql";
    case ServerFamily::kMariadb:
      return "mariadb";
  }
  return "?";
}

std::string_view ToString(BackendTls mode) {
  switch (mode) {
    case BackendTls::kDisabled:
      return "disabled";
    case BackendTls::kPreferred:
      return "preferred";
    case BackendTls::kRequired:
      return "required";
    case BackendTls::kVerify:
      return "verify";
  }
  return "?";
}

std::string_view ToString(HoldPolicy policy) {
  switch (policy) {
    case HoldPolicy::kHold:
      return "hold";
    case HoldPolicy::kReject:
      return "reject";
    case HoldPolicy::kReplica:
      return "replica";
  }
  return "?";
}

std::string_view ToString(FailoverMode mode) {
  switch (mode) {
    case FailoverMode::kManual:
      return "manual";
    case FailoverMode::kAutomatic:
      return "automatic";
    case FailoverMode::kAutomaticWithLoss:
      return "automatic_with_loss";
  }
  return "?";
}

}  // namespace bulkhead::routing
