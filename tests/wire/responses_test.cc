// Golden bytes in this file: MariaDB 10.11.19 and MySQL 9.7.4, captured on a loopback connection.
#include "proxy/wire/responses.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/wire/session_state.h"
#include "tests/wire/wire_testing.h"

namespace bulkhead::wire {
namespace {

constexpr Capabilities kPlain = kClientProtocol41;
constexpr Capabilities kTracking = kClientProtocol41 | kClientSessionTrack;
constexpr Capabilities kModern = kTracking | kClientDeprecateEof;

TEST(OkPacketTest, MariadbLogin) {
  // The captured packet: header, no rows, no id, status 0x4002, no warnings, empty info, 7 bytes.
  const ByteBuffer payload = Hex("00000002400000000701020164020131");
  OkPacket ok;
  ASSERT_EQ(DecodeOk(payload, kModern, &ok), DecodeError::kNone);
  EXPECT_EQ(ok.header, kOkHeader);
  EXPECT_EQ(ok.affected_rows, 0u);
  EXPECT_EQ(ok.status, kStatusAutocommit | kStatusSessionStateChanged);
  EXPECT_EQ(ok.warnings, 0u);
  EXPECT_EQ(ok.info, "");
  EXPECT_EQ(ToHex(AsBytes(ok.session_state)), "01020164020131");
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeOk(ok, kModern, w); })), ToHex(payload));
}

TEST(OkPacketTest, InfoHasItsLengthAlsoWithoutSessionTrack) {
  const ByteBuffer payload =
      Hex("00020b02000000265265636f7264733a203220204475706c6963617465733a203020205761726e696e67733a"
          "2030");
  for (const Capabilities capabilities : {kPlain, kTracking}) {
    OkPacket ok;
    ASSERT_EQ(DecodeOk(payload, capabilities, &ok), DecodeError::kNone);
    EXPECT_EQ(ok.affected_rows, 2u);
    EXPECT_EQ(ok.last_insert_id, 11u);
    EXPECT_EQ(ok.info, "Records: 2  Duplicates: 0  Warnings: 0");
    EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeOk(ok, capabilities, w); })),
              ToHex(payload));
  }
}

TEST(OkPacketTest, InfoWithoutLengthIsTakenAsItIs) {
  OkPacket ok;
  const ByteBuffer payload = Hex("0000000200000061626364");
  ASSERT_EQ(DecodeOk(payload, kPlain, &ok), DecodeError::kNone);
  EXPECT_EQ(ok.info, "abcd");
}

TEST(OkPacketTest, MysqlInfoAndGtid) {
  const ByteBuffer payload = Hex(
      "00020302400000265265636f7264733a203220204475706c6963617465733a203020205761726e696e67733a2030"
      "3c00100c73746174656d656e745f69640233350328002661363365663532332d653661612d313166312d61653933"
      "2d3032666330303030303030313a37");
  OkPacket ok;
  ASSERT_EQ(DecodeOk(payload, kTracking, &ok), DecodeError::kNone);
  EXPECT_EQ(ok.info, "Records: 2  Duplicates: 0  Warnings: 0");
  EXPECT_EQ(ok.session_state.size(), 0x3Cu);
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeOk(ok, kTracking, w); })), ToHex(payload));
}

TEST(OkPacketTest, CutAtEveryByte) {
  const ByteBuffer payload = Hex("00000002400000000701020164020131");
  const auto decode = [](Capabilities capabilities) {
    return [=](std::span<const uint8_t> bytes) {
      OkPacket ok;
      return DecodeOk(bytes, capabilities, &ok);
    };
  };
  // Whole after the warnings, and after the info.
  ExpectCutsRefused(payload, decode(kTracking), {7, 8});
  // Without tracking, what follows the warnings is text of any size.
  ExpectCutsRefused(payload, decode(kPlain), {7, 8, 9, 10, 11, 12, 13, 14, 15});
}

TEST(OkPacketTest, LargeNumbers) {
  OkPacket ok;
  ok.affected_rows = 0x123456789A;
  ok.last_insert_id = ~uint64_t{0};
  ok.warnings = 65535;
  ok.status = kStatusInTransaction;
  const ByteBuffer payload = Encoded([&](ByteWriter* w) { EncodeOk(ok, kModern, w); });
  OkPacket again;
  ASSERT_EQ(DecodeOk(payload, kModern, &again), DecodeError::kNone);
  EXPECT_EQ(again.affected_rows, ok.affected_rows);
  EXPECT_EQ(again.last_insert_id, ok.last_insert_id);
  EXPECT_EQ(again.warnings, ok.warnings);
}

