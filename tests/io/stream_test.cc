#include "proxy/io/stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <thread>

#include "tests/io/loop_fixture.h"

namespace bulkhead::io {
namespace {

using StreamTest = LoopTest;

// Reads the blocking end until `size` bytes or the end came.
std::string ReadAll(int fd, size_t size) {
  std::string text(size, '\0');
  size_t got = 0;
  while (got < size) {
    const ssize_t n = recv(fd, text.data() + got, size - got, 0);
    if (n <= 0) break;
    got += static_cast<size_t>(n);
  }
  text.resize(got);
  return text;
}

TEST_F(StreamTest, CarriesBytesBothWays) {
  Recorder a, b;
  ConnectStreams(&a, &b);
  a.stream->Write(AsBytes("question"));
  b.on_bytes = [&](std::span<uint8_t>) { b.stream->Write(AsBytes("answer")); };
  ASSERT_TRUE(RunUntil([&] { return a.received == "answer"; }));
  EXPECT_EQ(b.received, "question");
  EXPECT_EQ(a.stream->bytes_out(), 8U);
  EXPECT_EQ(a.stream->bytes_in(), 6U);
}

TEST_F(StreamTest, TellsThatThePeerClosed) {
  Recorder a, b;
  ConnectStreams(&a, &b);
  b.stream->Write(AsBytes("bye"));
  b.stream.reset();
  ASSERT_TRUE(RunUntil([&] { return a.ends > 0; }));
  EXPECT_EQ(a.received, "bye");
  EXPECT_EQ(a.end.kind, StreamEnd::Kind::kPeerClosed);
  Settle();
  EXPECT_EQ(a.ends, 1);
  a.stream->Write(AsBytes("nobody hears this"));
  EXPECT_EQ(a.stream->pending(), 0U);
}

TEST_F(StreamTest, ConnectsToAListener) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  SocketAddress address = *SocketAddress::FromNumeric("127.0.0.1", 0);
  ASSERT_EQ(bind(listener, address.get(), address.length), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address.storage), &address.length),
            0);
  Recorder a;
  int error = 0;
  a.stream = Stream::Connect(&loop_, address.get(), address.length, &a, &error);
  ASSERT_NE(a.stream, nullptr);
  a.stream->Write(AsBytes("early"));  // kept until connected
  EXPECT_FALSE(a.connected);
  ASSERT_TRUE(RunUntil([&] { return a.connected; }));
  const int server = accept(listener, nullptr, nullptr);
  ASSERT_TRUE(RunUntil([&] { return a.stream->pending() == 0; }));
  EXPECT_EQ(ReadAll(server, 5), "early");
  close(server);
  close(listener);
}

TEST_F(StreamTest, TellsThatTheConnectionWasRefused) {
  // A port that was bound and is not any more.
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  SocketAddress address = *SocketAddress::FromNumeric("127.0.0.1", 0);
  ASSERT_EQ(bind(fd, address.get(), address.length), 0);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length), 0);
  Recorder a;
  int error = 0;
  a.stream = Stream::Connect(&loop_, address.get(), address.length, &a, &error);
  ASSERT_NE(a.stream, nullptr);
  ASSERT_TRUE(RunUntil([&] { return a.ends > 0; }));
  EXPECT_EQ(a.end.kind, StreamEnd::Kind::kConnectFailed);
  EXPECT_EQ(a.end.error, ECONNREFUSED);
  EXPECT_FALSE(a.connected);
  close(fd);
}

TEST_F(StreamTest, ConnectToAMissingUnixSocketFailsAtOnce) {
  const SocketAddress address = *SocketAddress::FromUnixPath("/nonexistent/socket");
  Recorder a;
  int error = 0;
  a.stream = Stream::Connect(&loop_, address.get(), address.length, &a, &error);
  EXPECT_EQ(a.stream, nullptr);
  EXPECT_EQ(error, ENOENT);
}

