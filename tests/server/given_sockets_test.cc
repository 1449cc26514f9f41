#include "proxy/given_sockets.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bulkhead {
namespace {

using Indexes = std::vector<std::vector<size_t>>;

io::SocketAddress At(const char* host, uint16_t port) {
  return *io::SocketAddress::FromNumeric(host, port);
}

GivenSocket Given(const char* name, const char* host, uint16_t port) {
  return {.fd = -1, .name = name, .address = At(host, port), .keep_file = true};
}

TEST(MatchSockets, TakesThemByAddressBeforeTheirNames) {
  const std::vector<WantedListener> wanted = {{"mysql", At("10.0.0.1", 3306)},
                                              {"mysql", At("10.0.0.1", 3307)},
                                              {"admin", At("127.0.0.1", 6032)}};
  EXPECT_EQ(MatchSockets(wanted, {Given("mysql", "10.0.0.1", 3307)}), (Indexes{{}, {0}, {}}));
  EXPECT_EQ(MatchSockets(wanted, {Given("mysql", "::", 3306), Given("x", "10.0.0.1", 3306)}),
            (Indexes{{1}, {0}, {}}));
  EXPECT_EQ(MatchSockets(wanted, {Given("x", "127.0.0.1", 6032), Given("x", "10.0.0.2", 3306)}),
            (Indexes{{}, {}, {0}}));
  EXPECT_EQ(MatchSockets(wanted, {Given("admin", "127.0.0.1", 1), Given("http", "127.0.0.1", 2)}),
            (Indexes{{}, {}, {0}}));
}

TEST(MatchSockets, KeepsSocketsOfOneAddressTogether) {
  const std::vector<WantedListener> wanted = {{"mysql", At("10.0.0.1", 3306)}};
  EXPECT_EQ(MatchSockets(wanted, {Given("a", "10.0.0.1", 3306), Given("mysql", "::", 3306),
                                  Given("b", "10.0.0.1", 3306)}),
            (Indexes{{0, 2}}));
}

int Listening(bool reuse_port) {
  io::SocketAddress address = At("127.0.0.1", 0);
  std::string error;
  const int fd = io::Listener::Bind(&address, {.reuse_port = reuse_port}, &error);
  EXPECT_GE(fd, 0) << error;
  return fd;
}

void CloseAll(const std::vector<std::vector<io::GivenListener>>& spread) {
  for (const auto& worker : spread) {
    for (const io::GivenListener& one : worker) close(one.fd);
  }
}

TEST(SpreadSockets, SharesOneThatCannotBeBoundTwice) {
  GivenSockets given;
  ASSERT_EQ(given.Add(Listening(false), "mysql", true), "");
  given.Match({{"mysql", At("10.0.0.1", 3306)}});
  EXPECT_EQ(given.Unused(), "");
  const auto spread = SpreadSockets(given.Take(0), 3);
  ASSERT_EQ(spread.size(), 3u);
  for (const auto& worker : spread) {
    ASSERT_EQ(worker.size(), 1u);
    EXPECT_TRUE(worker[0].shared);
  }
  CloseAll(spread);
}

TEST(SpreadSockets, BindsMoreAndLeavesNoneWithoutSomebodyWhoAccepts) {
  GivenSockets given;
  ASSERT_EQ(given.Add(Listening(true), "mysql", true), "");
  given.Match({{"mysql", At("10.0.0.1", 3306)}});
  const auto more = SpreadSockets(given.Take(0), 2);
  EXPECT_FALSE(more[0].at(0).shared);
  EXPECT_FALSE(more[1].at(0).shared);
  const std::vector<GivenSocket> two = {{.fd = more[0][0].fd, .name = "", .address = {}},
                                        {.fd = more[1][0].fd, .name = "", .address = {}}};
  const auto fewer = SpreadSockets(two, 1);
  EXPECT_EQ(fewer.at(0).size(), 2u);
  CloseAll(fewer);
}

TEST(GivenSockets, RefusesWhatDoesNotListen) {
  GivenSockets given;
  EXPECT_NE(given.Add(socket(AF_INET, SOCK_STREAM, 0), "mysql", true), "");
  EXPECT_NE(given.Add(open("/dev/null", O_RDONLY), "mysql", true), "");
}

}  // namespace
}  // namespace bulkhead
