#include "proxy/io/listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "tests/io/loop_fixture.h"

namespace bulkhead::io {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ListenerTest : public LoopTest {
 protected:
  void SetUp() override {
    directory_ =
        std::filesystem::temp_directory_path() / ("listener_test." + std::to_string(getpid()));
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override {
    for (const int fd : accepted_) close(fd);
    for (const int fd : clients_) close(fd);
    std::filesystem::remove_all(directory_);
  }

  std::string path() const { return directory_ / "socket"; }

  std::unique_ptr<Listener> Listen(const SocketAddress& address, ListenerOptions options = {}) {
    return Listener::Listen(
        &loop_, address, options,
        [this](int fd, const SocketAddress& peer) {
          accepted_.push_back(fd);
          peers_.push_back(peer);
          if (on_accept_) on_accept_();
        },
        [this](const std::string& what, uint64_t times) {
          ++troubles_;
          trouble_times_ += times;
          trouble_ = what;
        },
        &error_);
  }

  int Connect(const SocketAddress& address) {
    const int fd = socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_GE(fd, 0);
    EXPECT_EQ(connect(fd, address.get(), address.length), 0) << strerror(errno);
    clients_.push_back(fd);
    return fd;
  }

  std::filesystem::path directory_;
  std::vector<int> accepted_;
  std::vector<int> clients_;
  std::vector<SocketAddress> peers_;
  std::function<void()> on_accept_;
  std::string error_;
  int troubles_ = 0;
  uint64_t trouble_times_ = 0;
  std::string trouble_;
};

TEST_F(ListenerTest, AcceptsOnAPortOfTheKernelsChoice) {
  auto listener = Listen(*SocketAddress::FromNumeric("127.0.0.1", 0));
  ASSERT_NE(listener, nullptr) << error_;
  EXPECT_NE(listener->address().port(), 0);
  Connect(listener->address());
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 1; }));
  EXPECT_EQ(peers_[0].HostText(), "127.0.0.1");
  SocketAddress client;
  client.length = sizeof client.storage;
  ASSERT_EQ(getsockname(clients_[0], reinterpret_cast<sockaddr*>(&client.storage), &client.length),
            0);
  EXPECT_EQ(peers_[0].ToText(), client.ToText());
  EXPECT_NE(fcntl(accepted_[0], F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(accepted_[0], F_GETFD) & FD_CLOEXEC, 0);
}

TEST_F(ListenerTest, TheWildcardTakesBothFamilies) {
  auto listener = Listen(*SocketAddress::FromNumeric("*", 0));
  if (listener == nullptr) GTEST_SKIP() << "no IPv6 here: " << error_;
  Connect(*SocketAddress::FromNumeric("127.0.0.1", listener->address().port()));
  Connect(*SocketAddress::FromNumeric("::1", listener->address().port()));
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 2; }));
  EXPECT_THAT((std::vector<std::string>{peers_[0].HostText(), peers_[1].HostText()}),
              testing::UnorderedElementsAre("127.0.0.1", "::1"));
}

TEST_F(ListenerTest, WorkersShareAPort) {
  auto first = Listen(*SocketAddress::FromNumeric("127.0.0.1", 0));
  ASSERT_NE(first, nullptr) << error_;
  auto second = Listen(first->address());
  ASSERT_NE(second, nullptr) << error_;
  auto third = Listen(first->address(), {.reuse_port = false});
  EXPECT_EQ(third, nullptr);
  EXPECT_THAT(error_, AllOf(HasSubstr(first->address().ToText()), HasSubstr("in use")));
  for (int i = 0; i < 50; ++i) Connect(first->address());
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 50; }));
}

TEST_F(ListenerTest, SaysWhichAddressIsNotOurs) {
  EXPECT_EQ(Listen(*SocketAddress::FromNumeric("192.0.2.1", 4000)), nullptr);
  EXPECT_THAT(error_, AllOf(HasSubstr("192.0.2.1:4000"), HasSubstr("Cannot assign")));
}

TEST_F(ListenerTest, TakesFewConnectionsPerTurnAndAllInTheEnd) {
  auto listener = Listen(*SocketAddress::FromNumeric("127.0.0.1", 0), {.accepts_per_turn = 3});
  ASSERT_NE(listener, nullptr) << error_;
  for (int i = 0; i < 20; ++i) Connect(listener->address());
  uv_run(loop_.uv(), UV_RUN_NOWAIT);
  EXPECT_EQ(accepted_.size(), 3U);
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 20; }));
}

TEST_F(ListenerTest, PausedConnectionsWait) {
  auto listener = Listen(*SocketAddress::FromNumeric("127.0.0.1", 0));
  ASSERT_NE(listener, nullptr) << error_;
  on_accept_ = [&] { listener->Pause(); };
  for (int i = 0; i < 3; ++i) Connect(listener->address());
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 1; }));
  Settle();
  EXPECT_EQ(accepted_.size(), 1U);
  on_accept_ = nullptr;
  listener->Resume();
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 3; }));
}

