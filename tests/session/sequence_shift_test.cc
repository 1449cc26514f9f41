#include "proxy/session/sequence_shift.h"

#include <gtest/gtest.h>

#include <vector>

namespace bulkhead::session {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes Frame(uint8_t sequence, size_t size) {
  Bytes frame{static_cast<uint8_t>(size), static_cast<uint8_t>(size >> 8), 0, sequence};
  frame.resize(frame.size() + size, 0xEE);
  return frame;
}

Bytes Answer(uint8_t first) {
  Bytes all;
  for (const size_t size : {size_t{5}, size_t{0}, size_t{300}, size_t{1}}) {
    const Bytes frame = Frame(first++, size);
    all.insert(all.end(), frame.begin(), frame.end());
  }
  return all;
}

TEST(SequenceShiftTest, RaisesEachFrameWhereverItIsCut) {
  const Bytes wanted = Answer(4);
  for (size_t cut = 0; cut <= wanted.size(); ++cut) {
    SequenceShift shift;
    for (int i = 0; i < 3; ++i) shift.Raise();
    Bytes bytes = Answer(1);
    shift.Apply(std::span(bytes).first(cut));
    shift.Apply(std::span(bytes).subspan(cut));
    ASSERT_EQ(bytes, wanted) << "cut at " << cut;
  }
}

TEST(SequenceShiftTest, WrapsAround) {
  SequenceShift shift;
  for (int i = 0; i < 200; ++i) shift.Raise();
  EXPECT_EQ(shift.by(), 200);
  Bytes bytes = Answer(100);
  shift.Apply(bytes);
  EXPECT_EQ(bytes, Answer(static_cast<uint8_t>(300)));
}

}  // namespace
}  // namespace bulkhead::session
