// Result sets: column counts, column definitions, text rows, and a writer for whole small ones.
//
// Purpose: follow a backend's result sets at their borders (rows pass untouched), compare prepared
// statements' metadata, and answer SHOW-like statements ourselves.
// Thread: any; pure. Views in decoded messages point into the payload.
// Sources: dev.mysql.com page_protocol_com_query_response_text_resultset,
// page_protocol_com_query_response_text_resultset_column_definition, _row,
// page_protocol_com_stmt_prepare; MariaDB "Result Set Packets", "COM_STMT_PREPARE"; MySQL's
// sql/protocol_classic.cc (start_result_metadata): the metadata flag follows the count, as in
// MariaDB, although MySQL's page shows it before.
#ifndef BULKHEAD_PROXY_WIRE_RESULT_SET_H_
#define BULKHEAD_PROXY_WIRE_RESULT_SET_H_

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string_view>

#include "proxy/wire/byte_writer.h"
#include "proxy/wire/capabilities.h"
#include "proxy/wire/decode_error.h"
#include "proxy/wire/frame.h"

namespace bulkhead::wire {

// Types of columns and parameters on the wire.
enum class ColumnType : uint8_t {
  kDecimal = 0,
  kTiny = 1,
  kShort = 2,
  kLong = 3,
  kFloat = 4,
  kDouble = 5,
  kNull = 6,
  kTimestamp = 7,
  kLongLong = 8,
  kInt24 = 9,
  kDate = 10,
  kTime = 11,
  kDatetime = 12,
  kYear = 13,
  kNewDate = 14,
  kVarchar = 15,
  kBit = 16,
  kTimestamp2 = 17,  // the three with a 2 are only used inside servers
  kDatetime2 = 18,
  kTime2 = 19,
  kVector = 242,  // MySQL 9
  kInvalid = 243,
  kBool = 244,
  kJson = 245,  // MySQL
  kNewDecimal = 246,
  kEnum = 247,
  kSet = 248,
  kTinyBlob = 249,
  kMediumBlob = 250,
  kLongBlob = 251,
  kBlob = 252,
  kVarString = 253,
  kString = 254,
  kGeometry = 255,
};

inline constexpr uint16_t kColumnNotNull = 0x0001;
inline constexpr uint16_t kColumnUnsigned = 0x0020;
inline constexpr uint16_t kColumnBinary = 0x0080;

// Collations of our own answers.
inline constexpr uint16_t kCollationUtf8mb4GeneralCi = 45;
inline constexpr uint16_t kCollationBinary = 63;

struct ColumnDefinition {
  std::string_view catalog = "def";
  std::string_view schema;
  std::string_view table;  // alias
  std::string_view original_table;
  std::string_view name;  // alias
  std::string_view original_name;
  // MariaDB's extended metadata, undecoded: pairs of int<1> and string<lenenc>. Only with
  // MARIADB_CLIENT_EXTENDED_METADATA.
  std::string_view extended_metadata;
  uint16_t collation = kCollationUtf8mb4GeneralCi;
  uint32_t length = 0;  // bytes, at most
  ColumnType type = ColumnType::kVarString;
  uint16_t flags = 0;
  uint8_t decimals = 0;
  // Answer to COM_FIELD_LIST only: the default value; nothing is NULL.
  bool has_default = false;
  std::optional<std::string_view> default_value;
};

// MariaDB's extended metadata in words; empty where not given.
struct ExtendedMetadata {
  std::string_view type_name;    // "json", "uuid", "point", ...
  std::string_view format_name;  // "json"
};
[[nodiscard]] DecodeError DecodeExtendedMetadata(std::string_view extended_metadata,
                                                 ExtendedMetadata* out);

// The first packet of a result set.
struct ColumnCount {
  uint64_t columns = 0;
  bool metadata_follows = true;
};

// The first packet of an answer to COM_STMT_PREPARE.
struct PrepareOk {
  uint32_t statement_id = 0;
  uint16_t columns = 0;
  uint16_t parameters = 0;
  uint16_t warnings = 0;
  bool metadata_follows = true;  // false only with CLIENT_OPTIONAL_RESULTSET_METADATA
};

[[nodiscard]] DecodeError DecodeColumnCount(std::span<const uint8_t> payload,
                                            Capabilities capabilities, ColumnCount* out);
void EncodeColumnCount(const ColumnCount& count, Capabilities capabilities, ByteWriter* writer);

[[nodiscard]] DecodeError DecodeColumnDefinition(std::span<const uint8_t> payload,
                                                 Capabilities capabilities, ColumnDefinition* out);
void EncodeColumnDefinition(const ColumnDefinition& column, Capabilities capabilities,
                            ByteWriter* writer);

[[nodiscard]] DecodeError DecodePrepareOk(std::span<const uint8_t> payload,
                                          Capabilities capabilities, PrepareOk* out);
void EncodePrepareOk(const PrepareOk& prepare_ok, Capabilities capabilities, ByteWriter* writer);

// A row of the text protocol. `cells` must have one place per column; nothing is NULL.
[[nodiscard]] DecodeError DecodeTextRow(std::span<const uint8_t> payload,
                                        std::span<std::optional<std::string_view>> cells);
void EncodeTextRow(std::span<const std::optional<std::string_view>> cells, ByteWriter* writer);

// A column of text for our own answers: VARCHAR in utf8mb4, wide enough.
[[nodiscard]] ColumnDefinition TextColumn(std::string_view name);
// A column of whole numbers for our own answers: BIGINT.
[[nodiscard]] ColumnDefinition NumberColumn(std::string_view name, bool is_unsigned = false);

// Writes one complete text result set, with the right end and sequence numbers for the
// capabilities. Order of calls: Begin once, Row any number of times, End once.
class ResultSetWriter {
 public:
  // `first_sequence` is the command's sequence number plus one.
  ResultSetWriter(ByteBuffer* out, uint8_t first_sequence, Capabilities capabilities,
                  ServerStatus status)
      : packets_(out, first_sequence), capabilities_(capabilities), status_(status) {}

  void Begin(std::span<const ColumnDefinition> columns);
  void Begin(std::initializer_list<ColumnDefinition> columns) {
    Begin(std::span<const ColumnDefinition>(columns.begin(), columns.size()));
  }
  void Row(std::span<const std::optional<std::string_view>> cells);
  void Row(std::initializer_list<std::optional<std::string_view>> cells) {
    Row(std::span<const std::optional<std::string_view>>(cells.begin(), cells.size()));
  }
  void End(uint16_t warnings = 0);
  // Ends the rows with an error instead.
  void EndWithError(uint16_t code, std::string_view sqlstate, std::string_view message);

  // Of the next packet.
  [[nodiscard]] uint8_t sequence() const { return packets_.sequence(); }

 private:
  PacketWriter packets_;
  Capabilities capabilities_;
  ServerStatus status_;
};

}  // namespace bulkhead::wire

#endif  // BULKHEAD_PROXY_WIRE_RESULT_SET_H_
