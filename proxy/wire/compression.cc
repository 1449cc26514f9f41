#include "proxy/wire/compression.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace bulkhead::wire {
namespace {

// Plain bytes per compressed packet: large enough that headers cost nothing, small enough that the
// receiver, who inflates a packet as a whole, needs little.
constexpr size_t kPlainPerPacket = size_t{256} * 1024;
// How much output is made room for at a time.
constexpr size_t kOutputStep = size_t{16} * 1024;
// What a zstd frame begins with. libzstd may also take formats of before 1.0 by theirs, which
// nobody sends and nobody tests any more.
constexpr uint8_t kZstdMagic[] = {0x28, 0xB5, 0x2F, 0xFD};
// The window a zstd frame of at most 16 MiB may ask for.
constexpr int kZstdMaxWindowLog = 24;

void StoreHeader(uint32_t body, uint8_t sequence, uint32_t plain, uint8_t* at) {
  StoreFrameHeader({body, sequence}, at);
  at[4] = static_cast<uint8_t>(plain);
  at[5] = static_cast<uint8_t>(plain >> 8);
  at[6] = static_cast<uint8_t>(plain >> 16);
}

}  // namespace

std::string_view CompressionAlgorithmName(CompressionAlgorithm algorithm) {
  switch (algorithm) {
    case CompressionAlgorithm::kZlib:
      return "zlib";
    case CompressionAlgorithm::kZstd:
      return "zstd";
  }
  return "?";
}

std::string_view CompressionStatusName(CompressionStatus status) {
  switch (status) {
    case CompressionStatus::kOk:
      return "ok";
    case CompressionStatus::kOutputLimit:
      return "output limit";
    case CompressionStatus::kCorrupt:
      return "corrupt";
    case CompressionStatus::kOutOfOrder:
      return "packets out of order";
    case CompressionStatus::kWrongSize:
      return "wrong size";
    case CompressionStatus::kFailed:
      return "failed";
  }
  return "?";
}

// --- Compressor
// -----------------------------------------------------------------------------------

struct Compressor::State {
  ~State() {
    if (deflating) deflateEnd(&zlib);
    ZSTD_freeCCtx(zstd);
  }

  [[nodiscard]] bool Start(CompressionAlgorithm algorithm, int level) {
    switch (algorithm) {
      case CompressionAlgorithm::kZlib:
        this->level = level;
        deflating = deflateInit(&zlib, level) == Z_OK;
        return deflating;
      case CompressionAlgorithm::kZstd:
        zstd = ZSTD_createCCtx();
        return zstd != nullptr;
    }
    return false;
  }

  // Compresses all of `plain` into the room at `to`. Bytes written; 0: it does not fit.
  [[nodiscard]] size_t Run(int level, std::span<const uint8_t> plain, std::span<uint8_t> to) {
    if (zstd != nullptr) {
      const size_t size =
          ZSTD_compressCCtx(zstd, to.data(), to.size(), plain.data(), plain.size(), level);
      return ZSTD_isError(size) != 0 ? 0 : size;
    }
    zlib.next_in = const_cast<Bytef*>(plain.data());
    zlib.avail_in = static_cast<uInt>(plain.size());
    zlib.next_out = to.data();
    zlib.avail_out = static_cast<uInt>(to.size());
    const bool fits = deflate(&zlib, Z_FINISH) == Z_STREAM_END;
    const size_t size = to.size() - zlib.avail_out;
    deflateReset(&zlib);
    return fits ? size : 0;
  }

  // The thread's spare: making a state costs ten times what compressing a short packet does, and
  // one connection at a time needs it.
  static std::unique_ptr<State>& Spare(CompressionAlgorithm algorithm) {
    thread_local std::array<std::unique_ptr<State>, 2> spares;
    return spares[static_cast<size_t>(algorithm)];
  }

  z_stream zlib = {};
  bool deflating = false;
  int level = 0;
  ZSTD_CCtx* zstd = nullptr;
};

Compressor::Compressor(CompressionAlgorithm algorithm, int level)
    : algorithm_(algorithm),
      level_(std::clamp(level, 1, algorithm == CompressionAlgorithm::kZlib ? 9 : 22)) {}
Compressor::~Compressor() = default;
Compressor::Compressor(Compressor&&) noexcept = default;
Compressor& Compressor::operator=(Compressor&&) noexcept = default;

