#include "proxy/session/session_shell.h"

#include "routing/route_decision.h"

namespace bulkhead::session {

RouterError MakeRouterError(wire::ClientError code, std::string_view detail,
                            std::string_view tenant) {
  const wire::ClientErrorInfo& info = wire::InfoOf(code);
  const auto number = static_cast<uint16_t>(code);
  RouterError error{number, std::string(info.sqlstate),
                    std::string(detail.empty() ? info.text : detail)};
  // 9410 and 9411 hold no names or free digits: a tenant called acme2013 would make one ORM run the
  // statement again.
  if (code == wire::ClientError::kOutcomeUnknown || code == wire::ClientError::kStateLost) {
    error.message = "[bulkhead " + std::to_string(number) + "] " + std::string(info.text);
  } else if (number >= 9400) {
    error.message = routing::RefusalText(number, error.message, tenant);
  }
  return error;
}

}  // namespace bulkhead::session
