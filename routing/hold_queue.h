// HoldQueue: the statements of one shard that were not sent yet, and which of them goes next.
//
// Purpose: bounded waiting that stays fair. Order: statements that continue an open transaction
// first (they hold locks that others wait for); then the tenants in turn, one statement a turn;
// within a tenant the oldest first. If a tenant's oldest is older than `sojourn_limit` and gets no
// younger during `sojourn_interval` of popping, more comes than goes: everybody would be served
// just before, or after, their client gives up. From then on the newest of that tenant goes first,
// until its oldest is below the limit again (the idea of CoDel, RFC 8289, and of adaptive LIFO,
// "Fail at Scale", ACM Queue 2015). A backlog that shrinks stays oldest first, whatever its age.
//
// Limits: statements and bytes here, and over all shards in a HoldTotals. Where a limit is reached,
// the tenant with the largest share (of statements or of bytes, whichever is larger) gives up its
// newest, if that share is larger than the newcomer's would be; otherwise the newcomer is refused.
// So one tenant alone may fill the queue, and a flood still pushes nobody out but itself.
//
// Owner: one thread. Time is an argument. Cost: O(log n) per call, n the statements here; memory is
// bounded by the limits (tenants are kept only while they wait).
#ifndef BULKHEAD_ROUTING_HOLD_QUEUE_H_
#define BULKHEAD_ROUTING_HOLD_QUEUE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "routing/ids.h"
#include "routing/mono_time.h"

namespace bulkhead::routing {

// Names one wait of one statement: the caller's, never given twice. 0: none.
using WaiterId = uint64_t;

// The account of all shards' held statements, of the thread that owns the gates. Half of it is
// divided evenly between the shards as a reserve that no other shard can take; the rest goes to
// whoever comes first. It outlives its members.
class HoldTotals {
 public:
  HoldTotals(uint64_t max_statements, uint64_t max_bytes) : max_{max_statements, max_bytes} {}
  HoldTotals(const HoldTotals&) = delete;
  HoldTotals& operator=(const HoldTotals&) = delete;

  void SetLimits(uint64_t max_statements, uint64_t max_bytes);
  uint64_t statements() const { return used_.statements; }
  uint64_t bytes() const { return used_.bytes; }
  uint64_t max_statements() const { return max_.statements; }
  uint64_t max_bytes() const { return max_.bytes; }

  struct Amount {
    uint64_t statements = 0;
    uint64_t bytes = 0;
  };
  class Member {  // one shard's part
   public:
    explicit Member(HoldTotals* totals);
    ~Member();
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;

    // One more statement of that size, once `freed` (of this member) is given back.
    bool Fits(uint64_t bytes, const Amount& freed) const;
    void Add(uint64_t bytes) { Change(1, static_cast<int64_t>(bytes)); }
    void Remove(uint64_t bytes) { Change(-1, -static_cast<int64_t>(bytes)); }
    const Amount& used() const { return used_; }

   private:
    friend class HoldTotals;
    void Change(int64_t statements, int64_t bytes);

    HoldTotals* totals_;
    Amount used_;
  };

 private:
  Amount Reserve() const;  // of each member
  static Amount Unused(const Amount& reserve, const Amount& used);
  void Recount();  // after the reserve changed
  Amount max_;
  Amount used_;
  Amount unused_reserves_;  // the sum over all members
  std::vector<const Member*> members_;
};

struct HoldQueueRules {
  uint32_t max_statements = 5000;
  uint64_t max_bytes = uint64_t{64} << 20;
  Duration sojourn_limit = std::chrono::seconds(5);
  Duration sojourn_interval = std::chrono::seconds(2);
};

struct HeldWaiter {
  WaiterId id = 0;
  uint32_t worker = 0;
  uint64_t bytes = 0;
  MonoTime since{};     // when it began to wait: the order
  MonoTime deadline{};  // when it has waited too long
  bool is_read = false;
  bool continues = false;   // in an open transaction: goes first
  bool rejects = false;     // its tenant would rather be refused than wait for a shard that is down
  bool replica_ok = false;  // a read that may go to a replica
};

class HoldQueue {
 public:
  enum class Kinds : uint8_t { kAll, kReads };

  // `totals` may be null (none) and outlives this.
  HoldQueue(const HoldQueueRules& rules, HoldTotals* totals);
  ~HoldQueue();
  HoldQueue(const HoldQueue&) = delete;
  HoldQueue& operator=(const HoldQueue&) = delete;

  void SetRules(const HoldQueueRules& rules);  // takes nobody's place away

  // False: no place, and none could be made. `evicted` (appended to): those who gave theirs up;
  // they are gone from here. `tenant` is copied. An id that already waits here is a broken
  // invariant (abort).
  [[nodiscard]] bool Push(const HeldWaiter& waiter, std::string_view tenant,
                          std::vector<HeldWaiter>* evicted);
  // The next one, removed; absent if none of that kind waits.
  std::optional<HeldWaiter> Pop(Kinds kinds, MonoTime now);
  // The oldest whose deadline is at or before `now`, removed. Call until absent.
  std::optional<HeldWaiter> PopExpired(MonoTime now);
  std::optional<HeldWaiter> Remove(WaiterId id);
  // All for whom `which` is true, removed, in the order of their deadlines. O(n): for a change of
  // policy, not for a statement.
  std::vector<HeldWaiter> RemoveIf(absl::FunctionRef<bool(const HeldWaiter&)> which);

  // Popping begins (again) after a time in which nothing was let go: what was learnt of the
  // tenants' backlogs is void.
  void BeginPopping();

  bool empty() const { return size() == 0; }
  size_t size() const;
  size_t reads() const;
  // Whether one that continues a transaction is next.
  bool continuing(Kinds kinds) const;
  size_t tenants() const;
  uint64_t bytes() const;
  MonoTime next_deadline() const;  // kMonoNever if empty
  // How many wait that were here when MarkBacklog was last called.
  size_t backlog() const;
  void MarkBacklog();
  // In the order of their deadlines, with the tenant's name: for SHOW HOLDS. O(n).
  void ForEach(absl::FunctionRef<void(const HeldWaiter&, std::string_view)> f) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_HOLD_QUEUE_H_