CompressionStatus Compressor::Compress(std::span<const uint8_t> plain, uint8_t* sequence,
                                       ByteBuffer* out) {
  while (!plain.empty()) {
    const auto part = plain.first(std::min(plain.size(), kPlainPerPacket));
    plain = plain.subspan(part.size());
    const size_t start = out->size();
    // A body that would not be smaller goes as it is, so that much room is always enough.
    out->resize(start + kCompressedHeaderSize + part.size());
    uint8_t* const header = out->data() + start;
    uint8_t* const body = header + kCompressedHeaderSize;
    size_t size = 0;
    if (part.size() >= kMinCompressSize) {
      if (state_ == nullptr) {
        std::unique_ptr<State>& spare = State::Spare(algorithm_);
        // zstd takes its level with each packet.
        const bool fits = algorithm_ == CompressionAlgorithm::kZstd ||
                          (spare != nullptr && spare->level == level_);
        if (fits) state_ = std::move(spare);
      }
      if (state_ == nullptr) {
        state_ = std::make_unique<State>();
        if (!state_->Start(algorithm_, level_)) return CompressionStatus::kFailed;
      }
      size = state_->Run(level_, part, {body, part.size() - 1});
    }
    if (size == 0) {
      std::memcpy(body, part.data(), part.size());
      StoreHeader(static_cast<uint32_t>(part.size()), (*sequence)++, 0, header);
    } else {
      StoreHeader(static_cast<uint32_t>(size), (*sequence)++, static_cast<uint32_t>(part.size()),
                  header);
      out->resize(start + kCompressedHeaderSize + size);
    }
  }
  return CompressionStatus::kOk;
}

void Compressor::Idle() {
  if (state_ != nullptr) State::Spare(algorithm_) = std::move(state_);
}

// --- Decompressor
// ---------------------------------------------------------------------------------

struct Decompressor::State {
  enum class Step : uint8_t { kGoingOn, kEnded, kStuck, kCorrupt };

  ~State() {
    if (inflating) inflateEnd(&zlib);
    ZSTD_freeDCtx(zstd);
  }

  [[nodiscard]] bool Start(CompressionAlgorithm algorithm) {
    switch (algorithm) {
      case CompressionAlgorithm::kZlib:
        inflating = inflateInit(&zlib) == Z_OK;
        return inflating;
      case CompressionAlgorithm::kZstd:
        zstd = ZSTD_createDCtx();
        return zstd != nullptr && ZSTD_isError(ZSTD_DCtx_setParameter(zstd, ZSTD_d_windowLogMax,
                                                                      kZstdMaxWindowLog)) == 0;
    }
    return false;
  }

  // Before each packet: every one is a stream of its own.
  void Reset() {
    ended = false;
    full = false;
    if (inflating) inflateReset(&zlib);
    if (zstd != nullptr) ZSTD_DCtx_reset(zstd, ZSTD_reset_session_only);
  }

  // Takes what it can of `in` and fills what it can of `to`.
  Step Run(std::span<const uint8_t> in, std::span<uint8_t> to, size_t* taken, size_t* made) {
    Step step = Step::kGoingOn;
    if (zstd != nullptr) {
      ZSTD_inBuffer input{in.data(), in.size(), 0};
      ZSTD_outBuffer output{to.data(), to.size(), 0};
      const size_t hint = ZSTD_decompressStream(zstd, &output, &input);
      if (ZSTD_isError(hint) != 0) step = Step::kCorrupt;
      if (hint == 0) step = Step::kEnded;
      *taken = input.pos;
      *made = output.pos;
    } else {
      zlib.next_in = const_cast<Bytef*>(in.data());
      zlib.avail_in = static_cast<uInt>(in.size());
      zlib.next_out = to.data();
      zlib.avail_out = static_cast<uInt>(to.size());
      const int result = inflate(&zlib, Z_NO_FLUSH);
      if (result == Z_STREAM_END) step = Step::kEnded;
      if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) step = Step::kCorrupt;
      *taken = in.size() - zlib.avail_in;
      *made = to.size() - zlib.avail_out;
    }
    ended = step == Step::kEnded;
    full = *made == to.size();
    if (step == Step::kGoingOn && *taken == 0 && *made == 0) return Step::kStuck;
    return step;
  }

  static std::unique_ptr<State>& Spare(CompressionAlgorithm algorithm) {
    thread_local std::array<std::unique_ptr<State>, 2> spares;
    return spares[static_cast<size_t>(algorithm)];
  }

  z_stream zlib = {};
  bool inflating = false;
  ZSTD_DCtx* zstd = nullptr;
  bool ended = false;  // the packet's stream is complete
  bool full = false;   // the last step filled its room: there may be more to come out
};

Decompressor::Decompressor(CompressionAlgorithm algorithm) : algorithm_(algorithm) {}
Decompressor::~Decompressor() = default;
Decompressor::Decompressor(Decompressor&&) noexcept = default;
Decompressor& Decompressor::operator=(Decompressor&&) noexcept = default;

bool Decompressor::AtPacketStart() const { return header_bytes_ == 0; }

void Decompressor::Idle() {
  if (AtPacketStart() && state_ != nullptr) State::Spare(algorithm_) = std::move(state_);
}

