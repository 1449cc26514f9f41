#include "proxy/admin/audit.h"

#include "proxy/log/log.h"

namespace bulkhead::admin {

namespace {

// In double quotes, on one line whatever it holds.
std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < ' ' || c == '\x7f' ? ' ' : c;
  }
  return quoted + "\"";
}

}  // namespace

std::string ErrorOutcome(uint16_t code, std::string_view message,
                         std::string_view logged_statement) {
  std::string outcome = "error " + std::to_string(code);
  if (logged_statement.find("'***'") == std::string_view::npos)
    outcome += ": " + std::string(message);
  return outcome;
}

std::string AuditLine(const AuditRecord& record) {
  return "audit: user=" + Quoted(record.user) + " address=" + record.address +
         " connection=" + std::to_string(record.connection) +
         " ms=" + std::to_string(record.took_ms) + " statement=" + Quoted(record.statement) +
         " outcome=" + Quoted(record.outcome);
}

void LogAudit(const AuditRecord& record) {
  log::Info(log::event::kOperator,
            {{"user", record.user},
             {"address", record.address},
             {"connection", record.connection},
             {"statement", record.statement},
             {"outcome", record.outcome},
             {"duration_ms", record.took_ms}},
            AuditLine(record));
}

}  // namespace bulkhead::admin
