// Every command's decoder, by the payload's own first byte; what decodes is encoded and decoded
// again, executes are rebuilt with another id and other types.
#include <string>
#include <vector>

#include "proxy/wire/commands.h"
#include "proxy/wire/handshake_messages.h"
#include "tests/fuzz/wire_fuzz_input.h"

namespace bulkhead::wire {
namespace {

constexpr DecodeError kNone = DecodeError::kNone;

void Query(const FuzzInput& input) {
  QueryCommand query;
  size_t offset = 0;
  const DecodeError error = DecodeQuery(input.payload, input.capabilities, &query);
  FUZZ_EXPECT(FindQueryText(input.payload, input.capabilities, &offset) == error);
  if (error != kNone) return;
  FUZZ_EXPECT(offset == query.sql_offset && offset >= 1);
  FUZZ_EXPECT(AsText(input.payload).substr(offset) == query.sql);
  const ByteBuffer bytes =
      FuzzEncode([&](ByteWriter* w) { EncodeQuery(query.sql, input.capabilities, w); });
  QueryCommand again;
  FUZZ_EXPECT(DecodeQuery(bytes, input.capabilities, &again) == kNone);
  FUZZ_EXPECT(again.sql == query.sql && again.attributes.empty());
}

void Execute(const FuzzInput& input) {
  const size_t prepared = input.message % 20;
  StatementExecute execute;
  if (DecodeStatementExecute(input.payload, input.capabilities, prepared, &execute) != kNone) {
    return;
  }
  FUZZ_EXPECT(execute.parameter_count >= prepared);
  std::vector<ParameterType> types(execute.parameter_count);
  if (execute.types_bound) {
    FUZZ_EXPECT(DecodeParameterTypes(execute.types.Of(input.payload), input.capabilities,
                                     execute.parameter_count, &types) == kNone);
  }
  std::vector<Parameter> parameters;
  const auto long_data = [&](size_t i) { return i == input.message / 20u; };
  if (DecodeParameters(input.payload, execute, types, long_data, &parameters) == kNone) {
    FUZZ_EXPECT(parameters.size() == execute.parameter_count);
  }
  const std::string other_types(2 * prepared, '\x08');
  const ByteBuffer bytes = FuzzEncode([&](ByteWriter* w) {
    RebuildStatementExecute(input.payload, execute, 0x01020304, AsBytes(other_types), w);
  });
  const bool named = (input.capabilities & kClientQueryAttributes) != 0;
  if (!execute.types_bound && (named || execute.parameter_count != prepared)) return;
  StatementExecute again;
  FUZZ_EXPECT(DecodeStatementExecute(bytes, input.capabilities, prepared, &again) == kNone);
  FUZZ_EXPECT(again.statement_id == 0x01020304);
  FUZZ_EXPECT(again.flags == execute.flags && again.parameter_count == execute.parameter_count);
  FUZZ_EXPECT(AsText(again.values.Of(bytes)) == AsText(execute.values.Of(input.payload)));
  FUZZ_EXPECT(AsText(again.null_bitmap.Of(bytes)) == AsText(execute.null_bitmap.Of(input.payload)));
}

void Bulk(const FuzzInput& input) {
  BulkExecute bulk;
  if (DecodeBulkExecute(input.payload, input.message, &bulk) != kNone) return;
  const ByteBuffer bytes =
      FuzzEncode([&](ByteWriter* w) { RebuildBulkExecute(input.payload, bulk, 7, {}, w); });
  BulkExecute again;
  FUZZ_EXPECT(DecodeBulkExecute(bytes, input.message, &again) == kNone);
  FUZZ_EXPECT(again.statement_id == 7 && again.flags == bulk.flags);
  FUZZ_EXPECT(AsText(again.rows.Of(bytes)) == AsText(bulk.rows.Of(input.payload)));
}

void ChangeUser(const FuzzInput& input) {
  ChangeUserCommand command;
  if (DecodeChangeUser(input.payload, input.capabilities, &command) != kNone) return;
  std::vector<ConnectionAttribute> attributes;
  (void)DecodeConnectionAttributes(command.connection_attributes, &attributes);
  ByteBuffer bytes;
  ByteWriter writer(&bytes);
  FUZZ_EXPECT(EncodeChangeUser(command, input.capabilities, &writer) == kNone);
  ChangeUserCommand again;
  FUZZ_EXPECT(DecodeChangeUser(bytes, input.capabilities, &again) == kNone);
  FUZZ_EXPECT(again.user == command.user && again.auth_response == command.auth_response);
  FUZZ_EXPECT(again.database == command.database && again.collation == command.collation);
  FUZZ_EXPECT(again.auth_plugin == command.auth_plugin);
  FUZZ_EXPECT(again.connection_attributes == command.connection_attributes);
}

void Small(std::span<const uint8_t> payload) {
  uint32_t id;
  StatementFetch fetch;
  StatementSendLongData data;
  FieldListCommand field_list;
  SetOption option;
  std::string_view text;
  ByteBuffer again;
  ByteWriter writer(&again);
  if (DecodeStatementId(payload, &id) == kNone) {
    ByteBuffer patched(payload.begin(), payload.end());
    PatchStatementId(patched, ~id);
    uint32_t other;
    FUZZ_EXPECT(DecodeStatementId(patched, &other) == kNone && other == ~id);
  }
  if (DecodeStatementClose(payload, &id) == kNone) EncodeStatementClose(id, &writer);
  if (DecodeStatementReset(payload, &id) == kNone) EncodeStatementReset(id, &writer);
  if (DecodeProcessKill(payload, &id) == kNone) EncodeProcessKill(id, &writer);
  if (DecodeStatementFetch(payload, &fetch) == kNone) EncodeStatementFetch(fetch, &writer);
  if (DecodeStatementSendLongData(payload, &data) == kNone) {
    EncodeStatementSendLongData(data, &writer);
  }
  if (DecodeFieldList(payload, &field_list) == kNone) EncodeFieldList(field_list, &writer);
  if (DecodeSetOption(payload, &option) == kNone) EncodeSetOption(option, &writer);
  if (DecodeInitDb(payload, &text) == kNone) EncodeInitDb(text, &writer);
  if (DecodeStatementPrepare(payload, &text) == kNone) EncodeStatementPrepare(text, &writer);
  // What these decoders take is the payload's front, byte by byte.
  FUZZ_EXPECT(AsText(payload).starts_with(AsText(again)));
}

}  // namespace
}  // namespace bulkhead::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulkhead::wire;  // NOLINT(google-build-using-namespace)
  FuzzInput input;
  if (!ReadFuzzInput(data, size, &input)) return 0;
  Query(input);
  Execute(input);
  Bulk(input);
  ChangeUser(input);
  Small(input.payload);
  if (!input.payload.empty()) (void)CommandName(input.payload[0]);
  return 0;
}
