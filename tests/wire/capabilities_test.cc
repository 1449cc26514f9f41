#include "proxy/wire/capabilities.h"

#include <gtest/gtest.h>

namespace bulkhead::wire {
namespace {

TEST(CapabilitiesTest, EveryBitIsInExactlyOneGroup) {
  const Capabilities groups[] = {kResultShapeBits, kCommandShapeBits, kStatementMeaningBits,
                                 kConnectionOnlyBits};
  for (int bit = 0; bit < 64; ++bit) {
    int found = 0;
    for (const Capabilities group : groups) found += static_cast<int>(group >> bit & 1);
    EXPECT_EQ(found, CapabilityName(bit).empty() ? 0 : 1) << "bit " << bit;
  }
}

TEST(CapabilitiesTest, Names) {
  EXPECT_EQ(CapabilityName(9), "PROTOCOL_41");
  EXPECT_EQ(CapabilityName(36), "MARIADB_CACHE_METADATA");
  EXPECT_EQ(CapabilityName(-1), "");
  EXPECT_EQ(CapabilityName(64), "");
  EXPECT_EQ(CapabilitiesToString(kClientProtocol41 | kClientSsl | 1ull << 40),
            "PROTOCOL_41|SSL|bit40");
  EXPECT_EQ(CapabilitiesToString(0), "");
  EXPECT_EQ(ServerStatusToString(kStatusInTransaction | kStatusAutocommit | 4),
            "IN_TRANS|AUTOCOMMIT|bit2");
}

}  // namespace
}  // namespace bulkhead::wire
