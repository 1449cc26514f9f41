#include "routing/health_history.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "routing/abseil_view.h"

namespace bulkhead::routing {
namespace {

std::string_view IdentityWords(uint32_t count) {
  if (count == 1) return "identity: the same server";
  if (count == 2) return "identity: the same server, restarted";
  if (count == 3) return "identity: not to be served";
  return "identity: could not be read";
}

std::string RecordWords(const EvidenceRecord& r) {
  using What = EvidenceRecord::What;
  switch (r.what) {
    case What::kProbe:
      return ProbeWords(r.kind, r.fresh, r.result, r.duration);
    case What::kHungProbe:
      return absl::StrCat(Abs(ToString(r.kind)),
                          r.count != 0 ? " answered after " : " closed after ", Words(r.duration));
    case What::kSilence:
      return absl::StrCat("no byte for ", Words(r.duration), " with ", r.count,
                          " statements in flight");
    case What::kBytesAgain:
      return absl::StrCat("bytes again after ", Words(r.duration));
    case What::kConnection:
      return absl::StrCat("connection ", Abs(ToString(r.error)), " (", r.count, ")");
    case What::kLate:
      return absl::StrCat(
          r.loop == LateLoop::kControl ? "this process" : "a worker of this process",
          " was late by ", Words(r.duration));
    case What::kReplicas:
      return r.view == ReplicaView::kReceiving ? "its replicas receive what it writes"
                                               : "its replicas receive nothing from it";
    case What::kState:
      return absl::StrCat("state: ", Abs(ToString(r.state)));
    case What::kMark:
      return absl::StrCat("marked ", Abs(ToString(r.mark)));
    case What::kIdentity:
      return std::string(IdentityWords(r.count));
    case What::kGaveUp:
      return absl::StrCat(r.count, " connections with statements in flight given up");
    case What::kAbandoned:
      return absl::StrCat(r.count, " abandoned connections still there");
  }
  return "?";
}

}  // namespace

std::string Words(Duration duration) {
  if (duration == Duration::max()) return "ever";
  const int64_t millis = ToMillis(duration);
  if (millis < 1000) return absl::StrCat(millis, " ms");
  if (millis < 120'000) return absl::StrFormat("%.1f s", static_cast<double>(millis) / 1000);
  return absl::StrCat(millis / 60'000, " min");
}

std::string ProbeWords(ProbeKind kind, bool fresh, const ProbeResult& result, Duration duration) {
  const absl::string_view name = Abs(ToString(kind));
  const std::string where = fresh && kind != ProbeKind::kLogin
                                ? absl::StrCat(name, " on a new connection")
                                : std::string(name);
  switch (result.outcome) {
    case ProbeOutcome::kOk:
      return absl::StrCat(where, " answered in ", Words(duration));
    case ProbeOutcome::kTimeout: {
      absl::string_view hint = "";
      if (result.acknowledged.has_value()) {
        hint = *result.acknowledged ? " (what was sent is acknowledged: the process hangs)"
                                    : " (what was sent is not acknowledged: host or network)";
      }
      // A read or a commit may hang in a process that is well otherwise.
      if (kind == ProbeKind::kRead || kind == ProbeKind::kCommit) hint = "";
      if (!fresh) return absl::StrCat(name, " unanswered for ", Words(duration), hint);
      return absl::StrCat(where, ": ", Abs(ToString(result.stage)), " in ", Words(duration), hint);
    }
    case ProbeOutcome::kRefused:
    case ProbeOutcome::kReset:
    case ProbeOutcome::kClosed:
    case ProbeOutcome::kUnreachable:
      return absl::StrCat(where, " ", Abs(ToString(result.outcome)));
    case ProbeOutcome::kServerError:
    case ProbeOutcome::kLoginFailed:
    case ProbeOutcome::kTooManyConnections:
    case ProbeOutcome::kHostBlocked:
    case ProbeOutcome::kReadOnly:
      return absl::StrCat(where, ": ", Abs(ToString(result.outcome)), " (", result.error_code, ")");
  }
  return "?";
}

void EvidenceRing::Add(const EvidenceRecord& record) {
  records_[next_] = record;
  next_ = (next_ + 1) % records_.size();
  if (size_ < records_.size()) ++size_;
}

EvidenceRecord* EvidenceRing::last() {
  return size_ == 0 ? nullptr : &records_[(next_ + records_.size() - 1) % records_.size()];
}

std::vector<EvidenceLine> EvidenceRing::Lines() const {
  std::vector<EvidenceLine> lines;
  lines.reserve(size_);
  for (size_t i = 0; i < size_; ++i) {
    const EvidenceRecord& r = records_[(next_ + records_.size() - size_ + i) % records_.size()];
    lines.push_back({r.at, RecordWords(r)});
  }
  return lines;
}

}  // namespace bulkhead::routing
