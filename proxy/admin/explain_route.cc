#include "proxy/admin/explain_route.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "proxy/config/values.h"
#include "proxy/session/statement_traits.h"
#include "proxy/sql/statement.h"
#include "routing/abseil_view.h"
#include "routing/tenant_resolution.h"

namespace bulkhead::admin {

namespace {

using routing::Abs;

template <typename Row>
const Row* FindRow(const std::vector<Row>& rows, std::string_view name) {
  const auto found =
      std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.name == name; });
  return found == rows.end() ? nullptr : &*found;
}

class Explainer {
 public:
  Explainer(const ExplainRoute& question, const LiveState& state, const config::Options& options,
            ResultTable* table)
      : question_(question), state_(state), options_(options), table_(table) {
    table_->columns = {{"step"}, {"result"}, {"why"}};
  }

  void Run() {
    ReadStatement();
    if (!FindTenant() || !CheckSchemas()) return;
    CheckLimits();
    if (!CheckTenantGate()) return;
    CheckShard();
  }

 private:
  void Step(std::string_view step, std::string_view result, std::string_view why = {}) {
    table_->Add(step);
    table_->Add(result);
    table_->Add(why);
  }
  void Answer(std::string_view answer, std::string_view why = {}) { Step("answer", answer, why); }

  void ReadStatement() {
    if (!question_.statement.has_value()) {
      reads_ = false;
      Step("statement", "not given", "taken for one that may write and names tables");
      return;
    }
    info_ = sql::Analyze(*question_.statement, {});
    reads_ = session::ReadsOnly(info_.kind, info_.flags);
    plain_ = session::IsPlainRead(info_.kind, info_.flags);
    needs_tenant_ = session::NeedsTenant(info_);
    Step("statement", sql::KindName(info_.kind),
         absl::StrCat(reads_ ? "only reads" : "may write",
                      plain_ ? ", a replica would do outside of a transaction" : "",
                      needs_tenant_ ? "" : "; needs no tenant's data"));
  }

  // False: that is the answer.
  bool FindTenant() {
    tenant_ = routing::ResolveTenant(options_.tenancy, *state_.topology, {},
                                     {.hint = info_.tenant_hint, .variable = question_.tenant});
    if (!tenant_.found()) {
      Answer(absl::StrCat("refused: ", tenant_.code),
             absl::StrReplaceAll(tenant_.reason, {{" (from the variable)", ""}}));
      return false;
    }
    const bool hinted = tenant_.source == routing::TenantSource::kHint;
    Step("tenant", tenant_.tenant,
         hinted ? "a comment on the statement names it" : "as EXPLAIN ROUTE names it");
    shard_ = state_.topology->shard(tenant_.where.shard);
    Step("directory", absl::StrCat("shard ", shard_->name), PlaceWords());
    return true;
  }

  std::string PlaceWords() const {
    const std::string epoch = absl::StrCat("epoch ", shard_->epoch.value);
    switch (tenant_.where.origin) {
      case routing::TenantOrigin::kDirectory:
        return "it has an entry of its own; " + epoch;
      case routing::TenantOrigin::kSlot:
        return absl::StrCat("no entry of its own; its slot is ", routing::SlotOf(tenant_.tenant),
                            "; ", epoch);
      case routing::TenantOrigin::kDefault:
        return "no entry of its own; the shard of all such tenants; " + epoch;
      case routing::TenantOrigin::kUnknown:
        break;
    }
    return epoch;
  }

  bool CheckSchemas() {
    for (const std::string& schema : info_.schemas) {
      const routing::TenantResult result = routing::CheckSchema(
          options_.tenancy, *state_.topology, tenant_.tenant, tenant_.where, schema);
      if (result.code != 0) {
        Answer(absl::StrCat("refused: ", result.code), result.reason);
        return false;
      }
      Step("schema", schema, "named by the statement; no other tenant's");
    }
    if (info_.schema_name.empty()) return true;
    const routing::PhysicalName physical = routing::PhysicalDatabase(
        options_.tenancy, tenant_.tenant, tenant_.where, info_.schema_name);
    Step("schema", physical.name,
         physical.mapped ? "what the server calls " + info_.schema_name : "as it is named");
    return true;
  }

