// EvidenceRing: the last 64 pieces of evidence about one backend. Recording is a few words of
// memory; the sentences are made when somebody reads them.
#ifndef BULKHEAD_ROUTING_HEALTH_HISTORY_H_
#define BULKHEAD_ROUTING_HEALTH_HISTORY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "routing/health_types.h"
#include "routing/mono_time.h"

namespace bulkhead::routing {

// "812 ms", "3.1 s", "12 min".
std::string Words(Duration duration);

struct EvidenceRecord {
  enum class What : uint8_t {
    kProbe,       // kind, result, duration, fresh
    kHungProbe,   // kind, duration, count: 1 answered, 0 closed
    kSilence,     // duration, count: in flight
    kBytesAgain,  // duration: of the silence
    kConnection,  // error, count: how many in a row
    kLate,        // duration, worker
    kReplicas,    // view
    kState,       // state
    kMark,        // mark
    kIdentity,    // count: 1 the same, 2 restarted, 3 other, 0 not known
    kGaveUp,      // count
    kAbandoned,   // count
  };
  MonoTime at{};
  What what = What::kProbe;
  ProbeKind kind = ProbeKind::kPing;
  bool fresh = false;
  ProbeResult result{};
  Duration duration{};
  uint32_t count = 0;
  ConnectionError error = ConnectionError::kReset;
  LateLoop loop = LateLoop::kControl;
  ReplicaView view = ReplicaView::kUnknown;
  BackendState state = BackendState::kUnknown;
  OperatorMark mark = OperatorMark::kAuto;
};

// "ping unanswered for 400 ms", "new connection: accepted, no greeting in 900 ms".
std::string ProbeWords(ProbeKind kind, bool fresh, const ProbeResult& result, Duration duration);

class EvidenceRing {
 public:
  void Add(const EvidenceRecord& record);
  // The latest record, to add to it rather than repeat it; nullptr: none.
  EvidenceRecord* last();
  std::vector<EvidenceLine> Lines() const;  // oldest first

 private:
  std::array<EvidenceRecord, 64> records_{};
  size_t next_ = 0;
  size_t size_ = 0;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_HEALTH_HISTORY_H_
