// The table `tenants`: read from the directory itself, since there may be a million.

#include <array>
#include <utility>

#include "proxy/admin/tables.h"

namespace bulkhead::admin {

namespace {

struct Entry {
  std::string_view name;
  routing::TenantRecord record;
};

enum TenantColumn : size_t {
  kName,
  kShard,
  kSessions,
  kRunning,
  kRefused,
  kPooling,
  kPolicy,
  kDatabase,
  kMostSessionsColumn,
  kMostRunning,
  kMostRate,
};

constexpr auto kColumns = std::to_array<Column>({
    {"name", ColumnKind::kText, true, "the tenant"},
    {"shard", ColumnKind::kText, true, "where its data is"},
    {"sessions", ColumnKind::kNumber, true, "open now; NULL: no limit, not counted"},
    {"running", ColumnKind::kNumber, true, "statements now; NULL: no limit, not counted"},
    {"refused", ColumnKind::kNumber, true, "over its limits, lately"},
    {"pooling", ColumnKind::kText, false, "its own; NULL: the user's"},
    {"policy", ColumnKind::kText, false, "its own hold policy; NULL: the shard's"},
    {"database_name", ColumnKind::kText, false, "its own; NULL: by the pattern"},
    {"max_sessions", ColumnKind::kNumber, false, "NULL: no limit"},
    {"max_running", ColumnKind::kNumber, false, "NULL: no limit"},
    {"max_per_second", ColumnKind::kNumber, false, "NULL: no limit"},
});

Value Limit(uint32_t limit) {
  if (limit == 0) return std::monostate();
  return static_cast<int64_t>(limit);
}

class TenantRows final : public Rows {
 public:
  TenantRows(const LiveState& state, const std::optional<std::string>& name)
      : state_(state), directory_(state.topology->directory()) {
    if (name.has_value()) {
      wanted_ = *name;
      if (std::optional<routing::TenantRecord> found = directory_.Find(wanted_))
        entries_.push_back({wanted_, *found});
      return;
    }
    entries_.reserve(directory_.size());
    directory_.ForEach([this](std::string_view tenant, const routing::TenantRecord& record) {
      entries_.push_back({tenant, record});
      return true;
    });
  }

  [[nodiscard]] size_t size() const override { return entries_.size(); }

  [[nodiscard]] Value Cell(size_t row, size_t column) const override {
    const Entry& entry = entries_[row];
    switch (column) {
      case kName:
        return std::string(entry.name);
      case kShard: {
        const routing::Shard* shard = state_.topology->shard(entry.record.shard);
        if (shard == nullptr) return std::monostate();
        return shard->name;
      }
      case kPooling:
        if (!entry.record.pooling.has_value()) return std::monostate();
        return std::string(routing::ToString(*entry.record.pooling));
      case kPolicy:
        if (!entry.record.hold.has_value()) return std::monostate();
        return std::string(routing::ToString(*entry.record.hold));
      case kDatabase:
        if (entry.record.physical_database.empty()) return std::monostate();
        return std::string(entry.record.physical_database);
      default:
        return LimitCell(entry.name, column);
    }
  }

 private:
  [[nodiscard]] Value LimitCell(std::string_view tenant, size_t column) const {
    if (state_.limits == nullptr) return std::monostate();
    const routing::TenantLimit limit = state_.limits->LimitOf(tenant);
    if (column == kMostSessionsColumn) return Limit(limit.sessions);
    if (column == kMostRunning) return Limit(limit.running);
    if (column == kMostRate) return Limit(limit.per_second);
    if (!limit.any()) return std::monostate();
    const routing::TenantLimits::Usage usage = state_.limits->UsageOf(tenant);
    if (column == kSessions) return static_cast<int64_t>(usage.sessions);
    if (column == kRunning) return static_cast<int64_t>(usage.running);
    return static_cast<int64_t>(usage.refused);
  }

  const LiveState& state_;
  const routing::TenantDirectory directory_;  // a copy: one pointer
  std::string wanted_;
  std::vector<Entry> entries_;
};

}  // namespace

Table TenantsTable() {
  Table table{.name = "tenants",
              .help = "The directory: tenants with an entry of their own.",
              .columns = {kColumns.begin(), kColumns.end()},
              .open = {}};
  table.open = [](const LiveState& state, const std::optional<std::string>& name) {
    return std::make_unique<TenantRows>(state, name);
  };
  return table;
}

}  // namespace bulkhead::admin