TEST_F(StreamTest, WatermarksHoldBackAndReleaseTheWriter) {
  Recorder a, b;
  ConnectStreams(&a, &b);
  a.stream->set_watermarks(10'000, 100'000);
  b.stream->PauseReading();
  const std::string block = NoiseText(64 * 1024, 1);
  std::string sent;
  while (!a.stream->above_high_watermark()) {
    a.stream->Write(AsBytes(block));
    sent += block;
    ASSERT_LT(sent.size(), size_t{256} << 20);
  }
  EXPECT_GT(a.stream->pending(), 100'000U);
  Settle();
  EXPECT_EQ(a.writable, 0);
  size_t pending_then = SIZE_MAX;
  a.on_writable = [&] { pending_then = a.stream->pending(); };
  b.stream->ResumeReading();
  ASSERT_TRUE(RunUntil([&] { return a.writable > 0; }));
  EXPECT_LE(pending_then, 10'000U);
  ASSERT_TRUE(RunUntil([&] { return b.received.size() == sent.size(); }));
  EXPECT_TRUE(b.received == sent);
  Settle();
  EXPECT_EQ(a.writable, 1);
}

TEST_F(StreamTest, APausedStreamDeliversNothingUntilItIsResumed) {
  Recorder a, b;
  ConnectStreams(&a, &b);
  a.stream->PauseReading();
  b.stream->Write(AsBytes("one"));
  Settle();
  b.stream->Write(AsBytes("two"));
  b.stream.reset();
  Settle();
  EXPECT_EQ(a.received, "");
  EXPECT_EQ(a.ends, 0);
  a.stream->ResumeReading();
  ASSERT_TRUE(RunUntil([&] { return a.ends > 0; }));
  EXPECT_EQ(a.received, "onetwo");
}

TEST_F(StreamTest, PauseAndResumeWithinACallbackLoseNothing) {
  Recorder a, b;
  ConnectStreams(&a, &b);
  a.on_bytes = [&](std::span<uint8_t>) {
    a.stream->PauseReading();
    a.stream->ResumeReading();
  };
  const std::string text = NoiseText(1 << 20, 2);
  b.stream->Write(AsBytes(text));
  ASSERT_TRUE(RunUntil([&] { return a.received.size() == text.size(); }));
  EXPECT_TRUE(a.received == text);
}

TEST_F(StreamTest, AWriterWhosePeerIsGoneHearsOfItEvenWhileItDoesNotRead) {
  Recorder a;
  const int peer = ConnectStreamToFd(&a);
  a.stream->PauseReading();
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
  close(peer);
  Settle();
  EXPECT_EQ(a.ends, 0);  // there might be something to read before the end
  a.stream->Write(AsBytes("x"));
  EXPECT_EQ(a.ends, 0);  // never from within Write
  ASSERT_TRUE(RunUntil([&] { return a.ends > 0; }));
  EXPECT_EQ(a.end.kind, StreamEnd::Kind::kSocketError);
  EXPECT_TRUE(a.end.error == ECONNRESET || a.end.error == EPIPE) << a.end.error;
}

TEST_F(StreamTest, PendingOutputAndAResetEndAPausedStream) {
  Recorder a;
  const int peer = ConnectStreamToFd(&a);
  a.stream->PauseReading();
  const std::string block(1 << 20, 'x');
  while (a.stream->pending() == 0) a.stream->Write(AsBytes(block));
  Settle();
  close(peer);  // with unread bytes: a reset
  ASSERT_TRUE(RunUntil([&] { return a.ends > 0; }));
  EXPECT_EQ(a.end.kind, StreamEnd::Kind::kSocketError);
  EXPECT_EQ(a.stream->pending(), 0U);
}

TEST_F(StreamTest, WhatThePeerSaidBeforeItWentIsHeardDespiteAFailedWrite) {
  Recorder a;
  const int peer = ConnectStreamToFd(&a);
  ASSERT_EQ(send(peer, "last words", 10, 0), 10);
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
  close(peer);
  a.stream->Write(AsBytes("too late"));
  ASSERT_TRUE(RunUntil([&] { return a.ends > 0; }));
  EXPECT_EQ(a.received, "last words");
  EXPECT_EQ(a.end.kind, StreamEnd::Kind::kSocketError);
}

TEST_F(StreamTest, AResetDoesNotTakeWhatAPausedStreamHasNotRead) {
  Recorder a;
  const int peer = ConnectStreamToFd(&a);
  a.stream->PauseReading();
  ASSERT_EQ(send(peer, "last words", 10, 0), 10);
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ASSERT_EQ(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
  close(peer);
  Settle();
  EXPECT_EQ(a.ends, 0);
  a.stream->ResumeReading();
  ASSERT_TRUE(RunUntil([&] { return a.ends > 0; }));
  EXPECT_EQ(a.received, "last words");
  EXPECT_EQ(a.end.error, ECONNRESET);
}

TEST_F(StreamTest, AbortOnCloseResets) {
  Recorder a;
  const int peer = ConnectStreamToFd(&a);
  a.stream->AbortOnClose();
  a.stream.reset();
  char byte;
  EXPECT_EQ(recv(peer, &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  close(peer);
}

TEST_F(StreamTest, FlushThenCloseDeliversEverything) {
  Recorder a, b;
  ConnectStreams(&a, &b);
  b.stream->PauseReading();
  const std::string text = NoiseText(16 << 20, 3);
  a.stream->Write(AsBytes(text));
  ASSERT_GT(a.stream->pending(), 0U);
  Stream* raw = a.stream.get();
  raw->FlushThenClose(std::move(a.stream), 10'000);
  b.stream->ResumeReading();
  ASSERT_TRUE(RunUntil([&] { return b.ends > 0; }));
  EXPECT_EQ(b.end.kind, StreamEnd::Kind::kPeerClosed);
  EXPECT_TRUE(b.received == text);
  EXPECT_EQ(a.ends + a.writable, 0);
}

TEST_F(StreamTest, FlushThenCloseGivesUpAtItsLimit) {
  Recorder a;
  const int peer = ConnectStreamToFd(&a);
  const std::string text(16 << 20, 'x');
  a.stream->Write(AsBytes(text));
  Stream* raw = a.stream.get();
  const uint64_t started = uv_hrtime();
  raw->FlushThenClose(std::move(a.stream), 50);
  std::string got;
  ASSERT_TRUE(RunUntil([&] { return uv_hrtime() - started > 100'000'000; }));
  got = ReadAll(peer, text.size());
  EXPECT_LT(got.size(), text.size());
  close(peer);
}

TEST_F(StreamTest, ALastAnswerIsNotLostToUnreadInput) {
  Recorder a;
  const int peer = ConnectStreamToFd(&a);
  a.stream->PauseReading();
  const std::string garbage(100'000, 'g');
  ASSERT_EQ(send(peer, garbage.data(), garbage.size(), 0), static_cast<ssize_t>(garbage.size()));
  Settle();
  a.stream->Write(AsBytes("error: garbage"));
  Stream* raw = a.stream.get();
  raw->FlushThenClose(std::move(a.stream), 10'000);
  // Still open for the peer, which goes on sending without being reset, reads the answer and the
  // end.
  Settle();
  ASSERT_EQ(send(peer, garbage.data(), garbage.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(garbage.size()));
  Settle();
  EXPECT_EQ(ReadAll(peer, 100), "error: garbage");
  EXPECT_EQ(a.received, "");
  close(peer);
  // The flusher goes with the peer, well before its limit: the fixture's loop would wait for it.
  const uint64_t started = uv_hrtime();
  loop_.Stop();
  loop_.Run();
  EXPECT_LT(uv_hrtime() - started, 5'000'000'000U);
}

TEST_F(StreamTest, FlushThenCloseWithNothingToDoClosesAtOnce) {
  Recorder a;
  const int peer = ConnectStreamToFd(&a);
  a.stream->Write(AsBytes("bye"));
  Stream* raw = a.stream.get();
  raw->FlushThenClose(std::move(a.stream), 10'000);
  EXPECT_EQ(ReadAll(peer, 10), "bye");  // blocking: the end is there without a turn of the loop
  close(peer);
}

TEST_F(StreamTest, CanBeDroppedInsideEachCallback) {
  {
    Recorder a, b;
    ConnectStreams(&a, &b);
    a.on_bytes = [&](std::span<uint8_t>) { a.stream.reset(); };
    b.stream->Write(AsBytes("x"));
    ASSERT_TRUE(RunUntil([&] { return b.ends > 0; }));
    EXPECT_EQ(a.reads, 1);
    EXPECT_EQ(a.ends, 0);
  }
  {
    Recorder a, b;
    ConnectStreams(&a, &b);
    a.on_end = [&] { a.stream.reset(); };
    b.stream.reset();
    ASSERT_TRUE(RunUntil([&] { return a.ends > 0; }));
  }
  {
    Recorder a, b;
    ConnectStreams(&a, &b);
    a.stream->set_watermarks(0, 1000);
    a.on_writable = [&] { a.stream.reset(); };
    a.stream->Write(AsBytes(std::string(16 << 20, 'x')));
    ASSERT_TRUE(a.stream->above_high_watermark());
    ASSERT_TRUE(RunUntil([&] { return b.ends > 0; }));
    EXPECT_EQ(a.writable, 1);
    EXPECT_EQ(b.received.size(), size_t{16} << 20);
  }
  {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    SocketAddress address = *SocketAddress::FromNumeric("127.0.0.1", 0);
    ASSERT_EQ(bind(listener, address.get(), address.length), 0);
    ASSERT_EQ(listen(listener, 1), 0);
    ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address.storage), &address.length),
              0);
    Recorder a;
    int error = 0;
    a.stream = Stream::Connect(&loop_, address.get(), address.length, &a, &error);
    a.on_connected = [&] { a.stream.reset(); };
    ASSERT_TRUE(RunUntil([&] { return a.connected; }));
    close(listener);
  }
  Settle();
}

TEST_F(StreamTest, MessagesFromAnotherThreadRunInOrderOnTheLoop) {
  std::vector<int> order;
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) loop_.Post([&order, i] { order.push_back(i); });
  });
  ASSERT_TRUE(RunUntil([&] { return order.size() == 1000; }));
  other.join();
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

}  // namespace
}  // namespace bulkhead::io