TEST(OkPacketTest, SessionStateIsLeftOutWhereItMayNotGo) {
  const ByteBuffer payload = Hex("00000002400000000701020164020131");
  OkPacket ok;
  ASSERT_EQ(DecodeOk(payload, kTracking, &ok), DecodeError::kNone);
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeOk(ok, kPlain, w); })), "00000002000000");
}

TEST(OkPacketTest, RefusesOtherPackets) {
  OkPacket ok;
  EXPECT_EQ(DecodeOk(Hex("ff0000"), kPlain, &ok), DecodeError::kUnexpectedType);
  EXPECT_EQ(DecodeOk(Hex("01000000000000"), kPlain, &ok), DecodeError::kUnexpectedType);
  EXPECT_EQ(DecodeOk(Hex("00000002000000"), 0, &ok), DecodeError::kUnsupported);
  EXPECT_EQ(DecodeOk({}, kPlain, &ok), DecodeError::kTruncated);
}

TEST(EofPacketTest, Golden) {
  EofPacket eof;
  ASSERT_EQ(DecodeEof(Hex("fe00000200"), kPlain, &eof), DecodeError::kNone);
  EXPECT_EQ(eof.warnings, 0u);
  EXPECT_EQ(eof.status, kStatusAutocommit);
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) {
              EncodeEof({3, kStatusAutocommit}, w);
            })),
            "fe03000200");
  ExpectCutsRefused(Hex("fe00000200"), [](std::span<const uint8_t> bytes) {
    EofPacket out;
    return DecodeEof(bytes, kPlain, &out);
  });
  EXPECT_EQ(DecodeEof(Hex("fe0000020000000000"), kPlain, &eof), DecodeError::kUnexpectedType);
}

TEST(ErrPacketTest, Golden) {
  const ByteBuffer payload =
      Hex("ff1e04233432533232556e6b6e6f776e20636f6c756d6e20276e6f737563682720696e202753454c454354"
          "27");
  ErrPacket err;
  ASSERT_EQ(DecodeErr(payload, &err), DecodeError::kNone);
  EXPECT_EQ(err.code, 1054u);
  EXPECT_EQ(err.sqlstate, "42S22");
  EXPECT_EQ(err.message, "Unknown column 'nosuch' in 'SELECT'");
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeErr(err, w); })), ToHex(payload));
  std::set<size_t> sizes;
  for (size_t size = 0; size < payload.size(); ++size) {
    ErrPacket out;
    const DecodeError error = DecodeErr(std::span(payload).first(size), &out);
    // Whole after the code, and everywhere in the message.
    const bool good = size == 3 || size >= 9;
    EXPECT_EQ(error == DecodeError::kNone, good) << size;
  }
}

TEST(ErrPacketTest, BeforeTheGreetingWithoutSqlstate) {
  const ByteBuffer payload =
      Encoded([](ByteWriter* w) { EncodeErrWithoutSqlstate(1040, "Too many connections", w); });
  ErrPacket err;
  ASSERT_EQ(DecodeErr(payload, &err), DecodeError::kNone);
  EXPECT_EQ(err.code, 1040u);
  EXPECT_EQ(err.sqlstate, "");
  EXPECT_EQ(err.message, "Too many connections");
}

TEST(ErrPacketTest, LongMessageIsCutBetweenCharacters) {
  std::string message(510, 'a');
  message += "\xC3\xA9 and more";  // é in bytes 510 and 511
  const ByteBuffer payload = Encoded([&](ByteWriter* w) {
    EncodeErr({1105, "HY000", message}, w);
  });
  EXPECT_EQ(payload.size(), 9u + 510);
  const ByteBuffer odd = Encoded([&](ByteWriter* w) { EncodeErr({1105, "?", "m"}, w); });
  ErrPacket err;
  ASSERT_EQ(DecodeErr(odd, &err), DecodeError::kNone);
  EXPECT_EQ(err.sqlstate, "HY000");
}

TEST(ProgressReportTest, Golden) {
  const ByteBuffer payload = Hex("ffffff01010257040011636f707920746f20746d70207461626c65");
  EXPECT_TRUE(IsErr(payload));
  EXPECT_TRUE(IsProgressReport(payload));
  ErrPacket err;
  EXPECT_EQ(DecodeErr(payload, &err), DecodeError::kUnexpectedType);
  ProgressReport report;
  ASSERT_EQ(DecodeProgressReport(payload, &report), DecodeError::kNone);
  EXPECT_EQ(report.stage, 1);
  EXPECT_EQ(report.max_stage, 2);
  EXPECT_EQ(report.progress, 0x457u);
  EXPECT_EQ(report.info, "copy to tmp table");
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeProgressReport(report, w); })),
            ToHex(payload));
  ExpectCutsRefused(payload, [](std::span<const uint8_t> bytes) {
    ProgressReport out;
    return DecodeProgressReport(bytes, &out);
  });
}

