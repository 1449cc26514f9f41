// How a stream runs its filters, with filters made for it. TLS and compression have tests of their
// own.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proxy/io/stream.h"
#include "tests/io/loop_fixture.h"

namespace bulkhead::io {
namespace {

using StreamFilterTest = LoopTest;

// A filter that says what was asked of it, and shifts each byte on its way down.
class ShiftFilter : public StreamFilter {
 public:
  bool Start(FilterSink* sink) override {
    if (!hello.empty()) sink->Down(AsBytes(hello));
    return !fail_start;
  }
  bool Decode(std::span<uint8_t> bytes, FilterSink* sink) override {
    if (fail_decode) return false;
    for (uint8_t& byte : bytes) --byte;
    sink->Up(bytes);
    return true;
  }
  bool Encode(std::span<const uint8_t> bytes, FilterSink* sink) override {
    if (fail_encode) return false;
    std::vector<uint8_t> shifted(bytes.begin(), bytes.end());
    for (uint8_t& byte : shifted) ++byte;
    sink->Down(shifted);
    return true;
  }
  void Finish(FilterSink* sink) override { sink->Down(AsBytes(goodbye)); }
  std::string error() const override { return "shifted too far"; }

  std::string hello;
  std::string goodbye;
  bool fail_start = false;
  bool fail_decode = false;
  bool fail_encode = false;
};

// Blows each byte up to a thousand, a hundred at a time, and waits while the handler does not read.
class BlowUpFilter : public StreamFilter {
 public:
  bool Decode(std::span<uint8_t> bytes, FilterSink* sink) override {
    left_ += bytes.size() * 10;
    return Continue(sink);
  }
  bool Continue(FilterSink* sink) override {
    while (left_ > 0 && !sink->paused()) {
      --left_;
      std::vector<uint8_t> piece(100, 'x');
      sink->Up(piece);
    }
    return true;
  }
  bool holds_input() const override { return left_ > 0; }
  bool Encode(std::span<const uint8_t>, FilterSink*) override { return true; }
  std::string error() const override { return {}; }

