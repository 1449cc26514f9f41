#include "proxy/io/socket_address.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <string>

namespace bulkhead::io {
namespace {

TEST(SocketAddressTest, ParsesNumericAddresses) {
  const auto v4 = SocketAddress::FromNumeric("10.0.0.1", 3306);
  ASSERT_TRUE(v4.has_value());
  EXPECT_EQ(v4->family(), AF_INET);
  EXPECT_EQ(v4->length, sizeof(sockaddr_in));
  EXPECT_EQ(v4->ToText(), "10.0.0.1:3306");
  const auto v6 = SocketAddress::FromNumeric("fe80::1", 3306);
  ASSERT_TRUE(v6.has_value());
  EXPECT_EQ(v6->family(), AF_INET6);
  EXPECT_EQ(v6->port(), 3306);
  EXPECT_EQ(v6->ToText(), "[fe80::1]:3306");
  EXPECT_EQ(SocketAddress::FromNumeric("[::1]", 1)->ToText(), "[::1]:1");
  EXPECT_EQ(SocketAddress::FromNumeric("*", 3306)->ToText(), "[::]:3306");
  EXPECT_EQ(SocketAddress::FromNumeric("", 3306)->HostText(), "::");
  EXPECT_EQ(SocketAddress::FromNumeric("::ffff:10.0.0.1", 1)->HostText(), "10.0.0.1");
}

TEST(SocketAddressTest, RefusesWhatIsNotNumeric) {
  for (const char* host : {"localhost", "10.0.0", "10.0.0.256", "010.0.0.1", "1.2.3.4 ", "::g",
                           "[]", "[1.2.3.4]", "[::1", "/tmp/socket"}) {
    EXPECT_FALSE(SocketAddress::FromNumeric(host, 1).has_value()) << host;
  }
  EXPECT_FALSE(SocketAddress::FromNumeric(std::string("1.2.3.4\0x", 9), 1).has_value());
}

TEST(SocketAddressTest, SetsThePort) {
  auto address = *SocketAddress::FromNumeric("::1", 0);
  address.set_port(65535);
  EXPECT_EQ(address.port(), 65535);
}

TEST(SocketAddressTest, ParsesUnixPathsUpToTheirLimit) {
  const auto address = SocketAddress::FromUnixPath("/run/bulkhead.sock");
  ASSERT_TRUE(address.has_value());
  EXPECT_TRUE(address->is_unix());
  EXPECT_EQ(address->HostText(), "/run/bulkhead.sock");
  EXPECT_EQ(address->ToText(), "unix:/run/bulkhead.sock");
  EXPECT_EQ(address->port(), 0);
  EXPECT_EQ(SocketAddress::FromUnixPath(std::string(107, 'p'))->HostText(), std::string(107, 'p'));
  EXPECT_FALSE(SocketAddress::FromUnixPath(std::string(108, 'p')).has_value());
  EXPECT_FALSE(SocketAddress::FromUnixPath("").has_value());
  EXPECT_FALSE(SocketAddress::FromUnixPath(std::string("a\0b", 3)).has_value());
}

TEST(SocketAddressTest, AnUnnamedUnixSocketHasNoPath) {
  SocketAddress address;
  address.storage.ss_family = AF_UNIX;
  address.length = sizeof(sa_family_t);
  EXPECT_EQ(address.HostText(), "");
}

}  // namespace
}  // namespace bulkhead::io
