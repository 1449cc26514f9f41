// The directory: tenant name -> shard and the tenant's own options, for a million tenants.
//
// A persistent map: a copy is one pointer and shares everything; a change copies the path to one
// page (a few hundred bytes) and nothing else, so that a snapshot may be published per change.
// Structure: a 32-way trie over a 64-bit hash whose leaves are pages of packed entries
// (docs/decisions/tenant-directory.md says why).
//
// Thread: a TenantDirectory object belongs to one thread at a time, but copies that share pages may
// be read and dropped on any threads (counts are atomic, shared pages are never written). Names are
// bytes, compared exactly. Limits: kMaxEntryText bytes each; tenants: kMaxTenantName. Cost: lookup
// without allocation; views in a record live as long as this object or a copy of it.
#ifndef BULKHEAD_ROUTING_TENANT_DIRECTORY_H_
#define BULKHEAD_ROUTING_TENANT_DIRECTORY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>

#include "routing/ids.h"

namespace bulkhead::routing {

inline constexpr size_t kMaxTenantName = 128;  // bytes
// What an entry can hold of a key and of a physical schema name, in bytes. (A server's names have
// 64 characters.)
inline constexpr size_t kMaxEntryText = 255;

// Fixed for ever, since slots depend on it: FNV-1a, 64 bits, over the name's bytes, then
// MurmurHash3's 64-bit finaliser. Slot = the top 12 bits. (FNV: offset basis 14695981039346656037,
// prime 1099511628211; finaliser: x ^= x >> 33, x *= 0xff51afd7ed558ccd, x ^= x >> 33, x *=
// 0xc4ceb9fe1a85ec53, x ^= x >> 33.)
uint64_t StableTenantHash(std::string_view name);

// "" if `name` may be a tenant's name, otherwise why not: 1..kMaxTenantName bytes, no control
// characters, white space, quotes, backslash, slash, asterisk, semicolon or comma, valid UTF-8.
std::string_view TenantNameProblem(std::string_view name);

struct TenantRecord {
  ShardId shard{};
  std::optional<Pooling> pooling{};      // absent: the user's
  std::optional<HoldPolicy> hold{};      // absent: the shard's
  std::string_view physical_database{};  // empty: by the pattern
};

class TenantDirectory {
 public:
  TenantDirectory() = default;
  TenantDirectory(const TenantDirectory& other);
  TenantDirectory(TenantDirectory&& other) noexcept;
  TenantDirectory& operator=(TenantDirectory other) noexcept;
  ~TenantDirectory();

  // Record of `name`, or nothing. Views point into the page.
  std::optional<TenantRecord> Find(std::string_view name) const {
    return Find(name, StableTenantHash(name));
  }
  std::optional<TenantRecord> Find(std::string_view name, uint64_t hash) const;

  // Adds or replaces; true if the name is new. Requires 1 <= name.size() <= kMaxEntryText and
  // physical_database.size() <= kMaxEntryText. Pages that nobody else shares are replaced, not
  // kept.
  bool Insert(std::string_view name, const TenantRecord& record);
  // True if it was there.
  bool Erase(std::string_view name);

  // In no particular order, the same order for equal trees. Return false from `visit` to stop
  // early.
  void ForEach(const std::function<bool(std::string_view name, const TenantRecord&)>& visit) const;

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // Bytes of all nodes and pages reachable from here, allocator rounding excluded.
  size_t MemoryBytes() const;

  struct Node;  // internal

 private:
  Node* root_ = nullptr;
  size_t size_ = 0;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_TENANT_DIRECTORY_H_