TEST(LocalInfileTest, Golden) {
  const ByteBuffer payload = Hex("fb662e747874");
  std::string_view name;
  ASSERT_EQ(DecodeLocalInfileRequest(payload, &name), DecodeError::kNone);
  EXPECT_EQ(name, "f.txt");
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeLocalInfileRequest(name, w); })),
            ToHex(payload));
  EXPECT_EQ(DecodeLocalInfileRequest({}, &name), DecodeError::kTruncated);
  EXPECT_EQ(DecodeLocalInfileRequest(Hex("00"), &name), DecodeError::kUnexpectedType);
}

TEST(ResultEndTest, BothForms) {
  OkPacket end;
  ASSERT_EQ(DecodeResultEnd(Hex("fe0100 0a00"), kPlain, &end), DecodeError::kNone);
  EXPECT_EQ(end.warnings, 1u);
  EXPECT_EQ(end.status, kStatusAutocommit | kStatusMoreResultsExist);
  // MariaDB 10.11: the end of rows with a transaction state in it.
  const ByteBuffer ok = Hex("fe000023600000000b050908545f525f5f5f535f");
  ASSERT_EQ(DecodeResultEnd(ok, kModern, &end), DecodeError::kNone);
  EXPECT_EQ(end.header, kEofHeader);
  EXPECT_EQ(end.status, kStatusInTransaction | kStatusAutocommit | kStatusNoIndexUsed |
                            kStatusInTransactionReadOnly | kStatusSessionStateChanged);
  EXPECT_FALSE(end.session_state.empty());
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeResultEnd(end, kModern, w); })), ToHex(ok));
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeResultEnd(end, kPlain, w); })), "fe00002320");
  EXPECT_EQ(DecodeResultEnd(Hex("00000002000000"), kModern, &end), DecodeError::kUnexpectedType);
}

TEST(ResultEndTest, ARowThatBeginsWith0xFEIsNoEnd) {
  EXPECT_TRUE(EndsRows(0xFE, 5, kPlain));
  EXPECT_FALSE(EndsRows(0xFE, 9, kPlain));
  EXPECT_TRUE(EndsRows(0xFE, 9, kModern));
  EXPECT_TRUE(EndsRows(0xFE, kMaxFramePayload - 1, kModern));
  EXPECT_FALSE(EndsRows(0xFE, kMaxFramePayload, kModern));
  EXPECT_FALSE(EndsRows(0x00, 7, kModern));
}

TEST(SessionStateTest, MariadbVariables) {
  // SET autocommit=0, sql_mode='ANSI_QUOTES', with the state change flag.
  OkPacket ok;
  const ByteBuffer payload =
      Hex("00000000c00000002b00150873716c5f6d6f64650b414e53495f51554f544553000f0a6175746f636f6d6d69"
          "74034f4646020131");
  ASSERT_EQ(DecodeOk(payload, kModern, &ok), DecodeError::kNone);
  SessionStateReader reader(ok.session_state);
  SessionStateChange change;
  ASSERT_TRUE(reader.Next(&change));
  EXPECT_TRUE(change.Is(SessionTrackType::kSystemVariables));
  EXPECT_EQ(change.name, "sql_mode");
  EXPECT_EQ(change.value, "ANSI_QUOTES");
  ASSERT_TRUE(reader.Next(&change));
  EXPECT_EQ(change.name, "autocommit");
  EXPECT_EQ(change.value, "OFF");
  ASSERT_TRUE(reader.Next(&change));
  EXPECT_TRUE(change.Is(SessionTrackType::kStateChange));
  EXPECT_EQ(change.value, "1");
  EXPECT_FALSE(reader.Next(&change));
  EXPECT_TRUE(reader.ok());
}