CompressionStatus Decompressor::BeginPacket() {
  const FrameHeader header = LoadFrameHeader(header_);
  if (expects_ && header.sequence != 0 && header.sequence != expected_[0] &&
      header.sequence != expected_[1]) {
    return CompressionStatus::kOutOfOrder;
  }
  sequence_ = header.sequence;
  body_size_ = header.payload_size;
  body_left_ = body_size_;
  plain_left_ = static_cast<uint32_t>(header_[4]) | static_cast<uint32_t>(header_[5]) << 8 |
                static_cast<uint32_t>(header_[6]) << 16;
  stored_ = plain_left_ == 0;
  if (stored_) {
    plain_left_ = body_left_;
    return CompressionStatus::kOk;
  }
  if (body_left_ == 0) return CompressionStatus::kWrongSize;
  if (state_ == nullptr) state_ = std::move(State::Spare(algorithm_));
  if (state_ == nullptr) {
    state_ = std::make_unique<State>();
    if (!state_->Start(algorithm_)) return CompressionStatus::kFailed;
  }
  state_->Reset();
  return CompressionStatus::kOk;
}

CompressionStatus Decompressor::Inflate(std::span<const uint8_t>* input, size_t limit,
                                        ByteBuffer* out) {
  const auto in = input->first(std::min<size_t>(input->size(), body_left_));
  if (algorithm_ == CompressionAlgorithm::kZstd) {
    const size_t offset = body_size_ - body_left_;
    for (size_t i = 0; i < in.size() && offset + i < sizeof(kZstdMagic); ++i) {
      if (in[i] != kZstdMagic[offset + i]) return CompressionStatus::kCorrupt;
    }
  }
  // Once all plain bytes are there, the stream may only end: it gets a byte of room that it must
  // not use.
  uint8_t surplus;
  const size_t start = out->size();
  const size_t room = std::min({limit, size_t{plain_left_}, kOutputStep});
  if (plain_left_ != 0) out->resize(start + room);
  const std::span<uint8_t> to = plain_left_ != 0 ? std::span<uint8_t>(out->data() + start, room)
                                                 : std::span<uint8_t>(&surplus, 1);
  size_t taken = 0;
  size_t made = 0;
  const State::Step step = state_->Run(in, to, &taken, &made);
  *input = input->subspan(taken);
  body_left_ -= static_cast<uint32_t>(taken);
  if (plain_left_ == 0) {
    if (made != 0) return CompressionStatus::kWrongSize;
  } else {
    out->resize(start + made);
    plain_left_ -= static_cast<uint32_t>(made);
  }
  switch (step) {
    case State::Step::kCorrupt:
      return CompressionStatus::kCorrupt;
    case State::Step::kEnded:
      return body_left_ == 0 && plain_left_ == 0 ? CompressionStatus::kOk
                                                 : CompressionStatus::kWrongSize;
    case State::Step::kStuck:
      // No progress although the whole body is there: it was cut short.
      if (body_left_ == 0) return CompressionStatus::kWrongSize;
      return in.empty() ? CompressionStatus::kOk : CompressionStatus::kCorrupt;
    case State::Step::kGoingOn:
      break;
  }
  return CompressionStatus::kOk;
}

CompressionStatus Decompressor::Decompress(std::span<const uint8_t>* input, size_t output_limit,
                                           ByteBuffer* out) {
  const size_t end = out->size() + output_limit;
  while (true) {
    const CompressionStatus status = DecompressPacket(input, end - out->size(), out);
    if (status != CompressionStatus::kOk || input->empty()) return status;
  }
}

CompressionStatus Decompressor::DecompressPacket(std::span<const uint8_t>* input,
                                                 size_t output_limit, ByteBuffer* out) {
  const size_t end = out->size() + output_limit;
  while (true) {
    if (header_bytes_ < kCompressedHeaderSize) {
      const size_t take = std::min(kCompressedHeaderSize - header_bytes_, input->size());
      if (take != 0) std::memcpy(header_ + header_bytes_, input->data(), take);
      header_bytes_ = static_cast<uint8_t>(header_bytes_ + take);
      *input = input->subspan(take);
      if (header_bytes_ < kCompressedHeaderSize) return CompressionStatus::kOk;
      const CompressionStatus status = BeginPacket();
      if (status != CompressionStatus::kOk) return status;
    }
    const size_t limit = end - out->size();
    if (stored_) {
      const size_t take = std::min({size_t{body_left_}, input->size(), limit});
      out->insert(out->end(), input->begin(), input->begin() + static_cast<ptrdiff_t>(take));
      *input = input->subspan(take);
      body_left_ -= static_cast<uint32_t>(take);
      if (body_left_ == 0) {
        header_bytes_ = 0;
        return CompressionStatus::kOk;
      }
      return input->empty() ? CompressionStatus::kOk : CompressionStatus::kOutputLimit;
    }
    if (limit == 0 && plain_left_ != 0) return CompressionStatus::kOutputLimit;
    // Nothing to do before more of the body comes (zstd takes idle calls for corruption).
    if (input->empty() && body_left_ != 0 && !state_->full) return CompressionStatus::kOk;
    const CompressionStatus status = Inflate(input, limit, out);
    if (status != CompressionStatus::kOk) return status;
    if (state_->ended) {
      header_bytes_ = 0;
      return CompressionStatus::kOk;
    }
  }
}

}  // namespace bulkhead::wire