  void CheckLimits() {
    if (state_.limits == nullptr) return;
    const routing::TenantLimit limit = state_.limits->LimitOf(tenant_.tenant);
    if (!limit.any()) return;
    const routing::TenantLimits::Usage usage = state_.limits->UsageOf(tenant_.tenant);
    std::string words;
    const auto add = [&](std::string text) {
      absl::StrAppend(&words, words.empty() ? "" : ", ", text);
    };
    if (limit.running != 0) add(absl::StrCat("running ", usage.running, " of ", limit.running));
    if (limit.sessions != 0) add(absl::StrCat("sessions ", usage.sessions, " of ", limit.sessions));
    if (limit.per_second != 0) add(absl::StrCat(limit.per_second, " statements a second"));
    Step("limits", words, "one more than that is refused (9405)");
  }

  // An operator's order for this tenant alone.
  bool CheckTenantGate() {
    for (const HoldRow& row : state_.holds) {
      if (row.tenant != tenant_.tenant) continue;
      if (row.state == "serving") continue;
      Step("tenant's gate", row.state, row.why);
      Answer(row.state == "rejected" ? "refused: 9401" : HeldWords(), row.why);
      return false;
    }
    return true;
  }

  void CheckShard() {
    const ShardRow* row = FindRow(state_.shards, shard_->name);
    if (row == nullptr) {
      Answer("not known", "the control thread does not answer");
      return;
    }
    Step("shard's gate", row->state, row->why);
    const BackendRow* primary = FindRow(state_.backends, row->primary);
    if (primary != nullptr)
      Step("backend", absl::StrCat(primary->name, " (", primary->address, "): ", primary->state),
           primary->why);
    const bool writes_only = row->state.starts_with("writes");
    if (row->state == "serving" || (writes_only && reads_)) {
      Answer("sent to backend " + row->primary, writes_only ? "reads go on" : "");
    } else if (row->state == "releasing") {
      Answer("sent to backend " + row->primary, "through the ramp: it may wait a moment");
    } else if (row->state == "shedding") {
      Answer("sent to backend " + row->primary + ", or refused: 9401",
             "no more at once than there are connections");
    } else if (row->policy_applies) {
      AnswerByPolicy(*row);
    } else {
      Answer(row->state == "rejected" ? "refused: 9401" : HeldWords(), row->why);
    }
  }

  void AnswerByPolicy(const ShardRow& row) {
    const routing::HoldPolicy policy = Policy();
    if (policy == routing::HoldPolicy::kReplica && plain_ && !row.reads_from.empty()) {
      Answer("sent to backend " + row.reads_from, "a plain read, and the policy is replica");
    } else if (policy == routing::HoldPolicy::kReject) {
      Answer("refused: 9401", "the policy is reject");
    } else if (row.outage_over_limit) {
      Answer("refused: 9401", "the outage is older than outage_limit");
    } else {
      Answer(HeldWords(), absl::StrCat("the policy is ", Abs(ToString(policy))));
    }
  }

  routing::HoldPolicy Policy() const {
    return tenant_.where.hold.value_or(shard_->hold.policy.value_or(options_.hold.policy));
  }
  std::string HeldWords() const {
    const routing::Duration limit = shard_->hold.max_wait.value_or(options_.hold.max_wait);
    return "held, up to " + config::DurationText(limit);
  }

  const ExplainRoute& question_;
  const LiveState& state_;
  const config::Options& options_;
  ResultTable* const table_;
  sql::StatementInfo info_;
  bool reads_ = false;
  bool plain_ = false;
  bool needs_tenant_ = true;
  routing::TenantResult tenant_;
  const routing::Shard* shard_ = nullptr;
};

}  // namespace

void Explain(const ExplainRoute& question, const LiveState& state, const config::Options& options,
             ResultTable* table) {
  Explainer(question, state, options, table).Run();
}

}  // namespace bulkhead::admin
