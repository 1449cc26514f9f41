#include "proxy/session/response_tracker.h"

#include <algorithm>

#include "proxy/wire/frame.h"
#include "proxy/wire/responses.h"

namespace bulkhead::session {
namespace {

constexpr uint32_t kOkMinimum = 7;            // header, two ids, status, warnings
constexpr uint32_t kEofSize = 5;              // header, warnings, status
constexpr uint32_t kErrMinimum = 3;           // header, code
constexpr uint32_t kColumnCountMaximum = 10;  // a number and the metadata flag
constexpr uint32_t kPrepareOkSize = 12;
// Six strings, all empty, and the fixed fields with their length.
constexpr uint32_t kDefinitionMinimum = 6 + 1 + 12;
constexpr uint64_t kHashPrime = 0x00000100000001B3ull;  // FNV-1a
constexpr wire::Capabilities kCompressed =
    wire::kClientCompress | wire::kClientZstdCompressionAlgorithm;

}  // namespace

void ResponseTracker::Start(ResponseGrammar grammar, wire::Capabilities capabilities) {
  *this = ResponseTracker();
  grammar_ = grammar;
  capabilities_ = capabilities;
  switch (grammar) {
    case ResponseGrammar::kQuery:
    case ResponseGrammar::kExecute:
      state_ = State::ExpectResult;
      break;
    case ResponseGrammar::kPrepare:
      state_ = State::ExpectPrepareOk;
      break;
    case ResponseGrammar::kFetch:
      sequence_free_ = true;
      ExpectRows();
      break;
    case ResponseGrammar::kFieldList:
      state_ = State::ExpectFieldDefinition;
      break;
    case ResponseGrammar::kSimple:
      state_ = State::ExpectSimple;
      break;
    case ResponseGrammar::kStatistics:
      state_ = State::ExpectText;
      break;
    case ResponseGrammar::kNone:
      state_ = State::Done;
      break;
  }
}

void ResponseTracker::ReplaceStatementId(uint32_t client_id) {
  replacement_id_ = client_id;
  replace_id_ = true;
}

void ResponseTracker::ExpectSequence(uint8_t sequence) {
  if (!at_packet_boundary()) return;
  next_sequence_ = sequence;
  sequence_free_ = false;
}

void ResponseTracker::CaptureInto(std::vector<uint8_t>* out, size_t limit) {
  capture_ = out;
  capture_limit_ = limit;
}

ResponseTracker::Result ResponseTracker::Feed(std::span<uint8_t> bytes) {
  const Result result = Advance(bytes);
  bytes_passed_ += result.consumed;
  if (capture_ != nullptr) {
    const size_t room = capture_limit_ - std::min(capture_limit_, capture_->size());
    const auto kept = bytes.first(std::min(result.consumed, room));
    capture_->insert(capture_->end(), kept.begin(), kept.end());
    if (kept.size() < result.consumed) capture_overflow_ = true;
  }
  return result;
}

ResponseTracker::Result ResponseTracker::Advance(std::span<uint8_t> bytes) {
  if (state_ == State::Done) return {0, Progress::kDone};
  if (state_ == State::Failed || state_ == State::Idle) return {0, Progress::kProtocolError};
  size_t at = 0;
  size_t packet_start = 0;
  bool began_here = false;  // the packet under way began at packet_start
  uint8_t first_sequence = next_sequence_;
  std::span<const uint8_t> whole;  // payload of the packet under way, if all of it is here
  while (true) {
    if (place_ == Place::kPayload && frame_left_ == 0) {
      const Progress progress = FinishFrame(whole);
      if (progress == Progress::kProtocolError) {
        return Fail(began_here, packet_start, first_sequence);
      }
      if (progress != Progress::kMore) return {at, progress};
      whole = {};
    }
    if (at_packet_boundary()) {
      if (state_ == State::ExpectRow) at = HopRows(bytes, at);
      packet_start = at;
      began_here = true;
      first_sequence = next_sequence_;
      if (const auto packet = WholePacket(bytes.subspan(at)); !packet.empty()) {
        at += wire::kFrameHeaderSize + packet.size();
        if (!BeginPacket(packet[0])) return Fail(began_here, packet_start, first_sequence);
        TakePayload(packet, true);
        whole = packet;
        continue;
      }
    }
    if (at == bytes.size()) return {at, Progress::kMore};
    switch (place_) {
      case Place::kHeader:
        switch (TakeHeader(bytes, &at)) {
          case HeaderRead::kWhole:
            break;
          case HeaderRead::kCut:
            return {at, Progress::kMore};
          case HeaderRead::kInvalid:
            return Fail(began_here, packet_start, first_sequence);
        }
        break;
      case Place::kFirstByte:
        if (!BeginPacket(bytes[at])) return Fail(began_here, packet_start, first_sequence);
        break;
      case Place::kPayload: {
        const auto piece = bytes.subspan(at, std::min<size_t>(frame_left_, bytes.size() - at));
        const bool is_whole = piece.size() == frame_size_ && packet_seen_ == 0 &&
                              frame_size_ < wire::kMaxFramePayload;
        if (is_whole) whole = piece;
        TakePayload(piece, is_whole);
        at += piece.size();
        break;
      }
    }
  }
}

// The bytes before the packet under way are good; of the packet itself none is, where all of it
// that was seen is in this piece.
ResponseTracker::Result ResponseTracker::Fail(bool began_here, size_t packet_start,
                                              uint8_t first_sequence) {
  state_ = State::Failed;
  if (!began_here) return {0, Progress::kProtocolError};
  place_ = Place::kHeader;
  header_bytes_ = 0;
  continued_ = false;
  next_sequence_ = first_sequence;
  return {packet_start, Progress::kProtocolError};
}

// The hot loop: whole ordinary rows. Whatever else there is stays for the careful path.
size_t ResponseTracker::HopRows(std::span<const uint8_t> bytes, size_t at) {
  const uint8_t* const data = bytes.data();
  const size_t size = bytes.size();
  const uint8_t highest = highest_row_byte_;
  const uint8_t sequence_mask = Has(kCompressed) ? 0x00 : 0xFF;
  uint8_t sequence = next_sequence_;
  uint64_t rows = 0;
  // The first packet of a response to COM_STMT_FETCH may have any sequence id: it is not for here.
  while (!sequence_free_ && size - at > wire::kFrameHeaderSize) {
    const wire::FrameHeader header = wire::LoadFrameHeader(data + at);
    const size_t end = at + wire::kFrameHeaderSize + header.payload_size;
    if (header.payload_size == 0 || header.continues() || end > size ||
        data[at + wire::kFrameHeaderSize] > highest ||
        ((header.sequence ^ sequence) & sequence_mask) != 0) {
      break;
    }
    sequence = static_cast<uint8_t>(header.sequence + 1);
    at = end;
    ++rows;
  }
  if (rows > 0) {
    next_sequence_ = sequence;
    rows_ += rows;
    result_passed_ = true;
  }
  return at;
}

// The payload of the packet at the front, if all of it is here and its header is in order. Most
// packets come so; what does not goes the careful way, byte by byte.
std::span<uint8_t> ResponseTracker::WholePacket(std::span<uint8_t> bytes) {
  if (bytes.size() <= wire::kFrameHeaderSize) return {};
  const wire::FrameHeader header = wire::LoadFrameHeader(bytes.data());
  if (header.payload_size > bytes.size() - wire::kFrameHeaderSize || header.continues() ||
      header.payload_size == 0 || !SequenceFits(header.sequence)) {
    return {};
  }
  BeginFrame(header);
  packet_seen_ = 0;
  return bytes.subspan(wire::kFrameHeaderSize, header.payload_size);
}

bool ResponseTracker::SequenceFits(uint8_t sequence) const {
  return sequence == next_sequence_ || sequence_free_ || Has(kCompressed) ||
         (first_ && sequence == 0);
}

void ResponseTracker::BeginFrame(const wire::FrameHeader& header) {
  before_request_ = first_ && header.sequence == 0 && !sequence_free_ && !Has(kCompressed);
  first_ = false;
  sequence_free_ = false;
  next_sequence_ = static_cast<uint8_t>(header.sequence + 1);
  frame_size_ = header.payload_size;
  frame_left_ = header.payload_size;
}

// False: no packet that begins so, and is as long as its header says, can come here.
bool ResponseTracker::BeginPacket(uint8_t first) {
  kind_ = Classify(first);
  if (!SizeFits(kind_)) return false;
  if (before_request_ && kind_ != Kind::kErr) return false;
  if (kind_ == Kind::kRow || kind_ == Kind::kOk) result_passed_ = true;
  place_ = Place::kPayload;
  return true;
}

ResponseTracker::HeaderRead ResponseTracker::TakeHeader(std::span<const uint8_t> bytes,
                                                        size_t* at) {
  while (header_bytes_ < wire::kFrameHeaderSize && *at < bytes.size()) {
    header_[header_bytes_++] = bytes[(*at)++];
  }
  if (header_bytes_ < wire::kFrameHeaderSize) return HeaderRead::kCut;
  const wire::FrameHeader header = wire::LoadFrameHeader(header_);
  if (!SequenceFits(header.sequence)) return HeaderRead::kInvalid;
  // Only the continuation of a packet may be empty.
  if (header.payload_size == 0 && !continued_) return HeaderRead::kInvalid;
  header_bytes_ = 0;
  BeginFrame(header);
  place_ = continued_ ? Place::kPayload : Place::kFirstByte;
  if (!continued_) packet_seen_ = 0;
  return HeaderRead::kWhole;
}

ResponseTracker::Kind ResponseTracker::ClassifyResult(uint8_t first) const {
  switch (first) {
    case wire::kOkHeader:
      return Kind::kOk;
    case wire::kLocalInfileHeader:
      return Has(wire::kClientLocalFiles) ? Kind::kLocalInfile : Kind::kInvalid;
    case wire::kEofHeader:
      return Kind::kInvalid;
  }
  return Kind::kColumnCount;
}

// What the packet that begins with this byte is, in this place. No packet but an error can begin
// with 0xFF.
ResponseTracker::Kind ResponseTracker::Classify(uint8_t first) const {
  if (first == wire::kErrHeader) return Kind::kErr;
  switch (state_) {
    case State::ExpectResult:
      return ClassifyResult(first);
    case State::ExpectLocalInfileResult:
      return first == wire::kOkHeader ? Kind::kOk : Kind::kInvalid;
    case State::ExpectSimple:
      if (first == wire::kOkHeader) return Kind::kOk;
      return first == wire::kEofHeader ? Kind::kEnd : Kind::kInvalid;
    case State::ExpectText:
      return Kind::kText;
    case State::ExpectDefinition:
      if (first >= wire::kLocalInfileHeader) return Kind::kInvalid;
      return columns_told_ && results_ == 0 ? Kind::kHashedDefinition : Kind::kDefinition;
    case State::ExpectParameter:
    case State::ExpectColumn:
      return first < wire::kLocalInfileHeader ? Kind::kHashedDefinition : Kind::kInvalid;
    case State::ExpectDefinitionsEnd:
    case State::ExpectParametersEnd:
    case State::ExpectColumnsEnd:
      return first == wire::kEofHeader ? Kind::kEnd : Kind::kInvalid;
    case State::ExpectRow:
      if (wire::EndsRows(first, frame_size_, capabilities_)) return Kind::kEnd;
      if (first <= highest_row_byte_) return Kind::kRow;
      // A text row whose first cell is 16 MiB or longer; binary rows begin with 0x00 alone.
      return highest_row_byte_ > 0 ? Kind::kRow : Kind::kInvalid;
    case State::ExpectFieldDefinition:
      if (wire::EndsRows(first, frame_size_, capabilities_)) return Kind::kEnd;
      return first < wire::kLocalInfileHeader ? Kind::kDefinition : Kind::kInvalid;
    case State::ExpectPrepareOk:
      return first == wire::kOkHeader ? Kind::kPrepareOk : Kind::kInvalid;
    case State::Idle:
    case State::Done:
    case State::Failed:
      break;
  }
  return Kind::kInvalid;
}

// Whether a packet of this kind can have the size that its (first) header says.
bool ResponseTracker::SizeFits(Kind kind) const {
  switch (kind) {
    case Kind::kInvalid:
      return false;
    case Kind::kRow:
    case Kind::kText:
    case Kind::kLocalInfile:
      return true;
    case Kind::kDefinition:
    case Kind::kHashedDefinition:
      return frame_size_ >= kDefinitionMinimum;
    case Kind::kOk:
      return frame_size_ >= kOkMinimum;
    case Kind::kErr:
      return frame_size_ >= kErrMinimum;
    case Kind::kEnd:
      if (Has(wire::kClientDeprecateEof)) {
        return frame_size_ >= kOkMinimum ||
               (state_ == State::ExpectSimple && frame_size_ == kEofSize);
      }
      return frame_size_ == kEofSize;
    case Kind::kColumnCount:
      return frame_size_ <= kColumnCountMaximum;
    case Kind::kPrepareOk:
      return frame_size_ ==
             kPrepareOkSize + (Has(wire::kClientOptionalResultsetMetadata) ? 1u : 0u);
  }
  return false;
}

// Takes what is needed of a piece of the packet under way.
void ResponseTracker::TakePayload(std::span<uint8_t> piece, bool whole) {
  switch (kind_) {
    case Kind::kInvalid:
    case Kind::kRow:
    case Kind::kDefinition:
    case Kind::kText:
    case Kind::kLocalInfile:
      break;
    case Kind::kHashedDefinition:
      HashPiece(piece);
      break;
    case Kind::kOk:
    case Kind::kErr:
    case Kind::kEnd:
    case Kind::kColumnCount:
    case Kind::kPrepareOk: {
      // PREPARE_OK is read from a copy: its id may be replaced in place.
      if (whole && kind_ != Kind::kPrepareOk) break;
      const size_t room = kGatherLimit - gathered_.size();
      const auto kept = piece.first(std::min(piece.size(), room));
      gathered_.insert(gathered_.end(), kept.begin(), kept.end());
      if (kind_ == Kind::kPrepareOk && replace_id_) PatchStatementId(piece);
      break;
    }
  }
  packet_seen_ += piece.size();
  frame_left_ -= static_cast<uint32_t>(piece.size());
}

void ResponseTracker::PatchStatementId(std::span<uint8_t> piece) const {
  for (uint64_t i = 0; i < 4; ++i) {
    const uint64_t offset = 1 + i;
    if (offset < packet_seen_ || offset - packet_seen_ >= piece.size()) continue;
    piece[offset - packet_seen_] = static_cast<uint8_t>(replacement_id_ >> (8 * i));
  }
}

void ResponseTracker::HashPiece(std::span<const uint8_t> piece) {
  uint64_t hash = metadata_hash_;
  for (const uint8_t byte : piece) hash = (hash ^ byte) * kHashPrime;
  metadata_hash_ = hash;
}

// The frame's last byte was taken. `whole` is the payload if it was seen in one piece.
ResponseTracker::Progress ResponseTracker::FinishFrame(std::span<const uint8_t> whole) {
  place_ = Place::kHeader;
  continued_ = frame_size_ == wire::kMaxFramePayload;
  if (continued_) return Progress::kMore;
  const bool good = FinishPacket(gathered_.empty() ? whole : std::span<const uint8_t>(gathered_));
  if (!gathered_.empty()) gathered_ = {};
  if (!good) {
    place_ = Place::kPayload;
    return Progress::kProtocolError;
  }
  if (state_ == State::Done) return Progress::kDone;
  return kind_ == Kind::kLocalInfile ? Progress::kLocalInfileRequest : Progress::kMore;
}

std::string_view ResponseTracker::sqlstate() const { return {sqlstate_, sizeof(sqlstate_)}; }

std::string_view ResponseTracker::error_message() const {
  return details_ == nullptr ? std::string_view() : std::string_view(details_->message);
}

std::string_view ResponseTracker::session_state() const {
  return details_ == nullptr ? std::string_view() : std::string_view(details_->session_state);
}

}  // namespace bulkhead::session
