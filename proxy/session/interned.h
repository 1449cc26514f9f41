// Values that many sessions share: one copy each, compared by pointer, freed with their last user.
//
// Purpose: a worker's sessions have few distinct states and statement texts; each is kept once, and
// "is it the same?" costs one comparison of pointers.
// Thread: one worker's, all of it: the counts are not atomic. Pointers of two interners are never
// equal. Limits: none of its own; what is interned is bounded by who interns it.
// Lifetime: an interner should outlive its pointers; where it does not, they keep their values.
#ifndef BULKHEAD_PROXY_SESSION_INTERNED_H_
#define BULKHEAD_PROXY_SESSION_INTERNED_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"

namespace bulkhead::session {

template <typename Value>
class Interner;

// Keeps the hash functors' templates away from the nodes themselves.
template <typename Key, typename Node>
concept NotNode = !std::is_convertible_v<Key, const Node*>;

// A counted pointer to an interned, immutable value.
template <typename Value>
class Interned {
 public:
  Interned() = default;
  Interned(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): reads as a pointer
  Interned(const Interned& other) : node_(other.node_) {
    if (node_ != nullptr) ++node_->references;
  }
  Interned(Interned&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  Interned& operator=(Interned other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~Interned() {
    if (node_ != nullptr && --node_->references == 0) Drop(node_);
  }

  [[nodiscard]] const Value* get() const { return node_ == nullptr ? nullptr : &node_->value; }
  const Value& operator*() const { return node_->value; }
  const Value* operator->() const { return &node_->value; }
  explicit operator bool() const { return node_ != nullptr; }
  void reset() { *this = Interned(); }

  friend bool operator==(const Interned& a, const Interned& b) { return a.node_ == b.node_; }
  friend bool operator==(const Interned& a, std::nullptr_t) { return a.node_ == nullptr; }

  template <typename H>
  friend H AbslHashValue(H state, const Interned& pointer) {
    return H::combine(std::move(state), static_cast<const void*>(pointer.node_));
  }

 private:
  friend class Interner<Value>;
  struct Node {
    Value value;
    size_t hash = 0;
    uint32_t references = 0;
    Interner<Value>* owner = nullptr;
  };

  explicit Interned(Node* node) : node_(node) { ++node_->references; }
  static void Drop(Node* node);

  Node* node_ = nullptr;
};

// Value must be equality comparable and hashable by absl, both also with and like any key that
// Intern is called with.
template <typename Value>
class Interner {
 public:
  Interner() = default;
  Interner(const Interner&) = delete;
  Interner& operator=(const Interner&) = delete;
  ~Interner() {
    for (Node* node : nodes_) node->owner = nullptr;
  }

  // The one copy of what equals `key`; made as Value(key) where there is none yet.
  template <typename Key>
  [[nodiscard]] Interned<Value> Intern(Key&& key) {
    auto it = nodes_.find(key);
    if (it == nodes_.end()) {
      const size_t hash = Hash()(key);
      auto* node = new Node{Value(std::forward<Key>(key)), hash, 0, this};
      it = nodes_.insert(node).first;
    }
    return Interned<Value>(*it);
  }

  // Distinct values in use.
  [[nodiscard]] size_t size() const { return nodes_.size(); }

 private:
  friend class Interned<Value>;
  using Node = typename Interned<Value>::Node;

  struct Hash {
    using is_transparent = void;
    size_t operator()(const Node* node) const { return node->hash; }
    template <NotNode<Node> Key>
    size_t operator()(const Key& key) const {
      return absl::HashOf(key);
    }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Node* a, const Node* b) const { return a == b; }
    template <NotNode<Node> Key>
    bool operator()(const Node* node, const Key& key) const {
      return node->value == key;
    }
    template <NotNode<Node> Key>
    bool operator()(const Key& key, const Node* node) const {
      return node->value == key;
    }
  };

  absl::flat_hash_set<Node*, Hash, Equal> nodes_;
};

template <typename Value>
void Interned<Value>::Drop(Node* node) {
  if (node->owner != nullptr) node->owner->nodes_.erase(node);
  delete node;
}

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_INTERNED_H_
