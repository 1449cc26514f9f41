#include "routing/hold_queue.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "routing/abseil_view.h"

namespace bulkhead::routing {
namespace {

// A newcomer that is larger than that many of the largest tenant's newest isn't worth them.
constexpr int kMaxEvicted = 64;
// A backlog shrinks if its head got younger by this part of the interval.
constexpr int kShrinksBy = 8;

// Position of a waiter by some time; equal times in the order of arrival.
struct Place {
  MonoTime time;
  uint64_t sequence;
  uint32_t node;
  friend bool operator<(const Place& a, const Place& b) {
    return a.time != b.time ? a.time < b.time : a.sequence < b.sequence;
  }
};
using Places = std::set<Place>;

constexpr uint32_t kNoTenant = UINT32_MAX;  // of those that continue a transaction
enum { kReadSet, kWriteSet };
size_t SetOf(const HeldWaiter& waiter) { return waiter.is_read ? kReadSet : kWriteSet; }

struct Node {
  HeldWaiter waiter;
  uint64_t sequence = 0;
  uint32_t tenant = kNoTenant;
  std::string name;  // only of those without a tenant's entry
};

struct Tenant {
  std::string name;
  std::array<Places, 2> waiting;  // by SetOf, by `since`
  uint64_t bytes = 0;
  double share = 0;  // as it stands in `shares`
  // Its turn in the ring of all tenants, and of those that have reads.
  std::array<std::optional<std::list<uint32_t>::iterator>, 2> turn;

  bool newest_first = false;
  std::optional<MonoTime> measured;  // when age_then was
  Duration age_then{};

  size_t count() const { return waiting[kReadSet].size() + waiting[kWriteSet].size(); }
};

const Place* First(const Places& a, const Places& b) {
  if (a.empty()) return b.empty() ? nullptr : &*b.begin();
  return b.empty() || *a.begin() < *b.begin() ? &*a.begin() : &*b.begin();
}

const Place* Last(const Places& a, const Places& b) {
  if (a.empty()) return b.empty() ? nullptr : &*b.rbegin();
  return b.empty() || *b.rbegin() < *a.rbegin() ? &*a.rbegin() : &*b.rbegin();
}

const Places kNobody;

}  // namespace

struct HoldQueue::Impl {
  Impl(const HoldQueueRules& r, HoldTotals* totals) : rules(r) {
    if (totals != nullptr) member.emplace(totals);
  }

  HoldQueueRules rules;
  std::optional<HoldTotals::Member> member;
  std::vector<Node> nodes;
  std::vector<uint32_t> free_nodes;
  std::vector<std::unique_ptr<Tenant>> tenants;  // null: free
  std::vector<uint32_t> free_tenants;
  absl::flat_hash_map<WaiterId, uint32_t> by_id;
  absl::flat_hash_map<std::string, uint32_t> by_name;
  Places by_deadline;
  std::array<Places, 2> continuing;              // by SetOf, by `since`
  std::array<std::list<uint32_t>, 2> rings;      // all tenants; those with reads
  std::set<std::pair<double, uint32_t>> shares;  // of the tenants
  uint64_t bytes = 0;
  uint64_t next_sequence = 0;
  uint64_t backlog_end = 0;  // sequences below belong to it
  size_t backlog = 0;
  size_t reads = 0;

  double ShareOf(size_t count, uint64_t size) const {
    return std::max(
        static_cast<double>(count) / std::max<double>(rules.max_statements, 1),
        static_cast<double>(size) / std::max<double>(static_cast<double>(rules.max_bytes), 1));
  }
  bool Fits(uint64_t size, const HoldTotals::Amount& freed) const {
    return by_id.size() - freed.statements + 1 <= rules.max_statements &&
           bytes - freed.bytes + size <= rules.max_bytes && (!member || member->Fits(size, freed));
  }