 private:
  size_t left_ = 0;
};

TEST_F(StreamFilterTest, FiltersTransformBothWaysAndSayGoodbye) {
  Recorder a, b;
  ConnectStreams(&a, &b);
  auto filter = std::make_unique<ShiftFilter>();
  filter->hello = "<";
  filter->goodbye = ">";
  ASSERT_TRUE(a.stream->PushFilter(std::move(filter)));
  a.stream->Write(AsBytes("HAL"));
  ASSERT_TRUE(RunUntil([&] { return b.received == "<IBM"; }));
  b.stream->Write(AsBytes("IBM"));
  ASSERT_TRUE(RunUntil([&] { return a.received == "HAL"; }));
  a.stream.reset();
  ASSERT_TRUE(RunUntil([&] { return b.ends > 0; }));
  EXPECT_EQ(b.received, "<IBM>");
}

TEST_F(StreamFilterTest, TwoFiltersStackWithTheFirstNearestToTheSocket) {
  Recorder a, b;
  ConnectStreams(&a, &b);
  ASSERT_TRUE(a.stream->PushFilter(std::make_unique<ShiftFilter>()));
  ASSERT_TRUE(a.stream->PushFilter(std::make_unique<ShiftFilter>()));
  a.stream->Write(AsBytes("AB"));
  ASSERT_TRUE(RunUntil([&] { return b.received == "CD"; }));
  b.stream->Write(AsBytes("CD"));
  ASSERT_TRUE(RunUntil([&] { return a.received == "AB"; }));
}

TEST_F(StreamFilterTest, ReinjectedBytesGoThroughTheNewFilterOnly) {
  Recorder a, b;
  ConnectStreams(&a, &b);
  ASSERT_TRUE(a.stream->PushFilter(std::make_unique<ShiftFilter>()));
  std::string seen;
  a.on_bytes = [&](std::span<uint8_t> bytes) {
    a.on_bytes = nullptr;
    a.received.clear();
    ASSERT_TRUE(a.stream->PushFilter(std::make_unique<ShiftFilter>()));
    a.stream->Reinject(bytes.subspan(2));
  };
  b.stream->Write(AsBytes("!!CD"));
  ASSERT_TRUE(RunUntil([&] { return !a.received.empty(); }));
  EXPECT_EQ(a.received, "AB");
}

TEST_F(StreamFilterTest, AFilterThatCannotDecodeEndsTheStream) {
  Recorder a, b;
  ConnectStreams(&a, &b);
  auto filter = std::make_unique<ShiftFilter>();
  filter->fail_decode = true;
  ASSERT_TRUE(a.stream->PushFilter(std::move(filter)));
  b.stream->Write(AsBytes("x"));
  ASSERT_TRUE(RunUntil([&] { return a.ends > 0; }));
  EXPECT_EQ(a.end.kind, StreamEnd::Kind::kFilterError);
  EXPECT_EQ(a.end.detail, "shifted too far");
}

TEST_F(StreamFilterTest, AFilterThatCannotEncodeEndsTheStreamFromTheLoop) {
  for (const bool paused : {false, true}) {
    Recorder a, b;
    ConnectStreams(&a, &b);
    if (paused) a.stream->PauseReading();
    auto filter = std::make_unique<ShiftFilter>();
    filter->fail_encode = true;
    ASSERT_TRUE(a.stream->PushFilter(std::move(filter)));
    a.stream->Write(AsBytes("x"));
    EXPECT_EQ(a.ends, 0);
    ASSERT_TRUE(RunUntil([&] { return a.ends > 0; }));
    EXPECT_EQ(a.end.kind, StreamEnd::Kind::kFilterError);
    EXPECT_EQ(a.end.detail, "shifted too far");
  }
}

TEST_F(StreamFilterTest, AFilterThatMakesManyOfFewWaitsForItsHandler) {
  Recorder a, b;
  ConnectStreams(&a, &b);
  ASSERT_TRUE(a.stream->PushFilter(std::make_unique<BlowUpFilter>()));
  a.on_bytes = [&](std::span<uint8_t>) {
    if (a.received.size() % 5'000 == 0) a.stream->PauseReading();
  };
  b.stream->Write(AsBytes(std::string(20, 'b')));
  ASSERT_TRUE(RunUntil([&] { return a.received.size() >= 5'000; }));
  Settle();
  ASSERT_EQ(a.received.size(), 5'000U);
  b.stream->Write(AsBytes(std::string(20, 'b')));  // must wait behind what is kept
  Settle();
  size_t expected = 5'000;
  while (expected < 40'000) {
    a.stream->ResumeReading();
    EXPECT_EQ(a.received.size(), expected);  // never from within ResumeReading
    expected += 5'000;
    ASSERT_TRUE(RunUntil([&] { return a.received.size() >= expected; }));
    Settle();
    ASSERT_EQ(a.received.size(), expected);
  }
  b.stream.reset();
  a.stream->ResumeReading();
  ASSERT_TRUE(RunUntil([&] { return a.ends > 0; }));
  EXPECT_EQ(a.received.size(), 40'000U);
}

TEST_F(StreamFilterTest, AStreamDroppedWhileItsFilterHoldsInputIsGone) {
  Recorder a, b;
  ConnectStreams(&a, &b);
  ASSERT_TRUE(a.stream->PushFilter(std::make_unique<BlowUpFilter>()));
  a.on_bytes = [&](std::span<uint8_t>) { a.stream->PauseReading(); };
  b.stream->Write(AsBytes("b"));
  ASSERT_TRUE(RunUntil([&] { return a.reads == 1; }));
  a.stream->ResumeReading();
  a.stream.reset();
  Settle();
  EXPECT_EQ(a.reads, 1);
}

}  // namespace
}  // namespace bulkhead::io
