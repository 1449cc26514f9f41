#include "proxy/wire/commands.h"

#include "proxy/wire/handshake_messages.h"

namespace bulkhead::wire {
namespace {

DecodeError Result(const ByteReader& reader) {
  return reader.ok() ? DecodeError::kNone : DecodeError::kTruncated;
}

// Reads the command byte. kNone: it is the one expected.
DecodeError Expect(Command command, ByteReader* reader) {
  const uint8_t byte = reader->ReadU8();
  if (!reader->ok()) return DecodeError::kTruncated;
  return byte == static_cast<uint8_t>(command) ? DecodeError::kNone : DecodeError::kUnexpectedType;
}

DecodeError DecodeRestOf(Command command, std::span<const uint8_t> payload, std::string_view* out) {
  ByteReader reader(payload);
  const DecodeError error = Expect(command, &reader);
  if (error == DecodeError::kNone) *out = reader.ReadRest();
  return error;
}

DecodeError DecodeU32Of(Command command, std::span<const uint8_t> payload, uint32_t* out) {
  ByteReader reader(payload);
  if (const DecodeError error = Expect(command, &reader); error != DecodeError::kNone) return error;
  *out = reader.ReadU32();
  return Result(reader);
}

void EncodeU32Of(Command command, uint32_t value, ByteWriter* writer) {
  EncodeBareCommand(command, writer);
  writer->WriteU32(value);
}

// Everything before the text; the reader is left there. `attributes` may be null.
DecodeError ReadQueryPrefix(Capabilities capabilities, ByteReader* reader,
                            std::vector<Parameter>* attributes) {
  if (const DecodeError error = Expect(Command::kQuery, reader); error != DecodeError::kNone) {
    return error;
  }
  if (attributes != nullptr) attributes->clear();
  if ((capabilities & kClientQueryAttributes) == 0) return DecodeError::kNone;
  const uint64_t count = reader->ReadLenencInt();
  const uint64_t sets = reader->ReadLenencInt();
  if (!reader->ok()) return DecodeError::kTruncated;
  if (sets != 1) return DecodeError::kMalformed;
  if (count > kMaxParameters) return DecodeError::kLimitExceeded;
  return ReadParameterBlock(capabilities, static_cast<size_t>(count), reader, attributes);
}

}  // namespace

std::string_view CommandName(uint8_t command_byte) {
  switch (static_cast<Command>(command_byte)) {
    case Command::kSleep:
      return "COM_SLEEP";
    case Command::kQuit:
      return "COM_QUIT";
    case Command::kInitDb:
      return "COM_INIT_DB";
    case Command::kQuery:
      return "COM_QUERY";
    case Command::kFieldList:
      return "COM_FIELD_LIST";
    case Command::kCreateDb:
      return "COM_CREATE_DB";
    case Command::kDropDb:
      return "COM_DROP_DB";
    case Command::kRefresh:
      return "COM_REFRESH";
    case Command::kShutdown:
      return "COM_SHUTDOWN";
    case Command::kStatistics:
      return "COM_STATISTICS";
    case Command::kProcessInfo:
      return "COM_PROCESS_INFO";
    case Command::kConnect:
      return "COM_CONNECT";
    case Command::kProcessKill:
      return "COM_PROCESS_KILL";
    case Command::kDebug:
      return "COM_DEBUG";
    case Command::kPing:
      return "COM_PING";
    case Command::kTime:
      return "COM_TIME";
    case Command::kDelayedInsert:
      return "COM_DELAYED_INSERT";
    case Command::kChangeUser:
      return "COM_CHANGE_USER";
    case Command::kBinlogDump:
      return "COM_BINLOG_DUMP";
    case Command::kTableDump:
      return "COM_TABLE_DUMP";
    case Command::kConnectOut:
      return "COM_CONNECT_OUT";
    case Command::kRegisterReplica:
      return "COM_REGISTER_REPLICA";
    case Command::kStmtPrepare:
      return "COM_STMT_PREPARE";
    case Command::kStmtExecute:
      return "COM_STMT_EXECUTE";
    case Command::kStmtSendLongData:
      return "COM_STMT_SEND_LONG_DATA";
    case Command::kStmtClose:
      return "COM_STMT_CLOSE";
    case Command::kStmtReset:
      return "COM_STMT_RESET";
    case Command::kSetOption:
      return "COM_SET_OPTION";
    case Command::kStmtFetch:
      return "COM_STMT_FETCH";
    case Command::kDaemon:
      return "COM_DAEMON";
    case Command::kBinlogDumpGtid:
      return "COM_BINLOG_DUMP_GTID";
    case Command::kResetConnection:
      return "COM_RESET_CONNECTION";
    case Command::kClone:
      return "COM_CLONE";
    case Command::kSubscribeGroupReplicationStream:
      return "COM_SUBSCRIBE_GROUP_REPLICATION_STREAM";
    case Command::kMariadbStmtBulkExecute:
      return "COM_STMT_BULK_EXECUTE";
    case Command::kMariadbReserved1:
      return "COM_RESERVED_1";
  }
  return {};
}

DecodeError DecodeQuery(std::span<const uint8_t> payload, Capabilities capabilities,
                        QueryCommand* out) {
  ByteReader reader(payload);
  const DecodeError error = ReadQueryPrefix(capabilities, &reader, &out->attributes);
  if (error != DecodeError::kNone) return error;
  out->sql_offset = reader.offset();
  out->sql = reader.ReadRest();
  return DecodeError::kNone;
}

DecodeError FindQueryText(std::span<const uint8_t> payload, Capabilities capabilities,
                          size_t* sql_offset) {
  ByteReader reader(payload);
  const DecodeError error = ReadQueryPrefix(capabilities, &reader, nullptr);
  *sql_offset = reader.offset();
  return error;
}

void EncodeQuery(std::string_view sql, Capabilities capabilities, ByteWriter* writer) {
  EncodeQueryPrefix(capabilities, writer);
  writer->WriteText(sql);
}

void EncodeQueryPrefix(Capabilities capabilities, ByteWriter* writer) {
  EncodeBareCommand(Command::kQuery, writer);
  if ((capabilities & kClientQueryAttributes) == 0) return;
  writer->WriteU8(0);  // attributes
  writer->WriteU8(1);  // sets of them
}

DecodeError DecodeStatementPrepare(std::span<const uint8_t> payload, std::string_view* sql) {
  return DecodeRestOf(Command::kStmtPrepare, payload, sql);
}

void EncodeStatementPrepare(std::string_view sql, ByteWriter* writer) {
  EncodeBareCommand(Command::kStmtPrepare, writer);
  writer->WriteText(sql);
}

DecodeError DecodeStatementFetch(std::span<const uint8_t> payload, StatementFetch* out) {
  ByteReader reader(payload);
  if (const DecodeError error = Expect(Command::kStmtFetch, &reader); error != DecodeError::kNone) {
    return error;
  }
  out->statement_id = reader.ReadU32();
  out->rows = reader.ReadU32();
  return Result(reader);
}

void EncodeStatementFetch(const StatementFetch& fetch, ByteWriter* writer) {
  EncodeU32Of(Command::kStmtFetch, fetch.statement_id, writer);
  writer->WriteU32(fetch.rows);
}

DecodeError DecodeStatementClose(std::span<const uint8_t> payload, uint32_t* statement_id) {
  return DecodeU32Of(Command::kStmtClose, payload, statement_id);
}

void EncodeStatementClose(uint32_t statement_id, ByteWriter* writer) {
  EncodeU32Of(Command::kStmtClose, statement_id, writer);
}

DecodeError DecodeStatementReset(std::span<const uint8_t> payload, uint32_t* statement_id) {
  return DecodeU32Of(Command::kStmtReset, payload, statement_id);
}

void EncodeStatementReset(uint32_t statement_id, ByteWriter* writer) {
  EncodeU32Of(Command::kStmtReset, statement_id, writer);
}

DecodeError DecodeStatementSendLongData(std::span<const uint8_t> payload,
                                        StatementSendLongData* out) {
  ByteReader reader(payload);
  if (const DecodeError error = Expect(Command::kStmtSendLongData, &reader);
      error != DecodeError::kNone) {
    return error;
  }
  out->statement_id = reader.ReadU32();
  out->parameter = reader.ReadU16();
  out->data = reader.ReadRest();
  return Result(reader);
}

void EncodeStatementSendLongData(const StatementSendLongData& long_data, ByteWriter* writer) {
  EncodeU32Of(Command::kStmtSendLongData, long_data.statement_id, writer);
  writer->WriteU16(long_data.parameter);
  writer->WriteText(long_data.data);
}

DecodeError DecodeInitDb(std::span<const uint8_t> payload, std::string_view* schema) {
  return DecodeRestOf(Command::kInitDb, payload, schema);
}

void EncodeInitDb(std::string_view schema, ByteWriter* writer) {
  EncodeBareCommand(Command::kInitDb, writer);
  writer->WriteText(schema);
}

DecodeError DecodeFieldList(std::span<const uint8_t> payload, FieldListCommand* out) {
  ByteReader reader(payload);
  if (const DecodeError error = Expect(Command::kFieldList, &reader); error != DecodeError::kNone) {
    return error;
  }
  out->table = reader.ReadNullTerminated();
  out->wildcard = reader.ReadRest();
  return Result(reader);
}

void EncodeFieldList(const FieldListCommand& field_list, ByteWriter* writer) {
  EncodeBareCommand(Command::kFieldList, writer);
  writer->WriteNullTerminated(field_list.table);
  writer->WriteText(field_list.wildcard);
}

DecodeError DecodeProcessKill(std::span<const uint8_t> payload, uint32_t* connection_id) {
  return DecodeU32Of(Command::kProcessKill, payload, connection_id);
}

void EncodeProcessKill(uint32_t connection_id, ByteWriter* writer) {
  EncodeU32Of(Command::kProcessKill, connection_id, writer);
}

DecodeError DecodeSetOption(std::span<const uint8_t> payload, SetOption* out) {
  ByteReader reader(payload);
  if (const DecodeError error = Expect(Command::kSetOption, &reader); error != DecodeError::kNone) {
    return error;
  }
  const uint16_t option = reader.ReadU16();
  if (!reader.ok()) return DecodeError::kTruncated;
  if (option > static_cast<uint16_t>(SetOption::kMultiStatementsOff)) {
    return DecodeError::kMalformed;
  }
  *out = static_cast<SetOption>(option);
  return DecodeError::kNone;
}

void EncodeSetOption(SetOption option, ByteWriter* writer) {
  EncodeBareCommand(Command::kSetOption, writer);
  writer->WriteU16(static_cast<uint16_t>(option));
}

DecodeError DecodeChangeUser(std::span<const uint8_t> payload, Capabilities capabilities,
                             ChangeUserCommand* out) {
  *out = ChangeUserCommand{};
  ByteReader reader(payload);
  if (const DecodeError error = Expect(Command::kChangeUser, &reader);
      error != DecodeError::kNone) {
    return error;
  }
  out->user = reader.ReadNullTerminated();
  out->auth_response = (capabilities & kClientSecureConnection) != 0
                           ? reader.ReadFixed(reader.ReadU8())
                           : reader.ReadNullTerminated();
  out->database = reader.ReadNullTerminatedOrRest();
  if (!reader.ok()) return DecodeError::kTruncated;
  if (reader.AtEnd()) return DecodeError::kNone;
  out->has_collation = true;
  out->collation = reader.ReadU16();
  if ((capabilities & kClientPluginAuth) != 0) out->auth_plugin = reader.ReadNullTerminatedOrRest();
  if ((capabilities & kClientConnectAttrs) != 0 && reader.ok() && !reader.AtEnd()) {
    out->connection_attributes = reader.ReadLenencString();
    if (out->connection_attributes.size() > kMaxAttributesSize) return DecodeError::kLimitExceeded;
  }
  return Result(reader);
}

DecodeError EncodeChangeUser(const ChangeUserCommand& change_user, Capabilities capabilities,
                             ByteWriter* writer) {
  const bool one_byte = (capabilities & kClientSecureConnection) != 0;
  if (one_byte && change_user.auth_response.size() > 255) return DecodeError::kMalformed;
  EncodeBareCommand(Command::kChangeUser, writer);
  writer->WriteNullTerminated(change_user.user);
  if (one_byte) {
    writer->WriteU8(static_cast<uint8_t>(change_user.auth_response.size()));
    writer->WriteText(change_user.auth_response);
  } else {
    writer->WriteNullTerminated(change_user.auth_response);
  }
  writer->WriteNullTerminated(change_user.database);
  if (!change_user.has_collation) return DecodeError::kNone;
  writer->WriteU16(change_user.collation);
  if ((capabilities & kClientPluginAuth) != 0) writer->WriteNullTerminated(change_user.auth_plugin);
  if ((capabilities & kClientConnectAttrs) != 0) {
    writer->WriteLenencString(change_user.connection_attributes);
  }
  return DecodeError::kNone;
}

}  // namespace bulkhead::wire