  bool MakePlace(const HeldWaiter& waiter, std::string_view tenant,
                 std::vector<HeldWaiter>* evicted);
  uint32_t TenantAt(std::string_view name);
  void UpdateShare(uint32_t at);
  void UpdateTurns(uint32_t at);
  void Insert(const HeldWaiter& waiter, std::string_view tenant);
  HeldWaiter Take(uint32_t node);
  void MeasureBacklog(Tenant* tenant, Duration age, MonoTime now) const;
};

// Plans before it evicts anybody: nobody gives a place up for one who gets none.
bool HoldQueue::Impl::MakePlace(const HeldWaiter& waiter, std::string_view tenant,
                                std::vector<HeldWaiter>* evicted) {
  if (Fits(waiter.bytes, {})) return true;
  if (shares.empty()) return false;
  const uint32_t largest = shares.rbegin()->second;
  const auto own = by_name.find(Abs(tenant));
  if (own != by_name.end() && own->second == largest && !waiter.continues) return false;
  const Tenant* mine =
      own == by_name.end() || waiter.continues ? nullptr : tenants[own->second].get();
  const double wanted = mine == nullptr ? ShareOf(1, waiter.bytes)
                                        : ShareOf(mine->count() + 1, mine->bytes + waiter.bytes);
  const Tenant& victim = *tenants[largest];
  std::vector<uint32_t> leaving;
  HoldTotals::Amount freed;
  auto read = victim.waiting[kReadSet].rbegin();
  auto write = victim.waiting[kWriteSet].rbegin();
  while (!Fits(waiter.bytes, freed)) {
    if (leaving.size() == kMaxEvicted || freed.statements == victim.count() ||
        ShareOf(victim.count() - freed.statements, victim.bytes - freed.bytes) <= wanted) {
      return false;
    }
    const bool take_read = write == victim.waiting[kWriteSet].rend() ||
                           (read != victim.waiting[kReadSet].rend() && *write < *read);
    leaving.push_back(take_read ? (read++)->node : (write++)->node);
    ++freed.statements;
    freed.bytes += nodes[leaving.back()].waiter.bytes;
  }
  for (const uint32_t node : leaving) evicted->push_back(Take(node));
  return true;
}

uint32_t HoldQueue::Impl::TenantAt(std::string_view name) {
  const auto found = by_name.find(Abs(name));
  if (found != by_name.end()) return found->second;
  uint32_t at = static_cast<uint32_t>(tenants.size());
  if (free_tenants.empty()) {
    tenants.emplace_back();
  } else {
    at = free_tenants.back();
    free_tenants.pop_back();
  }
  tenants[at] = std::make_unique<Tenant>();
  tenants[at]->name = std::string(name);
  by_name.emplace(tenants[at]->name, at);
  return at;
}

// Also where a tenant's entry ends: with its last waiter.
void HoldQueue::Impl::UpdateShare(uint32_t at) {
  Tenant& tenant = *tenants[at];
  shares.erase({tenant.share, at});
  UpdateTurns(at);
  if (tenant.count() == 0) {
    by_name.erase(tenant.name);
    tenants[at].reset();
    free_tenants.push_back(at);
    return;
  }
  tenant.share = ShareOf(tenant.count(), tenant.bytes);
  shares.emplace(tenant.share, at);
}

void HoldQueue::Impl::UpdateTurns(uint32_t at) {
  Tenant& tenant = *tenants[at];
  for (size_t ring = 0; ring < rings.size(); ++ring) {
    const bool waits = ring == 0 ? tenant.count() > 0 : !tenant.waiting[kReadSet].empty();
    std::optional<std::list<uint32_t>::iterator>& turn = tenant.turn[ring];
    if (waits && !turn) {
      turn = rings[ring].insert(rings[ring].end(), at);
    } else if (!waits && turn) {
      rings[ring].erase(*turn);
      turn.reset();
    }
  }
}

void HoldQueue::Impl::Insert(const HeldWaiter& waiter, std::string_view tenant) {
  uint32_t at = static_cast<uint32_t>(nodes.size());
  if (free_nodes.empty()) {
    nodes.emplace_back();
  } else {
    at = free_nodes.back();
    free_nodes.pop_back();
  }
  Node& node = nodes[at];
  node.waiter = waiter;
  node.sequence = next_sequence++;
  by_id.emplace(waiter.id, at);
  by_deadline.insert({waiter.deadline, node.sequence, at});
  bytes += waiter.bytes;
  reads += waiter.is_read ? 1 : 0;
  if (member) member->Add(waiter.bytes);
  const Place place{waiter.since, node.sequence, at};
  if (waiter.continues) {
    node.tenant = kNoTenant;
    node.name = std::string(tenant);
    continuing[SetOf(waiter)].insert(place);
    return;
  }
  node.tenant = TenantAt(tenant);
  Tenant& owner = *tenants[node.tenant];
  owner.waiting[SetOf(waiter)].insert(place);
  owner.bytes += waiter.bytes;
  UpdateShare(node.tenant);
}

HeldWaiter HoldQueue::Impl::Take(uint32_t at) {
  Node& node = nodes[at];
  const HeldWaiter waiter = node.waiter;
  by_id.erase(waiter.id);
  by_deadline.erase({waiter.deadline, node.sequence, at});
  bytes -= waiter.bytes;
  reads -= waiter.is_read ? 1 : 0;
  if (node.sequence < backlog_end) --backlog;
  if (member) member->Remove(waiter.bytes);
  const Place place{waiter.since, node.sequence, at};
  if (node.tenant == kNoTenant) {
    continuing[SetOf(waiter)].erase(place);
    node.name.clear();
  } else {
    Tenant& owner = *tenants[node.tenant];
    owner.waiting[SetOf(waiter)].erase(place);
    owner.bytes -= waiter.bytes;
    UpdateShare(node.tenant);
  }
  free_nodes.push_back(at);
  return waiter;
}

void HoldQueue::Impl::MeasureBacklog(Tenant* tenant, Duration age, MonoTime now) const {
  if (age <= rules.sojourn_limit) {
    tenant->newest_first = false;
    tenant->measured.reset();
  } else if (!tenant->measured) {
    tenant->measured = now;
    tenant->age_then = age;
  } else if (now - *tenant->measured >= rules.sojourn_interval) {
    if (age > tenant->age_then - rules.sojourn_interval / kShrinksBy) tenant->newest_first = true;
    tenant->measured = now;
    tenant->age_then = age;
  }
}

HoldQueue::HoldQueue(const HoldQueueRules& rules, HoldTotals* totals)
    : impl_(std::make_unique<Impl>(rules, totals)) {}

HoldQueue::~HoldQueue() {
  while (!impl_->by_id.empty()) (void)impl_->Take(impl_->by_id.begin()->second);
}

void HoldQueue::SetRules(const HoldQueueRules& rules) {
  impl_->rules = rules;
  for (uint32_t at = 0; at < impl_->tenants.size(); ++at) {
    if (impl_->tenants[at] != nullptr) impl_->UpdateShare(at);
  }
}

bool HoldQueue::Push(const HeldWaiter& waiter, std::string_view tenant,
                     std::vector<HeldWaiter>* evicted) {
  if (impl_->by_id.contains(waiter.id)) std::abort();  // one wait, two places
  if (!impl_->MakePlace(waiter, tenant, evicted)) return false;
  impl_->Insert(waiter, tenant);
  return true;
}

std::optional<HeldWaiter> HoldQueue::Pop(Kinds kinds, MonoTime now) {
  Impl& m = *impl_;
  const bool all = kinds == Kinds::kAll;
  const Place* place = First(m.continuing[kReadSet], all ? m.continuing[kWriteSet] : kNobody);
  if (place != nullptr) return m.Take(place->node);
  std::list<uint32_t>& ring = m.rings[all ? 0 : 1];
  if (ring.empty()) return std::nullopt;
  Tenant& tenant = *m.tenants[ring.front()];
  ring.splice(ring.end(), ring, ring.begin());  // its next turn comes after everybody's
  const Places& reads = tenant.waiting[kReadSet];
  const Places& writes = all ? tenant.waiting[kWriteSet] : kNobody;
  m.MeasureBacklog(&tenant, now - First(reads, writes)->time, now);
  return m.Take((tenant.newest_first ? Last(reads, writes) : First(reads, writes))->node);
}

std::optional<HeldWaiter> HoldQueue::PopExpired(MonoTime now) {
  if (next_deadline() > now || empty()) return std::nullopt;
  return impl_->Take(impl_->by_deadline.begin()->node);
}

std::optional<HeldWaiter> HoldQueue::Remove(WaiterId id) {
  const auto found = impl_->by_id.find(id);
  if (found == impl_->by_id.end()) return std::nullopt;
#ifdef BULKHEAD_PLANT_LEAK  // a bug for the simulator's tests: tests/sim must catch it
  if (impl_->member) impl_->member->Add(0);
#endif
  return impl_->Take(found->second);
}

std::vector<HeldWaiter> HoldQueue::RemoveIf(absl::FunctionRef<bool(const HeldWaiter&)> which) {
  std::vector<uint32_t> leaving;
  for (const Place& place : impl_->by_deadline) {
    if (which(impl_->nodes[place.node].waiter)) leaving.push_back(place.node);
  }
  std::vector<HeldWaiter> removed;
  removed.reserve(leaving.size());
  for (const uint32_t node : leaving) removed.push_back(impl_->Take(node));
  return removed;
}

void HoldQueue::BeginPopping() {
  for (const std::unique_ptr<Tenant>& tenant : impl_->tenants) {
    if (tenant == nullptr) continue;
    tenant->newest_first = false;
    tenant->measured.reset();
  }
}

bool HoldQueue::continuing(Kinds kinds) const {
  return !impl_->continuing[kReadSet].empty() ||
         (kinds == Kinds::kAll && !impl_->continuing[kWriteSet].empty());
}

size_t HoldQueue::size() const { return impl_->by_id.size(); }
size_t HoldQueue::reads() const { return impl_->reads; }
size_t HoldQueue::tenants() const { return impl_->by_name.size(); }
uint64_t HoldQueue::bytes() const { return impl_->bytes; }
size_t HoldQueue::backlog() const { return impl_->backlog; }

MonoTime HoldQueue::next_deadline() const {
#ifdef BULKHEAD_PLANT_LOST_WAKEUP  // a bug for the simulator's tests: tests/sim must catch it
  return kMonoNever;
#endif
  return impl_->by_deadline.empty() ? kMonoNever : impl_->by_deadline.begin()->time;
}

void HoldQueue::MarkBacklog() {
  impl_->backlog_end = impl_->next_sequence;
  impl_->backlog = size();
}

void HoldQueue::ForEach(absl::FunctionRef<void(const HeldWaiter&, std::string_view)> f) const {
  for (const Place& place : impl_->by_deadline) {
    const Node& node = impl_->nodes[place.node];
    f(node.waiter, node.tenant == kNoTenant ? node.name : impl_->tenants[node.tenant]->name);
  }
}

}  // namespace bulkhead::routing
