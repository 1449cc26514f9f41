// What a client asks of a server: the command byte, and the commands that a router must read or
// send itself. (COM_STMT_EXECUTE and its bulk form are in execute_messages.h.)
//
// Purpose: decode and encode commands.
// Thread: any; pure. Views in decoded messages point into the payload.
// Units: a payload is a packet without frame headers; it begins with the command byte.
// Limits: at most kMaxParameters parameters or attributes; connection attributes as in
// handshake_messages.h. DecodeQuery and DecodeStatementPrepare also take the first part of a longer
// packet (statements are routed from their first 64 KiB): the text is then what there is of it.
// Errors: DecodeError.
// Sources: dev.mysql.com page_protocol_command_phase and its pages; MariaDB "2 - Text Protocol",
// "3 - Binary Protocol (Prepared Statements)"; how many bytes of query attributes are there:
// parse_query_bind_params in MySQL's sql/protocol_classic.cc.
#ifndef BULKHEAD_PROXY_WIRE_COMMANDS_H_
#define BULKHEAD_PROXY_WIRE_COMMANDS_H_

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "proxy/wire/byte_writer.h"
#include "proxy/wire/capabilities.h"
#include "proxy/wire/decode_error.h"
#include "proxy/wire/execute_messages.h"

namespace bulkhead::wire {

enum class Command : uint8_t {
  kSleep = 0x00,
  kQuit = 0x01,
  kInitDb = 0x02,
  kQuery = 0x03,
  kFieldList = 0x04,
  kCreateDb = 0x05,
  kDropDb = 0x06,
  kRefresh = 0x07,
  kShutdown = 0x08,
  kStatistics = 0x09,
  kProcessInfo = 0x0A,
  kConnect = 0x0B,
  kProcessKill = 0x0C,
  kDebug = 0x0D,
  kPing = 0x0E,
  kTime = 0x0F,
  kDelayedInsert = 0x10,
  kChangeUser = 0x11,
  kBinlogDump = 0x12,
  kTableDump = 0x13,
  kConnectOut = 0x14,
  kRegisterReplica = 0x15,
  kStmtPrepare = 0x16,
  kStmtExecute = 0x17,
  kStmtSendLongData = 0x18,
  kStmtClose = 0x19,
  kStmtReset = 0x1A,
  kSetOption = 0x1B,
  kStmtFetch = 0x1C,
  kDaemon = 0x1D,
  kBinlogDumpGtid = 0x1E,
  kResetConnection = 0x1F,
  kClone = 0x20,
  kSubscribeGroupReplicationStream = 0x21,
  kMariadbStmtBulkExecute = 0xFA,
  kMariadbReserved1 = 0xFE,  // was COM_MULTI
};

// "COM_QUERY"; empty for a byte that is no command.
[[nodiscard]] std::string_view CommandName(uint8_t command_byte);

// Commands to which the server sends nothing at all.
[[nodiscard]] constexpr bool HasNoResponse(uint8_t command_byte) {
  return command_byte == static_cast<uint8_t>(Command::kStmtClose) ||
         command_byte == static_cast<uint8_t>(Command::kStmtSendLongData) ||
         command_byte == static_cast<uint8_t>(Command::kQuit);
}

// --- COM_QUERY
// ------------------------------------------------------------------------------------

struct QueryCommand {
  std::string_view sql;
  size_t sql_offset = 0;  // of `sql` in the payload
  // Query attributes and their values; empty without CLIENT_QUERY_ATTRIBUTES.
  std::vector<Parameter> attributes;
};
[[nodiscard]] DecodeError DecodeQuery(std::span<const uint8_t> payload, Capabilities capabilities,
                                      QueryCommand* out);
// Only where the text begins: for the data path, allocates nothing. 0 is never a valid offset.
[[nodiscard]] DecodeError FindQueryText(std::span<const uint8_t> payload, Capabilities capabilities,
                                        size_t* sql_offset);
// Without attributes, in the layout that the capabilities ask for.
void EncodeQuery(std::string_view sql, Capabilities capabilities, ByteWriter* writer);
// What stands before the text of a COM_QUERY without attributes, command byte included: for
// replacing the prefix of a packet that came with another layout.
void EncodeQueryPrefix(Capabilities capabilities, ByteWriter* writer);

// --- prepared statements
// --------------------------------------------------------------------------

[[nodiscard]] DecodeError DecodeStatementPrepare(std::span<const uint8_t> payload,
                                                 std::string_view* sql);
void EncodeStatementPrepare(std::string_view sql, ByteWriter* writer);

struct StatementFetch {
  uint32_t statement_id = 0;
  uint32_t rows = 0;
};
[[nodiscard]] DecodeError DecodeStatementFetch(std::span<const uint8_t> payload,
                                               StatementFetch* out);
void EncodeStatementFetch(const StatementFetch& fetch, ByteWriter* writer);

// COM_STMT_CLOSE and COM_STMT_RESET hold nothing but an id.
[[nodiscard]] DecodeError DecodeStatementClose(std::span<const uint8_t> payload,
                                               uint32_t* statement_id);
void EncodeStatementClose(uint32_t statement_id, ByteWriter* writer);
[[nodiscard]] DecodeError DecodeStatementReset(std::span<const uint8_t> payload,
                                               uint32_t* statement_id);
void EncodeStatementReset(uint32_t statement_id, ByteWriter* writer);

struct StatementSendLongData {
  uint32_t statement_id = 0;
  uint16_t parameter = 0;
  std::string_view data;
};
[[nodiscard]] DecodeError DecodeStatementSendLongData(std::span<const uint8_t> payload,
                                                      StatementSendLongData* out);
void EncodeStatementSendLongData(const StatementSendLongData& long_data, ByteWriter* writer);

// --- the rest
// -------------------------------------------------------------------------------------

[[nodiscard]] DecodeError DecodeInitDb(std::span<const uint8_t> payload, std::string_view* schema);
void EncodeInitDb(std::string_view schema, ByteWriter* writer);

struct FieldListCommand {
  std::string_view table;
  std::string_view wildcard;
};
[[nodiscard]] DecodeError DecodeFieldList(std::span<const uint8_t> payload, FieldListCommand* out);
void EncodeFieldList(const FieldListCommand& field_list, ByteWriter* writer);

[[nodiscard]] DecodeError DecodeProcessKill(std::span<const uint8_t> payload,
                                            uint32_t* connection_id);
void EncodeProcessKill(uint32_t connection_id, ByteWriter* writer);

enum class SetOption : uint16_t { kMultiStatementsOn = 0, kMultiStatementsOff = 1 };
[[nodiscard]] DecodeError DecodeSetOption(std::span<const uint8_t> payload, SetOption* out);
void EncodeSetOption(SetOption option, ByteWriter* writer);

struct ChangeUserCommand {
  std::string_view user;
  std::string_view auth_response;
  std::string_view database;
  bool has_collation = false;  // the rest is only there if the client sent it
  uint16_t collation = 0;
  std::string_view auth_plugin;
  // Undecoded; see DecodeConnectionAttributes.
  std::string_view connection_attributes;
};
[[nodiscard]] DecodeError DecodeChangeUser(std::span<const uint8_t> payload,
                                           Capabilities capabilities, ChangeUserCommand* out);
// `auth_response` longer than 255 bytes can't be sent in this command: kMalformed, nothing written.
[[nodiscard]] DecodeError EncodeChangeUser(const ChangeUserCommand& change_user,
                                           Capabilities capabilities, ByteWriter* writer);

// A command of one byte: COM_QUIT, COM_PING, COM_RESET_CONNECTION, COM_STATISTICS, COM_DEBUG.
inline void EncodeBareCommand(Command command, ByteWriter* writer) {
  writer->WriteU8(static_cast<uint8_t>(command));
}

}  // namespace bulkhead::wire

#endif  // BULKHEAD_PROXY_WIRE_COMMANDS_H_