TEST(SessionStateTest, TransactionCharacteristicsAndState) {
  const ByteBuffer state =
      Hex("050908545f5f5f5f5f5f5f041d1c5354415254205452414e53414354494f4e2052454144204f4e4c593b");
  SessionStateReader reader(AsText(state));
  SessionStateChange change;
  ASSERT_TRUE(reader.Next(&change));
  EXPECT_TRUE(change.Is(SessionTrackType::kTransactionState));
  TransactionState transaction;
  ASSERT_TRUE(ParseTransactionState(change.value, &transaction));
  EXPECT_TRUE(transaction.explicit_transaction);
  EXPECT_FALSE(transaction.implicit_transaction);
  EXPECT_FALSE(transaction.wrote_transactional);
  ASSERT_TRUE(reader.Next(&change));
  EXPECT_TRUE(change.Is(SessionTrackType::kTransactionCharacteristics));
  EXPECT_EQ(change.value, "START TRANSACTION READ ONLY;");
  EXPECT_FALSE(reader.Next(&change));
  EXPECT_TRUE(reader.ok());
}

TEST(SessionStateTest, TransactionStateLetters) {
  TransactionState state;
  ASSERT_TRUE(ParseTransactionState("IrRwWsSL", &state));
  EXPECT_TRUE(state.implicit_transaction && state.read_nontransactional &&
              state.read_transactional && state.wrote_nontransactional &&
              state.wrote_transactional && state.unsafe_statement && state.sent_result_set &&
              state.locked_tables);
  EXPECT_FALSE(ParseTransactionState("IrRwWsS", &state));
  EXPECT_FALSE(ParseTransactionState("XrRwWsSL", &state));
  EXPECT_FALSE(ParseTransactionState("_R______", &state));
}

TEST(SessionStateTest, MysqlGtid) {
  const ByteBuffer state =
      Hex("0328002661363365663532332d653661612d313166312d616539332d3032666330303030303030313a37");
  SessionStateReader reader(AsText(state));
  SessionStateChange change;
  ASSERT_TRUE(reader.Next(&change));
  EXPECT_TRUE(change.Is(SessionTrackType::kGtids));
  EXPECT_EQ(change.gtid_encoding, 0);
  EXPECT_EQ(change.value, "a63ef523-e6aa-11f1-ae93-02fc00000001:7");
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeGtidsChange(change.value, w); })),
            ToHex(state));
}

TEST(SessionStateTest, EncodesWhatItReads) {
  const ByteBuffer state = Encoded([](ByteWriter* w) {
    EncodeSystemVariableChange("time_zone", "+01:00", w);
    EncodeSchemaChange("app", w);
    EncodeStateChangeFlag(true, w);
    EncodeTransactionChange(SessionTrackType::kTransactionState, "________", w);
    w->WriteU8(99);  // of a server to come
    w->WriteLenencString("??");
  });
  SessionStateReader reader(AsText(state));
  SessionStateChange change;
  ASSERT_TRUE(reader.Next(&change));
  EXPECT_EQ(change.name, "time_zone");
  EXPECT_EQ(change.value, "+01:00");
  ASSERT_TRUE(reader.Next(&change));
  EXPECT_TRUE(change.Is(SessionTrackType::kSchema));
  EXPECT_EQ(change.value, "app");
  ASSERT_TRUE(reader.Next(&change));
  EXPECT_EQ(change.value, "1");
  ASSERT_TRUE(reader.Next(&change));
  ASSERT_TRUE(reader.Next(&change));
  EXPECT_EQ(change.raw_type, 99);
  EXPECT_EQ(change.data, "??");
  EXPECT_FALSE(reader.Next(&change));
  EXPECT_TRUE(reader.ok());
}

TEST(SessionStateTest, CutAtEveryByte) {
  const ByteBuffer state =
      Hex("00150873716c5f6d6f64650b414e53495f51554f544553 020131 0106056d7973716c");
  const std::set<size_t> whole = {0, 23, 26};
  for (size_t size = 0; size < state.size(); ++size) {
    SessionStateReader reader(AsText(std::span(state).first(size)));
    SessionStateChange change;
    while (reader.Next(&change)) {
    }
    EXPECT_EQ(reader.ok(), whole.contains(size)) << size;
    EXPECT_FALSE(reader.Next(&change)) << "the end stays the end";
  }
}

TEST(SessionStateTest, InnerLengthBeyondItsChangeIsMalformed) {
  SessionStateChange change;
  SessionStateReader schema("\x01\x02\x05x");
  EXPECT_FALSE(schema.Next(&change));
  EXPECT_FALSE(schema.ok());
  SessionStateReader variable(
      std::string_view("\x00\x03\x01"
                       "a\x05",
                       5));
  EXPECT_FALSE(variable.Next(&change));
  EXPECT_FALSE(variable.ok());
}

}  // namespace
}  // namespace bulkhead::wire
