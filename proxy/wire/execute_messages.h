// COM_STMT_EXECUTE and MariaDB's COM_STMT_BULK_EXECUTE, and parameter values in the binary
// protocol.
//
// Purpose: find the parts of these messages, so that a router can put in its own statement id and
// the types that were bound earlier on another connection; read single values.
// Thread: any; pure. Ranges and views are of the payload that was decoded.
// Units: a payload is a packet without frame headers; it begins with the command byte.
// Limits: at most kMaxParameters.
// Errors: DecodeError.
// Sources: dev.mysql.com page_protocol_com_stmt_execute, page_protocol_binary_resultset (values);
// MariaDB "COM_STMT_EXECUTE", "COM_STMT_BULK_EXECUTE". With CLIENT_QUERY_ATTRIBUTES a statement
// that has placeholders carries the count and names also without the flag
// PARAMETER_COUNT_AVAILABLE, as MySQL's page says (tried with MySQL 9.7; MySQL Router's codec reads
// it otherwise).
#ifndef BULKHEAD_PROXY_WIRE_EXECUTE_MESSAGES_H_
#define BULKHEAD_PROXY_WIRE_EXECUTE_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "proxy/wire/byte_writer.h"
#include "proxy/wire/capabilities.h"
#include "proxy/wire/decode_error.h"
#include "proxy/wire/result_set.h"

namespace bulkhead::wire {

inline constexpr size_t kMaxParameters = 65535;

// MariaDB: the statement that was prepared last on this connection.
inline constexpr uint32_t kLastPreparedStatement = 0xFFFFFFFF;

// Flags of COM_STMT_EXECUTE.
inline constexpr uint8_t kCursorReadOnly = 0x01;
inline constexpr uint8_t kCursorForUpdate = 0x02;
inline constexpr uint8_t kCursorScrollable = 0x04;
inline constexpr uint8_t kParameterCountAvailable = 0x08;

// Flags of COM_STMT_BULK_EXECUTE.
inline constexpr uint16_t kBulkSendUnitResults = 64;
inline constexpr uint16_t kBulkSendTypes = 128;

// A part of a payload.
struct ByteRange {
  size_t begin = 0;
  size_t size = 0;

  [[nodiscard]] std::span<const uint8_t> Of(std::span<const uint8_t> payload) const {
    return payload.subspan(begin, size);
  }
};

struct ParameterType {
  ColumnType type = ColumnType::kNull;
  bool is_unsigned = false;
  std::string_view name;  // only with CLIENT_QUERY_ATTRIBUTES; empty for a placeholder's value
};

struct Parameter {
  ParameterType type;
  bool is_null = false;
  // As it came: a number's little-endian bytes, a string's bytes without its length, a date's or
  // time's bytes without their length.
  std::string_view value;
};

struct StatementExecute {
  uint32_t statement_id = 0;
  uint8_t flags = 0;
  uint32_t iteration_count = 1;
  bool has_count = false;      // the packet holds the number of parameters
  size_t parameter_count = 0;  // placeholders and attributes together
  ByteRange null_bitmap;       // empty when there are no parameters
  bool types_bound = false;    // the packet has types of its own
  ByteRange types;             // as they came, with names where the capabilities say so
  ByteRange values;            // all after the types; not looked into
};

// `prepared_parameters` is the number of placeholders that the statement was prepared with.
[[nodiscard]] DecodeError DecodeStatementExecute(std::span<const uint8_t> payload,
                                                 Capabilities capabilities,
                                                 size_t prepared_parameters, StatementExecute* out);

// Only the statement id, of any COM_STMT_ command but PREPARE: for routing.
[[nodiscard]] DecodeError DecodeStatementId(std::span<const uint8_t> payload,
                                            uint32_t* statement_id);
// Puts another id into such a payload. It must have been decoded before.
void PatchStatementId(std::span<uint8_t> payload, uint32_t statement_id);

// The types of an execute's type section.
[[nodiscard]] DecodeError DecodeParameterTypes(std::span<const uint8_t> section,
                                               Capabilities capabilities, size_t count,
                                               std::vector<ParameterType>* out);

// The values of a decoded execute, by types that it brought itself or that were bound before.
// `has_long_data(i)` tells whether parameter i was sent by COM_STMT_SEND_LONG_DATA (it has no value
// in the packet then; its Parameter is neither NULL nor has a value).
[[nodiscard]] DecodeError DecodeParameters(std::span<const uint8_t> payload,
                                           const StatementExecute& execute,
                                           std::span<const ParameterType> types,
                                           const std::function<bool(size_t)>& has_long_data,
                                           std::vector<Parameter>* out);

// The same execute with another statement id, and with these types where it has none of its own.
// `types` is a type section as it came in an earlier packet of the same capabilities; empty: none.
void RebuildStatementExecute(std::span<const uint8_t> payload, const StatementExecute& execute,
                             uint32_t statement_id, std::span<const uint8_t> types,
                             ByteWriter* writer);

struct BulkExecute {
  uint32_t statement_id = 0;
  uint16_t flags = 0;
  bool types_bound = false;
  ByteRange types;  // two bytes per parameter
  ByteRange rows;   // not looked into
};
[[nodiscard]] DecodeError DecodeBulkExecute(std::span<const uint8_t> payload,
                                            size_t prepared_parameters, BulkExecute* out);
// The same with another statement id, and with these types where it has none of its own.
void RebuildBulkExecute(std::span<const uint8_t> payload, const BulkExecute& bulk,
                        uint32_t statement_id, std::span<const uint8_t> types, ByteWriter* writer);

// Reads one value of the binary protocol; a type that can't be sent fails the reader.
[[nodiscard]] std::string_view ReadBinaryValue(ColumnType type, ByteReader* reader);

// Reads the null bitmap, types and values of a parameter block whose count is known, as it stands
// in COM_QUERY and COM_STMT_EXECUTE, where types must be there. Fails the reader otherwise.
[[nodiscard]] DecodeError ReadParameterBlock(Capabilities capabilities, size_t count,
                                             ByteReader* reader, std::vector<Parameter>* out);

}  // namespace bulkhead::wire

#endif  // BULKHEAD_PROXY_WIRE_EXECUTE_MESSAGES_H_
