#include "routing/tenant_resolution.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "routing/abseil_view.h"
#include "routing/route_decision.h"

namespace bulkhead::routing {
namespace {

std::string Lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return out;
}

TenantResult Refused(TenantStatus status, uint16_t code, std::string_view tenant,
                     std::string reason) {
  TenantResult result;
  result.status = status;
  result.code = code;
  result.tenant = tenant;
  result.reason = std::move(reason);
  return result;
}

// Names every way to give a tenant that this configuration knows, so that the error is also the
// manual.
std::string NoTenantText(const TenantRules& rules) {
  std::string text =
      "no tenant given; ways to give one: a comment /* tenant=NAME */ before the statement, "
      "SET @tenant = 'NAME', the connection attribute tenant=NAME";
  if (rules.username_pattern) {
    absl::StrAppend(&text, ", a user name like ", rules.username_pattern->Format("NAME", "USER"));
  }
  if (rules.database_pattern) {
    absl::StrAppend(&text, ", a database like ", rules.database_pattern->Format("NAME"));
  }
  return text;
}

// A tenant's name as a client wrote it may hold anything; it goes into a message only if it is a
// possible name.
std::string Printable(std::string_view tenant) {
  if (TenantNameProblem(tenant).empty()) return absl::StrCat("'", Abs(tenant), "'");
  return "(not a valid name)";
}

std::pair<TenantSource, std::string_view> FirstGiven(const TenantRules& rules,
                                                     const TenantInputs& inputs) {
  if (!inputs.hint.empty()) return {TenantSource::kHint, inputs.hint};
  if (!inputs.variable.empty()) return {TenantSource::kVariable, inputs.variable};
  if (!inputs.attribute.empty()) return {TenantSource::kAttribute, inputs.attribute};
  if (!inputs.user_name.empty()) return {TenantSource::kUserName, inputs.user_name};
  if (rules.database_pattern && !inputs.database.empty() && !IsSystemSchema(inputs.database)) {
    if (const auto match = rules.database_pattern->Parse(inputs.database)) {
      return {TenantSource::kDatabase, match->tenant};
    }
  }
  return {TenantSource::kNone, {}};
}

// Is `named` (out of a schema's name) an existing tenant other than `tenant`? A server that folds
// names makes ACME and acme the same schema, so both spellings are looked at.
bool IsOtherTenant(const Topology& topology, std::string_view tenant, std::string_view named) {
  if (named == tenant) return false;
  if (topology.FindTenant(named).found()) return true;
  const std::string lowered = Lowered(named);
  return lowered != Lowered(tenant) && topology.FindTenant(lowered).found();
}

std::string OwnPhysical(const TenantRules& rules, std::string_view tenant,
                        const LookupResult& where) {
  if (!where.physical_database.empty()) return std::string(where.physical_database);
  if (rules.physical_database && !rules.physical_database->has_other()) {
    return rules.physical_database->Format(tenant);
  }
  return {};
}

}  // namespace

std::string_view SqlStateOf(uint16_t code) {
  return code == kErrNoTenant || code == kErrTenantForbidden ? "42000" : "HY000";
}

std::string_view ToString(TenantSource source) {
  switch (source) {
    case TenantSource::kNone:
      return "none";
    case TenantSource::kHint:
      return "comment";
    case TenantSource::kVariable:
      return "variable";
    case TenantSource::kAttribute:
      return "attribute";
    case TenantSource::kUserName:
      return "user name";
    case TenantSource::kDatabase:
      return "database";
  }
  return "?";
}

bool IsSystemSchema(std::string_view schema) {
  constexpr size_t kLongest = std::string_view("performance_schema").size();
  if (schema.size() < 3 || schema.size() > kLongest) return false;
  const std::string lowered = Lowered(schema);
  return lowered == "mysql" || lowered == "sys" || lowered == "information_schema" ||
         lowered == "performance_schema";
}

LoginName SplitLoginName(const TenantRules& rules, std::string_view login_name) {
  if (rules.username_pattern) {
    if (const auto match = rules.username_pattern->Parse(login_name)) {
      // A pattern without {user} makes the whole name the user's: "acme" is user acme of tenant
      // acme.
      return {rules.username_pattern->has_other() ? match->other : login_name, match->tenant};
    }
  }
  return {login_name, {}};
}

