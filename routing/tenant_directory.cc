#include "routing/tenant_directory.h"

#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

namespace bulkhead::routing {

// Common head of both kinds of node.
struct TenantDirectory::Node {
  std::atomic<uint32_t> refs;
  uint32_t bitmap;  // inner: which of the children exist; page: unused
  uint16_t is_page;
  uint16_t count;  // inner: children; page: entries
  uint32_t bytes;  // of this allocation
};

namespace {

using Node = TenantDirectory::Node;

constexpr int kBitsPerLevel = 5;
constexpr int kFanOut = 1 << kBitsPerLevel;
constexpr int kHashLevels = 64 / kBitsPerLevel;
constexpr int kMaxDepth =
    2 * kHashLevels;  // below kHashLevels: a second hash, for names whose first one is equal
// A million tenants are 30 to a page of the fourth level: with room for no more than 32, a third of
// these pages would be one more level of tiny ones, which costs memory and a cache miss.
constexpr uint32_t kMaxPageEntries = 48;
constexpr uint32_t kMergeBelow = 16;  // an inner node whose pages hold fewer becomes one page
constexpr uint32_t kAllChildren = 0xFFFFFFFF;  // of kFanOut
constexpr int kPrefetchLines = 14;
constexpr size_t kEntryHead = 7;  // name size, physical size, flags, shard (4)

// Flags of an entry: two bits each, 0 = absent.
constexpr uint8_t kPoolingShift = 0;
constexpr uint8_t kHoldShift = 2;

// FNV-1a is no secret, so names with equal hashes can be made; they must cost time rather than
// break a limit of a page.
uint64_t SecondHash(std::string_view name) {
  uint64_t x = name.size();
  for (const char c : name) {
    x = (x ^ static_cast<uint8_t>(c)) * 0x9E3779B97F4A7C15ull;
    x ^= x >> 29;
  }
  return x;
}

int Branch(uint64_t hash, std::string_view name, int depth) {
  if (depth >= kHashLevels) [[unlikely]] {
    return static_cast<int>(SecondHash(name) >> ((depth - kHashLevels) * kBitsPerLevel) &
                            (kFanOut - 1));
  }
  return static_cast<int>(hash >> (depth * kBitsPerLevel) & (kFanOut - 1));
}
// Bits that neither the upper levels of the trie nor the slot use.
uint8_t FingerprintOf(uint64_t hash) { return static_cast<uint8_t>(hash >> 40); }

Node* NewNode(size_t bytes, bool is_page) {
  Node* node = new (::operator new(bytes)) Node;
  node->refs.store(1, std::memory_order_relaxed);
  node->bitmap = 0;
  node->is_page = is_page ? 1 : 0;
  node->count = 0;
  node->bytes = static_cast<uint32_t>(bytes);
  return node;
}

// Inner: Node, then Node*[count].
Node** Children(Node* inner) { return reinterpret_cast<Node**>(inner + 1); }
Node* const* Children(const Node* inner) { return reinterpret_cast<Node* const*>(inner + 1); }

int ChildIndex(const Node* inner, int branch) {
  return std::popcount(inner->bitmap & ((1u << branch) - 1));
}
bool HasChild(const Node* inner, int branch) { return (inner->bitmap >> branch & 1) != 0; }

// Page: Node, then uint8_t fingerprint[count] (rounded up to two), then uint16_t offset[count]
// (from the node's start), then the entries. Head, fingerprints and offsets of an ordinary page fit
// a cache line.
size_t FingerprintBytes(size_t count) { return (count + 1) & ~size_t{1}; }
const uint8_t* Fingerprints(const Node* page) { return reinterpret_cast<const uint8_t*>(page + 1); }
const uint8_t* EntryAt(const Node* page, uint32_t index) {
  uint16_t offset;
  std::memcpy(&offset, Fingerprints(page) + FingerprintBytes(page->count) + index * sizeof(offset),
              sizeof(offset));
  return reinterpret_cast<const uint8_t*>(page) + offset;
}
std::string_view NameOf(const uint8_t* entry) {
  return {reinterpret_cast<const char*>(entry) + kEntryHead, entry[0]};
}

TenantRecord RecordOf(const uint8_t* entry) {
  TenantRecord record;
  const uint8_t pooling = entry[2] >> kPoolingShift & 3;
  const uint8_t hold = entry[2] >> kHoldShift & 3;
  if (pooling != 0) record.pooling = static_cast<Pooling>(pooling - 1);
  if (hold != 0) record.hold = static_cast<HoldPolicy>(hold - 1);
  uint32_t packed;
  std::memcpy(&packed, entry + 3, sizeof(packed));
  record.shard = ShardId::FromPacked(packed);
  record.physical_database = {reinterpret_cast<const char*>(entry) + kEntryHead + entry[0],
                              entry[1]};
  return record;
}

void Ref(Node* node) { node->refs.fetch_add(1, std::memory_order_relaxed); }

// Recursion is at most kMaxDepth deep.
void Unref(Node* node) {
  if (node == nullptr || node->refs.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (!node->is_page) {
    for (uint32_t i = 0; i < node->count; ++i) Unref(Children(node)[i]);
  }
  node->~Node();
  ::operator delete(node);
}

// One entry on its way into a page.
struct Item {
  uint8_t fingerprint;
  std::string_view name;
  TenantRecord record;

  size_t bytes() const { return kEntryHead + name.size() + record.physical_database.size(); }
};

void WriteEntry(const Item& item, uint8_t* out) {
  const TenantRecord& r = item.record;
  out[0] = static_cast<uint8_t>(item.name.size());
  out[1] = static_cast<uint8_t>(r.physical_database.size());
  out[2] =
      static_cast<uint8_t>((r.pooling ? static_cast<int>(*r.pooling) + 1 : 0) << kPoolingShift |
                           (r.hold ? static_cast<int>(*r.hold) + 1 : 0) << kHoldShift);
  const uint32_t packed = r.shard.packed();
  std::memcpy(out + 3, &packed, sizeof(packed));
  std::memcpy(out + kEntryHead, item.name.data(), item.name.size());
  if (!r.physical_database.empty()) {
    std::memcpy(out + kEntryHead + item.name.size(), r.physical_database.data(),
                r.physical_database.size());
  }
}

Node* MakePage(const std::vector<Item>& items) {
  const size_t fingerprint_bytes = FingerprintBytes(items.size());
  size_t bytes = sizeof(Node) + fingerprint_bytes + items.size() * sizeof(uint16_t);
  size_t at = bytes;
  for (const Item& item : items) bytes += item.bytes();
  if (bytes > 0xFFFF) std::abort();  // 160 names that are equal in 128 bits of hash
  Node* page = NewNode(bytes, true);
  page->count = static_cast<uint16_t>(items.size());
  auto* base = reinterpret_cast<uint8_t*>(page);
  auto* fingerprints = reinterpret_cast<uint8_t*>(page + 1);
  if (fingerprint_bytes > items.size()) fingerprints[items.size()] = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    const auto offset = static_cast<uint16_t>(at);
    std::memcpy(fingerprints + fingerprint_bytes + i * sizeof(offset), &offset, sizeof(offset));
    fingerprints[i] = items[i].fingerprint;
    WriteEntry(items[i], base + at);
    at += items[i].bytes();
  }
  return page;
}

Node* MakeInner(const std::array<Node*, kFanOut>& children) {
  uint16_t count = 0;
  uint32_t bitmap = 0;
  for (int i = 0; i < kFanOut; ++i) {
    if (children[i] == nullptr) continue;
    ++count;
    bitmap |= 1u << i;
  }
  Node* inner = NewNode(sizeof(Node) + count * sizeof(Node*), false);
  inner->count = count;
  inner->bitmap = bitmap;
  Node** out = Children(inner);
  for (Node* child : children) {
    if (child != nullptr) *out++ = child;
  }
  return inner;
}

// A page, or an inner node over several where there are too many entries for one.
Node* Build(const std::vector<Item>& items, int depth) {
  if (items.size() <= kMaxPageEntries || depth == kMaxDepth) return MakePage(items);
  std::array<std::vector<Item>, kFanOut> groups;
  for (const Item& item : items)
    groups[Branch(StableTenantHash(item.name), item.name, depth)].push_back(item);
  std::array<Node*, kFanOut> children{};
  for (int i = 0; i < kFanOut; ++i) {
    if (!groups[i].empty()) children[i] = Build(groups[i], depth + 1);
  }
  return MakeInner(children);
}

void AppendItems(const Node* page, std::vector<Item>* items) {
  for (uint32_t i = 0; i < page->count; ++i) {
    const uint8_t* entry = EntryAt(page, i);
    items->push_back({Fingerprints(page)[i], NameOf(entry), RecordOf(entry)});
  }
}

const uint8_t* FindEntry(const Node* page, std::string_view name, uint64_t hash) {
  const uint8_t* fingerprints = Fingerprints(page);
  const uint8_t wanted = FingerprintOf(hash);
  for (uint32_t i = 0; i < page->count; ++i) {
    if (fingerprints[i] != wanted) continue;
    const uint8_t* entry = EntryAt(page, i);
    if (NameOf(entry) == name) return entry;
  }
  return nullptr;
}

// The children of a copy, or of the node itself (taken out of it) if nobody else uses it.
std::array<Node*, kFanOut> SpreadChildren(const Node* inner) {
  std::array<Node*, kFanOut> children{};
  Node* const* next = Children(inner);
  for (int i = 0; i < kFanOut; ++i) {
    if (HasChild(inner, i)) children[i] = *next++;
  }
  return children;
}

// A new inner node like `inner` with one child exchanged (nullptr: taken out), owning a reference
// to each.
Node* WithChild(const Node* inner, int branch, Node* child) {
  std::array<Node*, kFanOut> children = SpreadChildren(inner);
  for (int i = 0; i < kFanOut; ++i) {
    if (i != branch && children[i] != nullptr) Ref(children[i]);
  }
  children[branch] = child;
  return MakeInner(children);
}

// The tree below `node` (borrowed, may be null) with the item in it: a reference the caller owns;
// `node` itself, with a new reference, where it could be changed in place. `exclusive`: nobody else
// holds any node from the root down to here.
Node* Inserted(Node* node, int depth, const Item& item, uint64_t hash, bool exclusive,
               bool* is_new) {
  if (node == nullptr) {
    *is_new = true;
    return MakePage({item});
  }
  exclusive = exclusive && node->refs.load(std::memory_order_acquire) == 1;
  if (node->is_page) {
    std::vector<Item> items;
    items.reserve(node->count + 1);
    AppendItems(node, &items);
    *is_new = true;
    for (Item& existing : items) {
      if (existing.name != item.name) continue;
      existing = item;
      *is_new = false;
    }
    if (*is_new) items.push_back(item);
    return Build(items, depth);
  }
  const int branch = Branch(hash, item.name, depth);
  Node* old = HasChild(node, branch) ? Children(node)[ChildIndex(node, branch)] : nullptr;
  Node* child = Inserted(old, depth + 1, item, hash, exclusive, is_new);
  if (exclusive && old != nullptr) {
    Children(node)[ChildIndex(node, branch)] = child;
    Unref(old);
    Ref(node);
    return node;
  }
  return WithChild(node, branch, child);
}

// One page instead of an inner node over a few entries; nullptr if there are too many or deeper
// levels.
Node* Merged(const std::array<Node*, kFanOut>& children, int depth) {
  uint32_t total = 0;
  for (const Node* child : children) {
    if (child == nullptr) continue;
    if (!child->is_page) return nullptr;
    total += child->count;
    if (total >= kMergeBelow) return nullptr;
  }
  std::vector<Item> items;
  for (const Node* child : children) {
    if (child != nullptr) AppendItems(child, &items);
  }
  return Build(items, depth);
}

// As Inserted: the tree without `name`, which is known to be there; nullptr if nothing is left.
Node* Erased(const Node* node, int depth, std::string_view name, uint64_t hash) {
  if (node->is_page) {
    if (node->count == 1) return nullptr;
    std::vector<Item> items;
    AppendItems(node, &items);
    std::erase_if(items, [&](const Item& item) { return item.name == name; });
    return MakePage(items);
  }
  const int branch = Branch(hash, name, depth);
  std::array<Node*, kFanOut> children = SpreadChildren(node);
  Node* child = Erased(children[branch], depth + 1, name, hash);
  if (child == nullptr && node->count == 1) return nullptr;
  children[branch] = child;
  if (Node* merged = Merged(children, depth); merged != nullptr) {
    Unref(child);
    return merged;
  }
  return WithChild(node, branch, child);
}

bool Visit(const Node* node,
           const std::function<bool(std::string_view, const TenantRecord&)>& visit) {
  for (uint32_t i = 0; i < node->count; ++i) {
    if (node->is_page) {
      const uint8_t* entry = EntryAt(node, i);
      if (!visit(NameOf(entry), RecordOf(entry))) return false;
    } else if (!Visit(Children(node)[i], visit)) {
      return false;
    }
  }
  return true;
}

size_t BytesOf(const Node* node) {
  size_t bytes = node->bytes;
  if (!node->is_page) {
    for (uint32_t i = 0; i < node->count; ++i) bytes += BytesOf(Children(node)[i]);
  }
  return bytes;
}

}  // namespace

TenantDirectory::TenantDirectory(const TenantDirectory& other)
    : root_(other.root_), size_(other.size_) {
  if (root_ != nullptr) Ref(root_);
}

TenantDirectory::TenantDirectory(TenantDirectory&& other) noexcept
    : root_(std::exchange(other.root_, nullptr)), size_(std::exchange(other.size_, 0)) {}

TenantDirectory& TenantDirectory::operator=(TenantDirectory other) noexcept {
  std::swap(root_, other.root_);
  std::swap(size_, other.size_);
  return *this;
}

TenantDirectory::~TenantDirectory() { Unref(root_); }

std::optional<TenantRecord> TenantDirectory::Find(std::string_view name, uint64_t hash) const {
  const Node* node = root_;
  for (int depth = 0; node != nullptr && !node->is_page; ++depth) {
    const int branch = Branch(hash, name, depth);
    if (node->bitmap == kAllChildren) [[likely]] {
      // Guessed by the processor, which then asks for the child without waiting for the bitmap.
      node = Children(node)[branch];
    } else {
      node = HasChild(node, branch) ? Children(node)[ChildIndex(node, branch)] : nullptr;
    }
  }
  if (node == nullptr) return std::nullopt;
  // A page is a few cache lines that are in no cache, in a large directory; ask for all of them at
  // once rather than for one after the other. Prefetching past a small page's end is harmless.
  for (int line = 1; line < kPrefetchLines; ++line) {
    __builtin_prefetch(reinterpret_cast<const char*>(node) + ptrdiff_t{line} * 64);
  }
  const uint8_t* entry = FindEntry(node, name, hash);
  if (entry == nullptr) return std::nullopt;
  return RecordOf(entry);
}

bool TenantDirectory::Insert(std::string_view name, const TenantRecord& record) {
  if (name.empty() || name.size() > kMaxEntryText ||
      record.physical_database.size() > kMaxEntryText) {
    std::abort();  // the builder checks lengths; an entry can't hold more
  }
  const uint64_t hash = StableTenantHash(name);
  const Item item{FingerprintOf(hash), name, record};
  bool is_new = false;
  Node* root = Inserted(root_, 0, item, hash, true, &is_new);
  Unref(root_);
  root_ = root;
  size_ += is_new ? 1 : 0;
  return is_new;
}

bool TenantDirectory::Erase(std::string_view name) {
  const uint64_t hash = StableTenantHash(name);
  if (!Find(name, hash)) return false;
  Node* root = Erased(root_, 0, name, hash);
  Unref(root_);
  root_ = root;
  --size_;
  return true;
}

void TenantDirectory::ForEach(
    const std::function<bool(std::string_view, const TenantRecord&)>& visit) const {
  if (root_ != nullptr) Visit(root_, visit);
}

size_t TenantDirectory::MemoryBytes() const { return root_ == nullptr ? 0 : BytesOf(root_); }

}  // namespace bulkhead::routing
