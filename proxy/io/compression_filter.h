// The compressed protocol as a filter of a stream, zlib or zstd, server or client side.
//
// Purpose: puts wire::CompressionCodec, which knows packets and their numbers, under a stream. Goes
// on top of TLS if both are in use. It is pushed right after the OK that ends the login, and stays
// through COM_CHANGE_USER and COM_RESET_CONNECTION. The frames that come up are numbered as in the
// plain protocol (compressed peers number them otherwise), so nobody above needs to know of it.
//
// Thread: the loop's.
//
// Limits: what comes up comes in pieces of at most kUpAtOnce. When the handler pauses reading in
// the middle, the rest of the input (one read at most) waits here: a few bytes that inflate to many
// cannot fill the memory above. Nothing but a packet's unfinished state is kept otherwise.
//
// Errors: error() says whether the data is corrupt or not as long as it promises (a client is told
// 1157, ER_NET_UNCOMPRESS_ERROR), or a compressed packet's sequence id is wrong (1156).
//
// Source: see wire/compression.h.
#ifndef BULKHEAD_PROXY_IO_COMPRESSION_FILTER_H_
#define BULKHEAD_PROXY_IO_COMPRESSION_FILTER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "proxy/io/stream.h"
#include "proxy/wire/compression.h"

namespace bulkhead::io {

class CompressionFilter : public StreamFilter {
 public:
  static constexpr size_t kUpAtOnce = 64 * 1024;

  // `level`: 1 to 9 for zlib (6 is what servers use), 1 to 22 for zstd (3 is the default). `role`:
  // who we are on this stream.
  CompressionFilter(wire::CompressionAlgorithm algorithm, int level,
                    wire::CompressionCodec::Role role)
      : codec_(algorithm, level, role) {}

  [[nodiscard]] bool Decode(std::span<uint8_t> bytes, FilterSink* sink) override;
  [[nodiscard]] bool Encode(std::span<const uint8_t> bytes, FilterSink* sink) override;
  [[nodiscard]] bool holds_input() const override { return holds_; }
  [[nodiscard]] bool Continue(FilterSink* sink) override;
  [[nodiscard]] std::string error() const override { return error_; }
  [[nodiscard]] uint16_t error_code() const override { return error_code_; }

 private:
  bool Inflate(std::span<const uint8_t>* input, FilterSink* sink, bool* stopped);
  bool Fail(const char* what, wire::CompressionStatus status);

  wire::CompressionCodec codec_;
  bool holds_ = false;  // stopped in the middle: held_ has the input, the codec may have more
  std::vector<uint8_t> held_;  // the rest of what came
  std::string error_;
  uint16_t error_code_ = 0;
  bool cannot_send_ = false;  // after an error in what came, an answer still can be
};

enum class CompressionSide : uint8_t { kServer, kClient };
enum class CompressionMethod : uint8_t { kZlib, kZstd };

[[nodiscard]] inline std::unique_ptr<StreamFilter> MakeCompressionFilter(CompressionSide side,
                                                                         CompressionMethod method,
                                                                         int level) {
  return std::make_unique<CompressionFilter>(
      method == CompressionMethod::kZstd ? wire::CompressionAlgorithm::kZstd
                                         : wire::CompressionAlgorithm::kZlib,
      level,
      side == CompressionSide::kClient ? wire::CompressionCodec::Role::kClient
                                       : wire::CompressionCodec::Role::kServer);
}

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_COMPRESSION_FILTER_H_
