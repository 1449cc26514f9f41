// Column counts, column definitions, extended metadata, prepare answers and text rows: decoded,
// encoded and decoded again they say the same.
#include <vector>

#include "proxy/wire/result_set.h"
#include "tests/fuzz/wire_fuzz_input.h"

namespace bulkhead::wire {
namespace {

constexpr DecodeError kNone = DecodeError::kNone;

void Count(const FuzzInput& input) {
  ColumnCount count;
  if (DecodeColumnCount(input.payload, input.capabilities, &count) != kNone) return;
  FUZZ_EXPECT(count.columns != 0 && count.columns <= 65535);
  const ByteBuffer bytes =
      FuzzEncode([&](ByteWriter* w) { EncodeColumnCount(count, input.capabilities, w); });
  ColumnCount again;
  FUZZ_EXPECT(DecodeColumnCount(bytes, input.capabilities, &again) == kNone);
  FUZZ_EXPECT(again.columns == count.columns && again.metadata_follows == count.metadata_follows);
}

void Definition(const FuzzInput& input) {
  ColumnDefinition column;
  if (DecodeColumnDefinition(input.payload, input.capabilities, &column) != kNone) return;
  const ByteBuffer bytes =
      FuzzEncode([&](ByteWriter* w) { EncodeColumnDefinition(column, input.capabilities, w); });
  ColumnDefinition again;
  FUZZ_EXPECT(DecodeColumnDefinition(bytes, input.capabilities, &again) == kNone);
  FUZZ_EXPECT(again.catalog == column.catalog && again.schema == column.schema);
  FUZZ_EXPECT(again.table == column.table && again.original_table == column.original_table);
  FUZZ_EXPECT(again.name == column.name && again.original_name == column.original_name);
  FUZZ_EXPECT(again.extended_metadata == column.extended_metadata);
  FUZZ_EXPECT(again.collation == column.collation && again.length == column.length);
  FUZZ_EXPECT(again.type == column.type && again.flags == column.flags);
  FUZZ_EXPECT(again.decimals == column.decimals && again.has_default == column.has_default);
  FUZZ_EXPECT(again.default_value == column.default_value);
}

void Prepare(const FuzzInput& input) {
  PrepareOk ok;
  if (DecodePrepareOk(input.payload, input.capabilities, &ok) != kNone) return;
  const ByteBuffer bytes =
      FuzzEncode([&](ByteWriter* w) { EncodePrepareOk(ok, input.capabilities, w); });
  PrepareOk again;
  FUZZ_EXPECT(DecodePrepareOk(bytes, input.capabilities, &again) == kNone);
  FUZZ_EXPECT(again.statement_id == ok.statement_id && again.columns == ok.columns);
  FUZZ_EXPECT(again.parameters == ok.parameters && again.warnings == ok.warnings);
  FUZZ_EXPECT(again.metadata_follows == ok.metadata_follows);
}

void Row(const FuzzInput& input) {
  std::vector<std::optional<std::string_view>> cells(input.message / 5);
  if (DecodeTextRow(input.payload, cells) != kNone) return;
  const ByteBuffer bytes = FuzzEncode([&](ByteWriter* w) { EncodeTextRow(cells, w); });
  std::vector<std::optional<std::string_view>> again(cells.size());
  FUZZ_EXPECT(DecodeTextRow(bytes, again) == kNone);
  FUZZ_EXPECT(again == cells);
}

}  // namespace
}  // namespace bulkhead::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulkhead::wire;  // NOLINT(google-build-using-namespace)
  FuzzInput input;
  if (!ReadFuzzInput(data, size, &input)) return 0;
  ExtendedMetadata extended;
  switch (input.message % 5) {
    case 0:
      Count(input);
      break;
    case 1:
      Definition(input);
      break;
    case 2:
      Prepare(input);
      break;
    case 3:
      Row(input);
      break;
    case 4:
      (void)DecodeExtendedMetadata(AsText(input.payload), &extended);
      break;
  }
  return 0;
}
