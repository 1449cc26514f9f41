// What the tests of proxy/io share: a loop that runs until a condition holds, a handler that writes
// down what it is told, connected sockets.
#ifndef BULKHEAD_TESTS_IO_LOOP_FIXTURE_H_
#define BULKHEAD_TESTS_IO_LOOP_FIXTURE_H_

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/io/event_loop.h"
#include "proxy/io/socket_address.h"
#include "proxy/io/stream.h"

namespace bulkhead::io {

inline std::span<const uint8_t> AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// Bytes that neither repeat nor compress, the same ones for the same seed.
inline std::string NoiseText(size_t size, uint64_t seed) {
  std::string text(size, '\0');
  for (char& c : text) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    c = static_cast<char>(seed >> 56);
  }
  return text;
}

class Recorder : public StreamHandler {
 public:
  void OnConnected() override {
    connected = true;
    if (on_connected) on_connected();
  }
  void OnBytes(std::span<uint8_t> bytes) override {
    ++reads;
    received.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (on_bytes) on_bytes(bytes);
  }
  void OnWritable() override {
    ++writable;
    if (on_writable) on_writable();
  }
  void OnEnd(const StreamEnd& why) override {
    ++ends;
    end = why;
    if (on_end) on_end();
  }

  StreamPtr stream;
  std::string received;
  int reads = 0;
  int writable = 0;
  int ends = 0;
  bool connected = false;
  StreamEnd end{};
  std::function<void()> on_connected;
  std::function<void(std::span<uint8_t>)> on_bytes;
  std::function<void()> on_writable;
  std::function<void()> on_end;
};

class LoopTest : public ::testing::Test {
 protected:
  // False: the condition did not hold within the time. It is asked after each turn.
  [[nodiscard]] bool RunUntil(const std::function<bool()>& condition, uint64_t limit_ms = 10'000) {
    // The tick is for conditions that a timer or another thread makes true before the loop waits.
    Timer tick(&loop_, [] {});
    tick.Start(2, 2);
    const uint64_t started = uv_hrtime();
    while (!condition() && uv_hrtime() - started < limit_ms * 1'000'000) {
      uv_run(loop_.uv(), UV_RUN_ONCE);
    }
    return condition();
  }

  // Turns the loop until everything that can happen now has happened.
  void Settle() {
    for (int i = 0; i < 20; ++i) uv_run(loop_.uv(), UV_RUN_NOWAIT);
  }

  static void SetNonBlocking(int fd) {
    ASSERT_EQ(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
  }

  // Two ends of one TCP connection over loopback, both blocking.
  static std::pair<int, int> TcpPair() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener, generic, length), 0);
    EXPECT_EQ(listen(listener, 1), 0);
    EXPECT_EQ(getsockname(listener, generic, &length), 0);
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(client, generic, length), 0);
    const int server = accept(listener, nullptr, nullptr);
    EXPECT_GE(server, 0);
    close(listener);
    return {client, server};
  }

  // Streams on both ends of a TCP connection.
  void ConnectStreams(Recorder* a, Recorder* b) {
    const auto [first, second] = TcpPair();
    SetNonBlocking(first);
    SetNonBlocking(second);
    a->stream = Stream::Adopt(&loop_, first, a);
    b->stream = Stream::Adopt(&loop_, second, b);
  }

  // A stream on one end, the plain descriptor of the other.
  int ConnectStreamToFd(Recorder* a) {
    const auto [first, second] = TcpPair();
    SetNonBlocking(first);
    a->stream = Stream::Adopt(&loop_, first, a);
    return second;
  }

  EventLoop loop_;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_TESTS_IO_LOOP_FIXTURE_H_