TEST_F(ListenerTest, CanBeDroppedInsideItsCallback) {
  auto listener = Listen(*SocketAddress::FromNumeric("127.0.0.1", 0));
  ASSERT_NE(listener, nullptr) << error_;
  on_accept_ = [&] { listener.reset(); };
  for (int i = 0; i < 3; ++i) Connect(listener->address());
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 1; }));
  Settle();
  EXPECT_EQ(accepted_.size(), 1U);
}

TEST_F(ListenerTest, ClosesConnectionsItHasNoDescriptorFor) {
  // Nothing of the fixture is used while there is no descriptor: the sanitizer that checks its type
  // needs one.
  std::vector<int> accepted;
  int troubles = 0;
  std::string trouble;
  auto listener = Listener::Listen(
      &loop_, *SocketAddress::FromNumeric("127.0.0.1", 0), {},
      [&](int fd, const SocketAddress&) { accepted.push_back(fd); },
      [&](const std::string& what, uint64_t) {
        ++troubles;
        trouble = what;
      },
      &error_);
  ASSERT_NE(listener, nullptr) << error_;
  for (int i = 0; i < 5; ++i) Connect(listener->address());
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  // No descriptor above the ones that are open.
  rlimit tight = old;
  tight.rlim_cur = static_cast<rlim_t>(clients_.back()) + 1;
  uv_loop_t* const uv = loop_.uv();
  const std::vector<int> clients = clients_;
  std::vector<int> fillers;
  size_t closed = 0;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  for (int fd = open("/dev/null", O_RDONLY); fd >= 0; fd = open("/dev/null", O_RDONLY)) {
    fillers.push_back(fd);
  }
  for (int turn = 0; turn < 1000 && closed < clients.size(); ++turn) {
    uv_run(uv, UV_RUN_NOWAIT);
    char byte;
    closed = 0;
    for (const int fd : clients) closed += recv(fd, &byte, 1, MSG_DONTWAIT) == 0 ? 1 : 0;
  }
  for (const int fd : fillers) close(fd);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  EXPECT_EQ(closed, clients.size());
  EXPECT_TRUE(accepted.empty());
  EXPECT_EQ(troubles, 1);  // told once a second at most
  EXPECT_THAT(trouble, HasSubstr("Too many open files"));
  Connect(listener->address());
  ASSERT_TRUE(RunUntil([&] { return accepted.size() == 1; }));
  close(accepted[0]);
}

TEST_F(ListenerTest, ListensOnAUnixSocket) {
  auto listener = Listen(*SocketAddress::FromUnixPath(path()), {.unix_mode = 0750});
  ASSERT_NE(listener, nullptr) << error_;
  struct stat file {};
  ASSERT_EQ(stat(path().c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777U, 0750U);
  Connect(listener->address());
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 1; }));
  EXPECT_TRUE(peers_[0].is_unix());
  EXPECT_EQ(peers_[0].HostText(), "");
  listener.reset();
  EXPECT_NE(stat(path().c_str(), &file), 0);
}

TEST_F(ListenerTest, ReplacesASocketFileThatNobodyAnswersOn) {
  const SocketAddress address = *SocketAddress::FromUnixPath(path());
  const int stale = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(stale, address.get(), address.length), 0);
  close(stale);
  auto listener = Listen(address);
  ASSERT_NE(listener, nullptr) << error_;
  Connect(address);
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 1; }));
}

TEST_F(ListenerTest, LeavesASocketAloneThatSomebodyAnswersOn) {
  const SocketAddress address = *SocketAddress::FromUnixPath(path());
  const int other = socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(bind(other, address.get(), address.length), 0);
  ASSERT_EQ(listen(other, 5), 0);
  EXPECT_EQ(Listen(address), nullptr);
  EXPECT_THAT(error_, AllOf(HasSubstr(path()), HasSubstr("in use")));
  EXPECT_TRUE(std::filesystem::exists(path()));
  close(other);
}

TEST_F(ListenerTest, LeavesAFileAloneThatIsNoSocket) {
  std::ofstream(path()) << "precious";
  EXPECT_EQ(Listen(*SocketAddress::FromUnixPath(path())), nullptr);
  EXPECT_THAT(error_, AllOf(HasSubstr(path()), HasSubstr("taken by a file")));
  EXPECT_TRUE(std::filesystem::exists(path()));
}

TEST_F(ListenerTest, LeavesThePathToItsSuccessor) {
  auto first = Listen(*SocketAddress::FromUnixPath(path()));
  ASSERT_NE(first, nullptr) << error_;
  ASSERT_EQ(unlink(path().c_str()), 0);
  auto second = Listen(*SocketAddress::FromUnixPath(path()));
  ASSERT_NE(second, nullptr) << error_;
  first.reset();
  EXPECT_TRUE(std::filesystem::exists(path()));
  Connect(second->address());
  ASSERT_TRUE(RunUntil([&] { return accepted_.size() == 1; }));
}

TEST_F(ListenerTest, SaysThatAUnixPathsDirectoryIsMissing) {
  EXPECT_EQ(Listen(*SocketAddress::FromUnixPath("/nonexistent/socket")), nullptr);
  EXPECT_THAT(error_, AllOf(HasSubstr("/nonexistent/socket"), HasSubstr("No such file")));
}

}  // namespace
}  // namespace bulkhead::io
