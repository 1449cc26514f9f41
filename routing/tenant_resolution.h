// Which tenant a statement belongs to, from the strings found in login and statement.
//
// Sources, first one given wins: comment hint (that statement only), session variable @tenant,
// connection attribute `tenant`, user name by pattern, database name by pattern. A source whose
// text is empty is not given. Then, in this order: is the user allowed this tenant (1044), does it
// exist (1049), may it change now (9406). Physical schema names: `physical_database` maps the
// schema an application names at login, in INIT_DB and in USE.
//
// Threads: TenantRules is immutable, any thread; functions are pure. Nothing is allocated unless a
// refusal needs a text. Error codes and texts: the table of codes in docs/PROTOCOL.md; 1049 and
// 1044 are MySQL's ER_BAD_DB_ERROR and ER_DBACCESS_DENIED_ERROR (error message reference), both
// SQLSTATE 42000.
#ifndef BULKHEAD_ROUTING_TENANT_RESOLUTION_H_
#define BULKHEAD_ROUTING_TENANT_RESOLUTION_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "routing/topology.h"

namespace bulkhead::routing {

inline constexpr uint16_t kErrNoTenant = 1049;         // 42000: none given where needed, or unknown
inline constexpr uint16_t kErrTenantForbidden = 1044;  // 42000: user may not use this tenant
inline constexpr uint16_t kErrShardUnavailable = 9401;          // HY000
inline constexpr uint16_t kErrTenantChange = 9406;              // HY000
inline constexpr std::string_view kTenantVariable = "tenant";   // SET @tenant = '...'
inline constexpr std::string_view kTenantAttribute = "tenant";  // connection attribute

// "42000" for 1044 and 1049, otherwise "HY000".
std::string_view SqlStateOf(uint16_t code);

// Text with placeholders in braces, such as "{user}@{tenant}" or "tenant_{tenant}". Literal text
// around them is matched exactly (or without regard to ASCII case, where asked). Every placeholder
// matches at least one byte; where more than one split is possible, the placeholder on the left
// takes as much as it can ("a@b@c": user a@b, tenant c).
class NamePattern {
 public:
  static constexpr size_t kMaxPlaceholders = 2;

  struct Match {
    std::string_view tenant;
    std::string_view other;  // {user} or {database}; empty if the pattern has none
  };

  // `text` must hold {tenant} exactly once and nothing else in braces but `other` ("user",
  // "database", or "" for none), at most once; two placeholders need literal text between them.
  // "{{" is a brace itself, and so is "}}".
  static absl::StatusOr<NamePattern> Compile(std::string_view text, std::string_view other);

  std::optional<Match> Parse(std::string_view name, bool ignore_case = false) const;
  // `other` is ignored if the pattern has no such placeholder.
  std::string Format(std::string_view tenant, std::string_view other = {}) const;

  bool has_other() const { return other_position_ >= 0; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::string before_, between_, after_;  // literals
  int other_position_ = -1;               // -1 none, 0 before {tenant}, 1 after it
};

// The schemas that every server has of its own: information_schema, performance_schema, mysql, sys.
// Any case.
bool IsSystemSchema(std::string_view schema);

struct TenantRules {
  std::optional<NamePattern> username_pattern;   // {user} and {tenant}
  std::optional<NamePattern> database_pattern;   // {tenant}
  std::optional<NamePattern> physical_database;  // {tenant}, and optionally {database}
  // With physical_database: the one name applications use for it; empty: any name that is no system
  // schema.
  std::string logical_database;
};

// What a login's user name says: "app@acme" -> {app, acme}. Without a match the whole name is the
// user's.
struct LoginName {
  std::string_view user;
  std::string_view tenant;  // empty: none given
};
LoginName SplitLoginName(const TenantRules& rules, std::string_view login_name);

enum class TenantSource : uint8_t { kNone, kHint, kVariable, kAttribute, kUserName, kDatabase };
std::string_view ToString(TenantSource source);

// Empty: not given. Views must outlive the result.
struct TenantInputs {
  std::string_view hint{};       // of this statement
  std::string_view variable{};   // @tenant of the session
  std::string_view attribute{};  // connection attribute `tenant`
  std::string_view user_name{};  // LoginName::tenant
  std::string_view database{};   // the session's current schema as the application named it
};

enum class TenantStatus : uint8_t {
  kFound,
  kNone,       // nobody names a tenant; code 1049 if the statement needs one
  kUnknown,    // 1049
  kForbidden,  // 1044
  kRefused,    // 9406
};

struct TenantResult {
  TenantStatus status = TenantStatus::kNone;
  uint16_t code = 0;  // 0 for kFound
  TenantSource source = TenantSource::kNone;
  std::string_view tenant;  // a view into the inputs; empty for kNone
  LookupResult where;       // for kFound
  std::string reason;       // text for the client; empty for kFound

  bool found() const { return status == TenantStatus::kFound; }
};

// Names the tenants a user is restricted to; empty: all. Sorted.
using AllowedTenants = std::span<const std::string>;

TenantResult ResolveTenant(const TenantRules& rules, const Topology& topology,
                           AllowedTenants allowed, const TenantInputs& inputs);

// A statement, or SET @tenant, or USE, would move a session from `current` ("" none yet) to `next`.
// Inside a transaction or where the backend connection holds state of the tenant, only the same
// tenant is possible. kFound (code 0): go on; kRefused with 9406 otherwise.
TenantResult CheckTenantChange(std::string_view current, std::string_view next,
                               bool in_transaction);
// SET @tenant to something other than a literal or a bound parameter: 9406.
TenantResult RefuseTenantExpression();

// A schema named by the application at login, INIT_DB or USE -> the one to name to the backend.
// Call CheckSchema on the application's name first: with physical_database: "t_{tenant}" any name
// that is no system schema is mapped.
struct PhysicalName {
  std::string name;     // what the backend is told
  bool mapped = false;  // differs from what the application named
};
PhysicalName PhysicalDatabase(const TenantRules& rules, std::string_view tenant,
                              const LookupResult& where, std::string_view logical);
// The way back, for what a backend reports of its current schema: `logical` is what the session
// last named.
std::string_view LogicalDatabase(const TenantRules& rules, std::string_view tenant,
                                 const LookupResult& where, std::string_view physical,
                                 std::string_view logical);

// May a statement of `tenant` name `schema` (as the lexer read it)? kRefused with 9406 if it is
// another existing tenant's, by database_pattern, physical_database or an entry's override.
// Literals are compared without regard to case, since a server may fold names
// (lower_case_table_names). The backend's grants are the boundary behind it.
TenantResult CheckSchema(const TenantRules& rules, const Topology& topology,
                         std::string_view tenant, const LookupResult& where,
                         std::string_view schema);

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_TENANT_RESOLUTION_H_