TenantResult ResolveTenant(const TenantRules& rules, const Topology& topology,
                           AllowedTenants allowed, const TenantInputs& inputs) {
  const auto [source, tenant] = FirstGiven(rules, inputs);
  TenantResult result;
  result.source = source;
  result.tenant = tenant;
  if (source == TenantSource::kNone) {
    result.code = kErrNoTenant;
    result.reason = RefusalText(kErrNoTenant, NoTenantText(rules));
    return result;
  }
  // Before the look-up: a restricted user learns nothing about which tenants there are.
  if (!allowed.empty() &&
      !std::binary_search(allowed.begin(), allowed.end(), tenant, std::less<>())) {
    result.status = TenantStatus::kForbidden;
    result.code = kErrTenantForbidden;
    result.reason = RefusalText(kErrTenantForbidden,
                                absl::StrCat("this user may not use tenant ", Printable(tenant)));
    return result;
  }
  result.where = topology.FindTenant(tenant);
  if (!result.where.found()) {
    result.status = TenantStatus::kUnknown;
    result.code = kErrNoTenant;
    result.reason =
        RefusalText(kErrNoTenant, absl::StrCat("unknown tenant ", Printable(tenant), " (from the ",
                                               Abs(ToString(source)), ")"));
    return result;
  }
  result.status = TenantStatus::kFound;
  return result;
}

TenantResult CheckTenantChange(std::string_view current, std::string_view next,
                               bool in_transaction) {
  TenantResult result;
  result.status = TenantStatus::kFound;
  result.tenant = next;
  if (!in_transaction || current.empty() || current == next) return result;
  return Refused(
      TenantStatus::kRefused, kErrTenantChange, next,
      RefusalText(kErrTenantChange,
                  absl::StrCat("the tenant can't change from ", Printable(current), " to ",
                               next.empty() ? "none" : Printable(next), " inside a transaction")));
}

TenantResult RefuseTenantExpression() {
  return Refused(
      TenantStatus::kRefused, kErrTenantChange, {},
      RefusalText(kErrTenantChange, "@tenant takes a string literal or a bound parameter only"));
}

PhysicalName PhysicalDatabase(const TenantRules& rules, std::string_view tenant,
                              const LookupResult& where, std::string_view logical) {
  PhysicalName same{std::string(logical), false};
  if (tenant.empty() || logical.empty() || IsSystemSchema(logical)) return same;
  const std::string own = OwnPhysical(rules, tenant, where);
  if (own.empty() && !rules.physical_database) return same;
  if (!own.empty() && own == logical) return same;  // named by its physical name
  if (!rules.logical_database.empty() && logical != rules.logical_database) return same;
  // Another tenant's schema, or one's own in database_pattern's words, is no application's name for
  // a schema.
  if (own.empty()) {
    if (const auto match = rules.physical_database->Parse(logical);
        match && match->tenant == tenant)
      return same;
    return {rules.physical_database->Format(tenant, logical), true};
  }
  return {own, true};
}

std::string_view LogicalDatabase(const TenantRules& rules, std::string_view tenant,
                                 const LookupResult& where, std::string_view physical,
                                 std::string_view logical) {
  if (!logical.empty() && PhysicalDatabase(rules, tenant, where, logical).name == physical) {
    return logical;
  }
  if (rules.physical_database && rules.physical_database->has_other() &&
      where.physical_database.empty()) {
    const auto match = rules.physical_database->Parse(physical);
    if (match && match->tenant == tenant) return match->other;
  }
  return physical;
}

TenantResult CheckSchema(const TenantRules& rules, const Topology& topology,
                         std::string_view tenant, const LookupResult& where,
                         std::string_view schema) {
  TenantResult ok;
  ok.status = TenantStatus::kFound;
  ok.tenant = tenant;
  if (schema.empty() || IsSystemSchema(schema)) return ok;
  if (schema == OwnPhysical(rules, tenant, where)) return ok;
  bool others = false;
  if (rules.database_pattern) {
    const auto match = rules.database_pattern->Parse(schema, true);
    others = match && IsOtherTenant(topology, tenant, match->tenant);
  }
  if (!others && rules.physical_database) {
    const auto match = rules.physical_database->Parse(schema, true);
    others = match && IsOtherTenant(topology, tenant, match->tenant);
  }
  if (!others) {
    std::string_view owner = topology.TenantOfPhysicalOverride(schema);
    if (owner.empty()) owner = topology.TenantOfPhysicalOverride(Lowered(schema));
    others = !owner.empty() && owner != tenant;
  }
  if (!others) return ok;
  return Refused(TenantStatus::kRefused, kErrTenantChange, tenant,
                 RefusalText(kErrTenantChange, "the statement names another tenant's schema",
                             TenantNameProblem(tenant).empty() ? tenant : ""));
}

}  // namespace bulkhead::routing
