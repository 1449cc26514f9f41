// Which tenant a session's statements belong to, and where that tenant's data is.
//
// Purpose: keeps the sources that last for a session (variable, attribute, user name, database),
// asks routing for the
//   answer, and remembers it until a source or the topology changes: an ordinary statement costs a
//   comparison of versions.
// Thread: the worker's. Errors: 1049, 1044, 9406 as routing/tenant_resolution.h says, as
// RouterError.
#ifndef BULKHEAD_PROXY_SESSION_TENANT_BINDING_H_
#define BULKHEAD_PROXY_SESSION_TENANT_BINDING_H_

#include <optional>
#include <string>
#include <string_view>

#include "proxy/session/session_shell.h"
#include "proxy/sql/statement.h"
#include "routing/tenant_resolution.h"

namespace bulkhead::session {

class TenantBinding {
 public:
  TenantBinding() = default;
  explicit TenantBinding(std::string schema) : schema_(std::move(schema)) {}

  // Where a statement goes. With `hint_schema`: the physical schema of the hinted tenant, where
  // that differs.
  [[nodiscard]] std::optional<RouterError> Resolve(const SessionContext& context,
                                                   const SessionLogin& login,
                                                   const sql::StatementInfo& info,
                                                   bool in_transaction, RouteTarget* target,
                                                   std::optional<std::string>* hint_schema);
  // For what names no tenant of its own: prepared statements, COM_FIELD_LIST.
  [[nodiscard]] std::optional<RouterError> ResolveSession(const SessionContext& context,
                                                          const SessionLogin& login,
                                                          bool needs_tenant, RouteTarget* target);
  // SET @tenant. "" takes it away.
  [[nodiscard]] std::optional<RouterError> SetVariable(const SessionContext& context,
                                                       const SessionLogin& login,
                                                       std::string_view tenant,
                                                       bool bound_to_tenant);
  // USE, COM_INIT_DB, login. *physical is what the backend must be told.
  [[nodiscard]] std::optional<RouterError> UseSchema(const SessionContext& context,
                                                     const SessionLogin& login,
                                                     std::string_view schema, bool bound_to_tenant,
                                                     std::string* physical, RouteTarget* target);
  // At login: a tenant that is named but unknown or not allowed refuses it.
  [[nodiscard]] std::optional<RouterError> CheckLogin(const SessionContext& context,
                                                      const SessionLogin& login);

  [[nodiscard]] std::string_view tenant() const { return tenant_; }
  [[nodiscard]] const std::string& schema() const { return schema_; }
  // What the backend knows the current schema as.
  [[nodiscard]] std::string PhysicalSchema(const SessionContext& context) const;
  // Whether what it knows is of this version of the topology.
  [[nodiscard]] bool Answers(routing::Epoch version) const { return answered_by_ == version; }

 private:
  [[nodiscard]] routing::TenantResult Ask(const SessionContext& context, const SessionLogin& login,
                                          std::string_view hint) const;
  void Remember(const SessionContext& context, const routing::TenantResult& result);
  [[nodiscard]] std::optional<RouterError> CheckSchemas(const SessionContext& context,
                                                        std::string_view tenant,
                                                        const routing::LookupResult& where,
                                                        const sql::StatementInfo& info) const;

  std::string variable_;
  std::string schema_;  // as the application named it
  std::string tenant_;  // the answer; empty: none
  RouteTarget target_;
  routing::Epoch answered_by_;  // version of the topology; none: ask again
};

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_TENANT_BINDING_H_
