// The compressed protocol as a filter of a stream, zlib or zstd, server or client side.
//
// Purpose: packs what goes down into compressed packets and unpacks what comes up. Goes on top of
// TLS if both are in use. It is pushed right after the OK that ends the login, and is not touched
// by COM_CHANGE_USER or COM_RESET_CONNECTION. Thread: the loop's. Sequence numbers: a compressed
// packet has its own, apart from those of the frames inside. Both start at 0 with each command of
// the client, and count on through the exchange in both directions: what is sent carries the number
// after the one last sent or received. So the filter looks at the headers of the frames that it is
// given to find where a command (client side) or the answer to the next command (server side)
// begins, and begins a compressed packet there: servers read the answer's number from the packet
// that a command came in. Numbers of received packets are followed, not checked, as the frames
// inside have theirs.
//   NOTE for users: in compressed mode MySQL and MariaDB number the frames of an answer from the
//   compressed packets of the command, so for a command of several compressed packets the first
//   frame's number is not the command's last frame's plus one.
// Limits: one compressed packet holds at most 16 MiB - 1 plain bytes as the protocol says;
// a received packet is decompressed once it is whole, so a packet that arrives in pieces is kept
// (at most 32 MiB: its own size and its plain size), and nothing is kept between packets.
// Errors: corrupt data, or a plain length that is not kept to. error() says which.
// Source: MySQL Source Code Documentation, "Compressed Packet"; sql-common/net_serv.cc of MySQL 8.0
// (net_clear, compress_packet, net_read_compressed_packet), sql/net_serv.cc of MariaDB 10.11.
#ifndef BULKHEAD_PROXY_IO_COMPRESSION_FILTER_H_
#define BULKHEAD_PROXY_IO_COMPRESSION_FILTER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "proxy/io/stream.h"

namespace bulkhead::io {

enum class CompressionSide : uint8_t { kServer, kClient };

enum class CompressionMethod : uint8_t { kZlib, kZstd };

// `level`: 1 to 9 for zlib (6 is what servers use), 1 to 22 for zstd (3 is the default). `side`:
// who we are on this stream.
[[nodiscard]] std::unique_ptr<StreamFilter> MakeCompressionFilter(CompressionSide side,
                                                                  CompressionMethod method,
                                                                  int level);

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_COMPRESSION_FILTER_H_
