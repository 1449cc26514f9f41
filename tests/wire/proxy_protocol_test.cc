#include "proxy/wire/proxy_protocol.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::wire {
namespace {

using namespace std::string_literals;

ProxyHeader Parse(std::string_view text) {
  return ParseProxyHeader({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

std::string V2(uint8_t version_command, uint8_t family, std::string_view block) {
  std::string header = "\r\n\r\n\0\r\nQUIT\n"s;
  header += static_cast<char>(version_command);
  header += static_cast<char>(family);
  header += static_cast<char>(block.size() >> 8);
  header += static_cast<char>(block.size());
  return header.append(block);
}

const std::string kV4Block = "\x0a\x01\x02\x03\x0a\x04\x05\x06\xc0\x00\x0c\xea"s;

// Whole, and with the client's first bytes behind it; each shorter piece needs more.
void ExpectDone(const std::string& header) {
  for (size_t cut = 0; cut < header.size(); ++cut) {
    EXPECT_EQ(Parse(header.substr(0, cut)).state, ProxyHeaderState::kNeedMore) << cut;
  }
  for (const char* behind : {"", "\x55", "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"}) {
    const ProxyHeader parsed = Parse(header + behind);
    EXPECT_EQ(parsed.state, ProxyHeaderState::kDone) << parsed.error;
    EXPECT_EQ(parsed.consumed, header.size());
  }
}

TEST(ProxyHeaderTest, ParsesVersion1) {
  const std::string v4 = "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n";
  ExpectDone(v4);
  ProxyHeader header = Parse(v4);
  EXPECT_TRUE(header.has_addresses);
  EXPECT_EQ(header.source.ToText(), "192.168.0.1");
  EXPECT_EQ(header.destination.ToText(), "192.168.0.11");
  EXPECT_EQ(header.source_port, 56324);
  EXPECT_EQ(header.destination_port, 443);

  const std::string v6 =
      "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 65535\r\n";
  ASSERT_EQ(v6.size(), 104U);
  ExpectDone(v6);
  header = Parse(v6);
  EXPECT_EQ(header.source.ToText(), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  EXPECT_EQ(header.source_port, 65535);
  EXPECT_EQ(Parse("PROXY TCP6 2001:DB8::1 ::1 0 1\r\n").source.ToText(), "2001:db8::1");
}

TEST(ProxyHeaderTest, Version1UnknownSpeaksForItself) {
  for (const std::string header : {"PROXY UNKNOWN\r\n", "PROXY UNKNOWN what ever\r\n",
                                   "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                                   "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"}) {
    ExpectDone(header);
    EXPECT_FALSE(Parse(header).has_addresses);
  }
}

TEST(ProxyHeaderTest, RefusesMalformedVersion1) {
  for (const std::string& line :
       std::vector<std::string>{"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\n",
                                "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\rx",
                                "PROXY TCP4 192.168.0.1\n 192.168.0.11 56324 443\r\n",
                                "PROXY TCP4  192.168.0.1 192.168.0.11 56324 443\r\n",
                                "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 \r\n",
                                "PROXY TCP4 192.168.0.1 192.168.0.11 56324\r\n",
                                "PROXY TCP4 192.168.0.1 192.168.0.11 56324 65536\r\n",
                                "PROXY TCP4 192.168.0.1 192.168.0.11 56324 0443\r\n",
                                "PROXY TCP4 192.168.0.1 192.168.0.11 56324 +443\r\n",
                                "PROXY TCP4 192.168.0.1 192.168.0.11 56324 -1\r\n",
                                "PROXY TCP4 192.168.0.1 192.168.0.11  443\r\n",
                                "PROXY TCP4 192.168.0.01 192.168.0.11 56324 443\r\n",
                                "PROXY TCP4 192.168.0.256 192.168.0.11 56324 443\r\n",
                                "PROXY TCP4 ::1 ::1 56324 443\r\n",
                                "PROXY TCP6 192.168.0.1 192.168.0.11 56324 443\r\n",
                                "PROXY UDP4 192.168.0.1 192.168.0.11 56324 443\r\n",
                                "PROXY UNKNOWNX\r\n",
                                "PROXY TCP4\r\n",
                                "PROXY \r\n",
                                "PROXY TCP4 192.168.0.1\0 192.168.0.11 56324 443\r\n"s,
                                "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\0\r\n"s}) {
    const ProxyHeader header = Parse(line);
    EXPECT_EQ(header.state, ProxyHeaderState::kError) << line;
    EXPECT_FALSE(header.error.empty());
  }
}

TEST(ProxyHeaderTest, BoundsVersion1) {
  const std::string start = "PROXY UNKNOWN ";
  // 107 with CRLF is the most.
  EXPECT_EQ(Parse(start + std::string(107 - 2 - start.size(), 'x') + "\r\n").state,
            ProxyHeaderState::kDone);
  EXPECT_EQ(Parse(start + std::string(107 - 1 - start.size(), 'x') + "\r\n").state,
            ProxyHeaderState::kError);
  EXPECT_EQ(Parse(start + std::string(106 - start.size(), 'x')).state, ProxyHeaderState::kNeedMore);
  EXPECT_EQ(Parse(start + std::string(107 - start.size(), 'x')).state, ProxyHeaderState::kError);
}

TEST(ProxyHeaderTest, ParsesVersion2) {
  const std::string v4 = V2(0x21, 0x11, kV4Block);
  ExpectDone(v4);
  ProxyHeader header = Parse(v4);
  EXPECT_TRUE(header.has_addresses);
  EXPECT_EQ(header.source.ToText(), "10.1.2.3");
  EXPECT_EQ(header.destination.ToText(), "10.4.5.6");
  EXPECT_EQ(header.source_port, 49152);
  EXPECT_EQ(header.destination_port, 3306);

  const std::string one = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"s;
  const std::string two = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"s;
  const std::string v6 = V2(0x21, 0x21, one + two + "\x00\x01\xff\xff"s);
  ExpectDone(v6);
  header = Parse(v6);
  EXPECT_TRUE(header.has_addresses);
  EXPECT_EQ(header.source.ToText(), "2001:db8::1");
  EXPECT_EQ(header.destination.ToText(), "2001:db8::2");
  EXPECT_EQ(header.source_port, 1);
  EXPECT_EQ(header.destination_port, 65535);
}

TEST(ProxyHeaderTest, SkipsWhatIsBehindTheAddresses) {
  const std::string header = V2(0x21, 0x11,
                                kV4Block +
                                    "\x04\x00\x03"
                                    "abc"s);
  ExpectDone(header);
  EXPECT_EQ(Parse(header).source.ToText(), "10.1.2.3");
}

TEST(ProxyHeaderTest, Version2WithoutAddressesSpeaksForItself) {
  for (const std::string& header :
       {V2(0x20, 0x00, ""), V2(0x20, 0x11, kV4Block), V2(0x20, 0xff, "anything"),
        V2(0x21, 0x00, ""), V2(0x21, 0x00, "ignored"), V2(0x21, 0x12, kV4Block),
        V2(0x21, 0x31, std::string(216, 'u'))}) {
    ExpectDone(header);
    EXPECT_FALSE(Parse(header).has_addresses);
  }
}

TEST(ProxyHeaderTest, RefusesMalformedVersion2) {
  for (const std::string& header :
       {V2(0x11, 0x11, kV4Block), V2(0x31, 0x11, kV4Block), V2(0x22, 0x11, kV4Block),
        V2(0x21, 0x41, kV4Block), V2(0x21, 0x13, kV4Block), V2(0x21, 0x11, kV4Block.substr(1)),
        V2(0x21, 0x21, kV4Block), V2(0x21, 0x11, std::string(kMaxProxyHeader - 15, 'x'))}) {
    EXPECT_EQ(Parse(header).state, ProxyHeaderState::kError);
  }
  // The longest that is taken, and no waiting for more than that.
  EXPECT_EQ(Parse(V2(0x21, 0x11, kV4Block + std::string(kMaxProxyHeader - 28, 'x'))).state,
            ProxyHeaderState::kDone);
  EXPECT_EQ(Parse(V2(0x21, 0x11, std::string(0xffff, 'x')).substr(0, 16)).state,
            ProxyHeaderState::kError);
}

TEST(ProxyHeaderTest, NothingElseIsTaken) {
  for (const std::string& bytes :
       {"GET / HTTP/1.1\r\n"s, "\x16\x03\x01\x02\x00"s, "PROXYTCP4"s, "PROXY\t"s, "proxy TCP4"s,
        "\r\n\r\n\r\n"s, "\x20\x00\x00\x01"s, "PA"s}) {
    EXPECT_EQ(Parse(bytes).state, ProxyHeaderState::kError) << bytes;
  }
}

TEST(IpAddressTest, KnowsBothFamilies) {
  EXPECT_TRUE(IpAddress::Parse("10.0.0.1")->is_v4());
  EXPECT_FALSE(IpAddress::Parse("::1")->is_v4());
  EXPECT_EQ(IpAddress::Parse("::ffff:10.0.0.1"), IpAddress::Parse("10.0.0.1"));
  EXPECT_EQ(IpAddress::Parse("2001:DB8:0::1")->ToText(), "2001:db8::1");
  for (const std::string& text :
       {""s, "10.0.0"s, "10.0.0.1 "s, "::1::"s, "localhost"s, "10.0.0.1\0"s}) {
    EXPECT_FALSE(IpAddress::Parse(text).has_value()) << text;
  }
}

TEST(NetworkListTest, ContainsWhatItsNetworksContain) {
  NetworkList list;
  EXPECT_TRUE(list.empty());
  EXPECT_FALSE(list.Contains("10.0.0.1"));
  ASSERT_TRUE(list.Add("10.1.0.0/16"));
  ASSERT_TRUE(list.Add("192.168.1.128/25"));
  ASSERT_TRUE(list.Add("203.0.113.7"));
  ASSERT_TRUE(list.Add("2001:db8:8000::/33"));
  ASSERT_TRUE(list.Add("::1"));
  EXPECT_FALSE(list.empty());
  for (const char* inside :
       {"10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3", "192.168.1.128", "192.168.1.255",
        "203.0.113.7", "2001:db8:8000::", "2001:db8:ffff::1", "::1"}) {
    EXPECT_TRUE(list.Contains(inside)) << inside;
  }
  for (const char* outside : {"10.0.255.255", "10.2.0.0", "192.168.1.127", "192.168.2.128",
                              "203.0.113.6", "203.0.113.8", "2001:db8:7fff::1", "2001:db9:8000::",
                              "::2", "::a01:203", "", "localhost", "/run/socket"}) {
    EXPECT_FALSE(list.Contains(outside)) << outside;
  }
}

TEST(NetworkListTest, TheWholeInternet) {
  NetworkList v4;
  ASSERT_TRUE(v4.Add("0.0.0.0/0"));
  EXPECT_TRUE(v4.Contains("255.1.2.3"));
  EXPECT_FALSE(v4.Contains("2001:db8::1"));
  NetworkList all;
  ASSERT_TRUE(all.Add("::/0"));
  EXPECT_TRUE(all.Contains("255.1.2.3"));
  EXPECT_TRUE(all.Contains("2001:db8::1"));
}

TEST(NetworkListTest, RefusesWhatIsNoNetwork) {
  NetworkList list;
  for (const char* cidr :
       {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/8/8",
        "10.0.0.0/8 ", "10.0.0.1/8", "::/129", "::1/64", "example.com", "10.0.0.0/255.0.0.0"}) {
    EXPECT_FALSE(list.Add(cidr)) << cidr;
  }
  EXPECT_TRUE(list.empty());
}

}  // namespace
}  // namespace bulkhead::wire
