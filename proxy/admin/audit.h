// One admin statement, as the audit log shows it.
//
// Purpose: who, from where, what (secrets removed, see ForLog), how it ended, how long it took; one
// line of the log each. Threads: any. Units: milliseconds.
#ifndef BULKHEAD_PROXY_ADMIN_AUDIT_H_
#define BULKHEAD_PROXY_ADMIN_AUDIT_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::admin {

struct AuditRecord {
  std::string user;
  std::string address;
  uint32_t connection = 0;
  std::string statement;  // as it may be logged
  std::string outcome;    // "ok: ...", "3 rows", "error 1064: ...", "the client left"
  uint64_t took_ms = 0;
};

// "error 1064: ...". Of a statement from which a secret was removed only the code: messages quote
// what was typed.
[[nodiscard]] std::string ErrorOutcome(uint16_t code, std::string_view message,
                                       std::string_view logged_statement);

// audit: user=admin address=10.1.2.3 connection=4 ms=1 statement="..." outcome="..."
[[nodiscard]] std::string AuditLine(const AuditRecord& record);
// Into the log, with its fields.
void LogAudit(const AuditRecord& record);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_AUDIT_H_
