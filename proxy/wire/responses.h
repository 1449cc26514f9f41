// What a server answers besides rows: OK, ERR, EOF, progress reports, LOCAL INFILE requests.
//
// Purpose: decode and encode them in all layouts that the agreed capabilities make; tell a response
// packet's kind by its first byte and size.
// Thread: any; pure. Views in decoded messages point into the payload.
// Units: a payload is a packet without frame headers.
// Limits: everything is bounds-checked; nothing is allocated by decoding.
// Errors: DecodeError; kUnsupported without CLIENT_PROTOCOL_41.
// Sources: dev.mysql.com page_protocol_basic_ok_packet, _err_packet, _eof_packet,
// page_protocol_com_query_response_local_infile_request; MariaDB "OK_Packet", "ERR_Packet",
// "EOF_Packet", "PACKET_LOCAL_INFILE", and net_send_ok in MariaDB's sql/protocol.cc: the info
// string is length-encoded also without CLIENT_SESSION_TRACK, and left out where it is empty.
#ifndef BULKHEAD_PROXY_WIRE_RESPONSES_H_
#define BULKHEAD_PROXY_WIRE_RESPONSES_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "proxy/wire/byte_writer.h"
#include "proxy/wire/capabilities.h"
#include "proxy/wire/decode_error.h"
#include "proxy/wire/frame.h"

namespace bulkhead::wire {

inline constexpr uint8_t kOkHeader = 0x00;
inline constexpr uint8_t kLocalInfileHeader = 0xFB;
inline constexpr uint8_t kEofHeader = 0xFE;
inline constexpr uint8_t kErrHeader = 0xFF;

struct OkPacket {
  uint8_t header = kOkHeader;  // kEofHeader: it ends a result set, with CLIENT_DEPRECATE_EOF
  uint64_t affected_rows = 0;
  uint64_t last_insert_id = 0;
  ServerStatus status = 0;
  uint16_t warnings = 0;
  std::string_view info;
  // What kStatusSessionStateChanged announces; see session_state.h. Only with CLIENT_SESSION_TRACK.
  std::string_view session_state;
};

struct EofPacket {
  uint16_t warnings = 0;
  ServerStatus status = 0;
};

struct ErrPacket {
  uint16_t code = 0;
  std::string_view sqlstate;  // 5 characters; empty where the server sent none (before login)
  std::string_view message;
};

// MariaDB's in-band progress report: an ERR packet with code 0xFFFF that ends nothing.
struct ProgressReport {
  uint8_t stage = 0;
  uint8_t max_stage = 0;
  uint32_t progress = 0;  // 24 bits, thousandths of a percent
  std::string_view info;
};

// --- the kind of a packet
// -------------------------------------------------------------------------

// The first byte is ERR's. In a row's place too: a row can't begin with 0xFF.
[[nodiscard]] inline bool IsErr(std::span<const uint8_t> payload) {
  return !payload.empty() && payload[0] == kErrHeader;
}

// A progress report, not an error. Only with MARIADB_CLIENT_PROGRESS.
[[nodiscard]] inline bool IsProgressReport(std::span<const uint8_t> payload) {
  return payload.size() >= 3 && payload[0] == kErrHeader && payload[1] == 0xFF &&
         payload[2] == 0xFF;
}

// Whether a packet that begins with `first_byte`, in a place where a row could be, ends the rows. A
// text row may begin with 0xFE when its first cell is 16 MiB or more: then the frame is full.
// `first_frame_payload` is the payload size of the packet's first frame.
[[nodiscard]] inline bool EndsRows(uint8_t first_byte, uint32_t first_frame_payload,
                                   Capabilities capabilities) {
  if (first_byte != kEofHeader) return false;
  return (capabilities & kClientDeprecateEof) != 0 ? first_frame_payload < kMaxFramePayload
                                                   : first_frame_payload < 9;
}

// --- decoding
// -------------------------------------------------------------------------------------

// Takes both headers, 0x00 and 0xFE.
[[nodiscard]] DecodeError DecodeOk(std::span<const uint8_t> payload, Capabilities capabilities,
                                   OkPacket* out);
[[nodiscard]] DecodeError DecodeEof(std::span<const uint8_t> payload, Capabilities capabilities,
                                    EofPacket* out);
// Also before the capabilities are agreed (no SQLSTATE then). A progress report is kUnexpectedType.
[[nodiscard]] DecodeError DecodeErr(std::span<const uint8_t> payload, ErrPacket* out);
[[nodiscard]] DecodeError DecodeProgressReport(std::span<const uint8_t> payload,
                                               ProgressReport* out);
// The file name that the server asks the client for.
[[nodiscard]] DecodeError DecodeLocalInfileRequest(std::span<const uint8_t> payload,
                                                   std::string_view* file_name);

// The end of a result set in the form that the capabilities say: EOF, or OK with the header 0xFE.
// For an EOF the other fields of *out are zero and empty.
[[nodiscard]] DecodeError DecodeResultEnd(std::span<const uint8_t> payload,
                                          Capabilities capabilities, OkPacket* out);

// --- encoding: payloads, without frame headers
// ------------------------------------------------------

// Without CLIENT_SESSION_TRACK the session state is left out and its status flag cleared; with it,
// an empty session state clears the flag too.
void EncodeOk(const OkPacket& ok, Capabilities capabilities, ByteWriter* writer);
void EncodeEof(const EofPacket& eof, ByteWriter* writer);
// A SQLSTATE that has not 5 characters is written as HY000. The message is cut at 511 bytes, the
// servers' own limit, at a UTF-8 boundary.
void EncodeErr(const ErrPacket& err, ByteWriter* writer);
// Before the greeting, a server's ERR has no SQLSTATE (1040, 1129): clients expect it so.
void EncodeErrWithoutSqlstate(uint16_t code, std::string_view message, ByteWriter* writer);
void EncodeProgressReport(const ProgressReport& report, ByteWriter* writer);
void EncodeLocalInfileRequest(std::string_view file_name, ByteWriter* writer);
// The end of a result set as the capabilities say: EOF, or OK with the header 0xFE.
void EncodeResultEnd(const OkPacket& end, Capabilities capabilities, ByteWriter* writer);

}  // namespace bulkhead::wire

#endif  // BULKHEAD_PROXY_WIRE_RESPONSES_H_
