// Strong types for the things that are routed to, and the small vocabularies shared by routing and
// configuration.
//
// ShardId, BackendId: an index into the tables of one Topology lineage, with a generation. An id is
// never given to another object: dropping a backend and creating one of the same name gives a new
// generation, so that a pool or a timer that still holds the old id finds nothing
// (Topology::backend(id) == nullptr) rather than the wrong server. Limits: at most 65,535 shards
// and 65,535 backends. Thread: values, any thread.
#ifndef BULKHEAD_ROUTING_IDS_H_
#define BULKHEAD_ROUTING_IDS_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace bulkhead::routing {

template <typename Tag>
struct GenerationId {
  static constexpr uint16_t kNoIndex = 0xFFFF;
  uint16_t index = kNoIndex;
  uint16_t generation = 0;

  constexpr bool valid() const { return index != kNoIndex; }
  constexpr uint32_t packed() const { return uint32_t{generation} << 16 | index; }
  static constexpr GenerationId FromPacked(uint32_t packed) {
    return {static_cast<uint16_t>(packed & 0xFFFF), static_cast<uint16_t>(packed >> 16)};
  }
  friend constexpr auto operator<=>(const GenerationId&, const GenerationId&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const GenerationId& id) {
    return H::combine(std::move(h), id.packed());
  }
};

using ShardId = GenerationId<struct ShardIdTag>;
using BackendId = GenerationId<struct BackendIdTag>;

// Number of a topology version. Each published snapshot has a higher one; a shard's epoch is the
// version at which its primary last changed. 0: none.
struct Epoch {
  uint64_t value = 0;
  friend constexpr auto operator<=>(const Epoch&, const Epoch&) = default;
};

// How backend connections are shared (PgBouncer's words).
enum class Pooling : uint8_t { kTransaction, kSession };

// What a backend, or the greeting of a listener, claims to be. kAuto: taken from the backend's
// greeting.
enum class ServerFamily : uint8_t { kAuto, kMysql, kMariadb };

// TLS towards a backend. kVerify: certificate chain and host name are checked.
enum class BackendTls : uint8_t { kDisabled, kPreferred, kRequired, kVerify };

// What happens to new work for a slice that is unavailable. kReplica: plain reads go to a replica
// that is not too far behind, the rest is held.
enum class HoldPolicy : uint8_t { kHold, kReject, kReplica };

// Who fails a shard over. kAutomatic: the router, where nothing that was acknowledged can be lost;
// kAutomaticWithLoss: also where it may be.
enum class FailoverMode : uint8_t { kManual, kAutomatic, kAutomaticWithLoss };

std::string_view ToString(Pooling pooling);
std::string_view ToString(ServerFamily family);
std::string_view ToString(BackendTls mode);
std::string_view ToString(HoldPolicy policy);
std::string_view ToString(FailoverMode mode);

}  // namespace bulkhead::routing

template <typename Tag>
struct std::hash<bulkhead::routing::GenerationId<Tag>> {
  size_t operator()(const bulkhead::routing::GenerationId<Tag>& id) const noexcept {
    return static_cast<size_t>(id.packed() * 0x9E3779B97F4A7C15ull >> 16);
  }
};

#endif  // BULKHEAD_ROUTING_IDS_H_
