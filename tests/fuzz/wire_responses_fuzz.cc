// OK, EOF, ERR, progress reports, LOCAL INFILE requests, the end of a result set and session state:
// decoded, encoded and decoded again they say the same.
#include "proxy/wire/responses.h"
#include "proxy/wire/session_state.h"
#include "tests/fuzz/wire_fuzz_input.h"

namespace bulkhead::wire {
namespace {

constexpr DecodeError kNone = DecodeError::kNone;

void CheckSame(const OkPacket& a, const OkPacket& b) {
  const auto without_flag = [](ServerStatus status) {
    return static_cast<ServerStatus>(status & ~kStatusSessionStateChanged);
  };
  FUZZ_EXPECT(a.header == b.header);
  FUZZ_EXPECT(a.affected_rows == b.affected_rows);
  FUZZ_EXPECT(a.last_insert_id == b.last_insert_id);
  FUZZ_EXPECT(without_flag(a.status) == without_flag(b.status));
  FUZZ_EXPECT(a.warnings == b.warnings);
  FUZZ_EXPECT(a.info == b.info);
  FUZZ_EXPECT(a.session_state == b.session_state);
}

void WalkState(std::string_view state) {
  SessionStateReader reader(state);
  SessionStateChange change;
  size_t seen = 0;
  while (reader.Next(&change)) {
    FUZZ_EXPECT(++seen <= state.size());
    TransactionState transaction;
    (void)ParseTransactionState(change.value, &transaction);
  }
  FUZZ_EXPECT(!reader.Next(&change));
}

void Ok(const FuzzInput& input) {
  OkPacket ok;
  if (DecodeOk(input.payload, input.capabilities, &ok) != kNone) return;
  WalkState(ok.session_state);
  const ByteBuffer bytes = FuzzEncode([&](ByteWriter* w) { EncodeOk(ok, input.capabilities, w); });
  OkPacket again;
  FUZZ_EXPECT(DecodeOk(bytes, input.capabilities, &again) == kNone);
  CheckSame(ok, again);
}

void ResultEnd(const FuzzInput& input) {
  OkPacket end;
  if (DecodeResultEnd(input.payload, input.capabilities, &end) != kNone) return;
  const ByteBuffer bytes =
      FuzzEncode([&](ByteWriter* w) { EncodeResultEnd(end, input.capabilities, w); });
  OkPacket again;
  FUZZ_EXPECT(DecodeResultEnd(bytes, input.capabilities, &again) == kNone);
  CheckSame(end, again);
}

void Err(const FuzzInput& input) {
  ErrPacket err;
  if (DecodeErr(input.payload, &err) != kNone) return;
  FUZZ_EXPECT(err.sqlstate.empty() || err.sqlstate.size() == 5);
  const ByteBuffer bytes = FuzzEncode([&](ByteWriter* w) { EncodeErr(err, w); });
  ErrPacket again;
  FUZZ_EXPECT(DecodeErr(bytes, &again) == kNone);
  FUZZ_EXPECT(again.code == err.code);
  FUZZ_EXPECT(err.sqlstate.empty() ? again.sqlstate == "HY000" : again.sqlstate == err.sqlstate);
  FUZZ_EXPECT(err.message.starts_with(again.message));
}

void Progress(const FuzzInput& input) {
  ProgressReport report;
  if (DecodeProgressReport(input.payload, &report) != kNone) return;
  const ByteBuffer bytes = FuzzEncode([&](ByteWriter* w) { EncodeProgressReport(report, w); });
  ProgressReport again;
  FUZZ_EXPECT(DecodeProgressReport(bytes, &again) == kNone);
  FUZZ_EXPECT(again.stage == report.stage && again.max_stage == report.max_stage);
  FUZZ_EXPECT(again.progress == report.progress && again.info == report.info);
}

void LocalInfile(const FuzzInput& input) {
  std::string_view name;
  if (DecodeLocalInfileRequest(input.payload, &name) != kNone) return;
  const ByteBuffer bytes = FuzzEncode([&](ByteWriter* w) { EncodeLocalInfileRequest(name, w); });
  FUZZ_EXPECT(AsText(bytes) == AsText(input.payload));
}

}  // namespace
}  // namespace bulkhead::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulkhead::wire;  // NOLINT(google-build-using-namespace)
  FuzzInput input;
  if (!ReadFuzzInput(data, size, &input)) return 0;
  switch (input.message % 6) {
    case 0:
      Ok(input);
      break;
    case 1:
      ResultEnd(input);
      break;
    case 2:
      Err(input);
      break;
    case 3:
      Progress(input);
      break;
    case 4:
      LocalInfile(input);
      break;
    case 5:
      WalkState(AsText(input.payload));
      break;
  }
  return 0;
}
