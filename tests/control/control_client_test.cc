// The control account's client against servers that refuse, or say nothing. (Real ones that freeze
// in mid-statement: tests/integration.)
#include "proxy/control/control_client.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

namespace bulkhead::control {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

// Accepts (the kernel does), and says nothing.
class SilentServer {
 public:
  SilentServer() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd_, 10), 0);
    socklen_t length = sizeof address;
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length), 0);
    port_ = ntohs(address.sin_port);
  }
  ~SilentServer() { close(fd_); }
  [[nodiscard]] uint16_t port() const { return port_; }

 private:
  const int fd_;
  uint16_t port_ = 0;
};

class ControlClientTest : public ::testing::Test {
 protected:
  std::unique_ptr<ControlClient> ClientFor(uint16_t port) {
    ControlClient::Options options;
    options.address = {.host = "127.0.0.1", .port = port};
    options.tls_mode = routing::BackendTls::kDisabled;
    options.user = "control";
    options.lock = "bulkhead.test";
    options.connect_limit = 1s;
    return std::make_unique<ControlClient>(
        options,
        [this](std::function<void()> message) {
          const std::lock_guard lock(mutex_);
          posted_.push_back(std::move(message));
          wake_.notify_one();
        },
        &threads_);
  }
  // Runs what is posted until `done`.
  void WaitFor(const bool& done) {
    std::unique_lock lock(mutex_);
    while (!done) {
      wake_.wait(lock, [&] { return !posted_.empty(); });
      const std::function<void()> message = std::move(posted_.front());
      posted_.erase(posted_.begin());
      lock.unlock();
      message();
      lock.lock();
    }
  }

  ClientThreads threads_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<std::function<void()>> posted_;
};

TEST_F(ControlClientTest, WhereNobodyListensNothingWasDone) {
  uint16_t port = 0;
  { port = SilentServer().port(); }
  auto client = ClientFor(port);
  SqlAnswer answer;
  bool done = false;
  client->Start([&](SqlSession* session) { answer = session->Run("SELECT 1", 2s); },
                [&] { done = true; });
  WaitFor(done);
  EXPECT_EQ(answer.kind, SqlAnswer::Kind::kError);
  EXPECT_FALSE(client->busy());
}

TEST_F(ControlClientTest, AServerWithoutAGreetingIsGivenUp) {
  const SilentServer server;
  auto client = ClientFor(server.port());
  SqlAnswer answer;
  bool done = false;
  client->Start([&](SqlSession* session) { answer = session->Run("SET GLOBAL read_only = 1", 2s); },
                [&] { done = true; });
  EXPECT_TRUE(client->busy());
  client->Tick();
  WaitFor(done);
  EXPECT_EQ(answer.kind, SqlAnswer::Kind::kError);  // it was not sent
}

TEST_F(ControlClientTest, AfterACutNothingMoreOfThatWorkIsSent) {
  const SilentServer server;
  auto client = ClientFor(server.port());
  SqlAnswer second;
  bool done = false;
  client->Start(
      [&](SqlSession* session) {
        (void)session->Open(1s);
        second = session->Run("SELECT 1", 60s);
      },
      [&] { done = true; });
  client->Cut();
  WaitFor(done);
  EXPECT_THAT(second.message, HasSubstr("given up"));
  // The next piece of work is its own.
  done = false;
  client->Start([&](SqlSession* session) { second = session->Open(1s); }, [&] { done = true; });
  WaitFor(done);
  EXPECT_THAT(second.message, ::testing::Not(HasSubstr("given up")));
}

TEST_F(ControlClientTest, OneThatGoesAwayWaitsForNothingAndPostsNothing) {
  const SilentServer server;
  auto client = ClientFor(server.port());
  bool done = false;
  client->Start([&](SqlSession* session) { (void)session->Open(60s); }, [&] { done = true; });
  client.reset();
  EXPECT_FALSE(done);
  const std::lock_guard lock(mutex_);
  EXPECT_TRUE(posted_.empty());
}

}  // namespace
}  // namespace bulkhead::control
