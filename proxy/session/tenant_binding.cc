#include "proxy/session/tenant_binding.h"

#include <utility>

#include "proxy/session/statement_traits.h"

namespace bulkhead::session {

namespace {

using routing::TenantResult;
using routing::TenantStatus;

RouterError ErrorOf(const TenantResult& result) {
  return {result.code, std::string(routing::SqlStateOf(result.code)), result.reason};
}

RouteTarget TargetOf(const routing::LookupResult& where) {
  return {.shard = where.shard, .backend = where.backend, .any_backend = false};
}

}  // namespace

TenantResult TenantBinding::Ask(const SessionContext& context, const SessionLogin& login,
                                std::string_view hint) const {
  return routing::ResolveTenant(*context.rules, *context.topology, login.user->tenants,
                                {.hint = hint,
                                 .variable = variable_,
                                 .attribute = login.tenant_from_attribute,
                                 .user_name = login.tenant_from_user,
                                 .database = schema_});
}

void TenantBinding::Remember(const SessionContext& context, const TenantResult& result) {
  tenant_ = result.found() ? std::string(result.tenant) : std::string();
  target_ = result.found() ? TargetOf(result.where)
                           : RouteTarget{.shard = {}, .backend = {}, .any_backend = true};
  answered_by_ = context.topology->version();
}

std::optional<RouterError> TenantBinding::ResolveSession(const SessionContext& context,
                                                         const SessionLogin& login,
                                                         bool needs_tenant, RouteTarget* target) {
  if (answered_by_ != context.topology->version()) {
    const TenantResult result = Ask(context, login, {});
    if (result.status != TenantStatus::kFound && result.status != TenantStatus::kNone)
      return ErrorOf(result);
    Remember(context, result);
  }
  if (needs_tenant && target_.any_backend) return ErrorOf(Ask(context, login, {}));
  *target = target_;
  return std::nullopt;
}

std::optional<RouterError> TenantBinding::Resolve(const SessionContext& context,
                                                  const SessionLogin& login,
                                                  const sql::StatementInfo& info,
                                                  bool in_transaction, RouteTarget* target,
                                                  std::optional<std::string>* hint_schema) {
  if (info.tenant_hint.empty()) {
    if (auto error = ResolveSession(context, login, NeedsTenant(info), target); error.has_value())
      return error;
    if (info.schemas.empty() || tenant_.empty()) return std::nullopt;
    return CheckSchemas(context, tenant_, context.topology->FindTenant(tenant_), info);
  }
  const TenantResult result = Ask(context, login, info.tenant_hint);
  if (!result.found()) return ErrorOf(result);
  if (in_transaction) {
    const TenantResult change = routing::CheckTenantChange(tenant_, result.tenant, true);
    if (change.code != 0) return ErrorOf(change);
  }
  *target = TargetOf(result.where);
  if (!schema_.empty()) {
    routing::PhysicalName physical =
        routing::PhysicalDatabase(*context.rules, result.tenant, result.where, schema_);
    if (physical.mapped) *hint_schema = std::move(physical.name);
  }
  return CheckSchemas(context, result.tenant, result.where, info);
}

std::optional<RouterError> TenantBinding::CheckSchemas(const SessionContext& context,
                                                       std::string_view tenant,
                                                       const routing::LookupResult& where,
                                                       const sql::StatementInfo& info) const {
  for (const std::string& schema : info.schemas) {
    const TenantResult result =
        routing::CheckSchema(*context.rules, *context.topology, tenant, where, schema);
    if (result.code != 0) return ErrorOf(result);
  }
  return std::nullopt;
}

std::optional<RouterError> TenantBinding::SetVariable(const SessionContext& context,
                                                      const SessionLogin& login,
                                                      std::string_view tenant,
                                                      bool bound_to_tenant) {
  TenantBinding next = *this;
  next.variable_ = tenant;
  const TenantResult result = next.Ask(context, login, {});
  if (result.status != TenantStatus::kFound && result.status != TenantStatus::kNone)
    return ErrorOf(result);
  const TenantResult change = routing::CheckTenantChange(tenant_, result.tenant, bound_to_tenant);
  if (change.code != 0) return ErrorOf(change);
  next.Remember(context, result);
  *this = std::move(next);
  return std::nullopt;
}

std::optional<RouterError> TenantBinding::UseSchema(const SessionContext& context,
                                                    const SessionLogin& login,
                                                    std::string_view schema, bool bound_to_tenant,
                                                    std::string* physical, RouteTarget* target) {
  TenantBinding next = *this;
  next.schema_ = schema;
  const TenantResult result = next.Ask(context, login, {});
  if (result.status != TenantStatus::kFound && result.status != TenantStatus::kNone)
    return ErrorOf(result);
  if (result.found()) {
    const TenantResult change =
        routing::CheckTenantChange(tenant_, result.tenant, bound_to_tenant && !tenant_.empty());
    if (change.code != 0) return ErrorOf(change);
    const TenantResult allowed = routing::CheckSchema(*context.rules, *context.topology,
                                                      result.tenant, result.where, schema);
    if (allowed.code != 0) return ErrorOf(allowed);
    *physical = routing::PhysicalDatabase(*context.rules, result.tenant, result.where, schema).name;
  } else {
    *physical = schema;
  }
  next.Remember(context, result);
  *target = next.target_;
  *this = std::move(next);
  return std::nullopt;
}

std::optional<RouterError> TenantBinding::CheckLogin(const SessionContext& context,
                                                     const SessionLogin& login) {
  const TenantResult result = Ask(context, login, {});
  if (result.status != TenantStatus::kFound && result.status != TenantStatus::kNone)
    return ErrorOf(result);
  if (result.found() && !schema_.empty()) {
    const TenantResult allowed = routing::CheckSchema(*context.rules, *context.topology,
                                                      result.tenant, result.where, schema_);
    if (allowed.code != 0) return ErrorOf(allowed);
  }
  Remember(context, result);
  return std::nullopt;
}

std::string TenantBinding::PhysicalSchema(const SessionContext& context) const {
  if (tenant_.empty() || schema_.empty()) return schema_;
  return routing::PhysicalDatabase(*context.rules, tenant_, context.topology->FindTenant(tenant_),
                                   schema_)
      .name;
}

}  // namespace bulkhead::session
