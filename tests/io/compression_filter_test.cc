#include "proxy/io/compression_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "proxy/wire/frame.h"
#include "tests/io/loop_fixture.h"

namespace bulkhead::io {
namespace {

using wire::CompressionAlgorithm;
using wire::CompressionStatus;
using Role = wire::CompressionCodec::Role;
using ::testing::ElementsAre;

std::string Frame(uint8_t number, std::string_view payload) {
  std::string frame(wire::kFrameHeaderSize, '\0');
  wire::StoreFrameHeader({static_cast<uint32_t>(payload.size()), number},
                         reinterpret_cast<uint8_t*>(frame.data()));
  return frame.append(payload);
}

std::vector<int> FrameNumbers(std::string_view bytes) {
  std::vector<int> numbers;
  while (bytes.size() >= wire::kFrameHeaderSize) {
    const auto header = wire::LoadFrameHeader(reinterpret_cast<const uint8_t*>(bytes.data()));
    numbers.push_back(header.sequence);
    bytes.remove_prefix(
        std::min(bytes.size(), size_t{wire::kFrameHeaderSize} + header.payload_size));
  }
  return numbers;
}

struct Packet {
  uint8_t number;
  std::string plain;
};

// The peer's end, written from what net_serv.cc does and not with the code under test: packs bytes
// into packets with numbers that the test says, unpacks packets one by one.
class Peer {
 public:
  explicit Peer(CompressionAlgorithm algorithm)
      : compressor_(algorithm, 3), algorithm_(algorithm) {}

  std::string Pack(uint8_t number, std::string_view plain) {
    wire::ByteBuffer out;
    EXPECT_EQ(compressor_.Compress(AsBytes(plain), &number, &out), CompressionStatus::kOk);
    return {out.begin(), out.end()};
  }

  std::vector<Packet> Unpack(std::string_view bytes) const {
    std::vector<Packet> packets;
    while (!bytes.empty()) {
      const auto header = wire::LoadFrameHeader(reinterpret_cast<const uint8_t*>(bytes.data()));
      const size_t size = wire::kCompressedHeaderSize + header.payload_size;
      EXPECT_LE(size, bytes.size());
      wire::Decompressor decompressor(algorithm_);
      wire::ByteBuffer plain;
      std::span<const uint8_t> input = AsBytes(bytes.substr(0, size));
      EXPECT_EQ(decompressor.Decompress(&input, 32 << 20, &plain), CompressionStatus::kOk);
      packets.push_back({header.sequence, {plain.begin(), plain.end()}});
      bytes.remove_prefix(std::min(bytes.size(), size));
    }
    return packets;
  }

 private:
  wire::Compressor compressor_;
  CompressionAlgorithm algorithm_;
};

class TestSink : public FilterSink {
 public:
  void Up(std::span<uint8_t> plain) override {
    largest = std::max(largest, plain.size());
    up.append(reinterpret_cast<const char*>(plain.data()), plain.size());
    if (pause_at != 0 && up.size() >= pause_at) is_paused = true;
  }
  void Down(std::span<const uint8_t> encoded) override {
    down.append(reinterpret_cast<const char*>(encoded.data()), encoded.size());
  }
  bool paused() const override { return is_paused; }

  std::string up;
  std::string down;
  size_t largest = 0;
  size_t pause_at = 0;
  bool is_paused = false;
};

class CompressionFilterTest : public ::testing::TestWithParam<CompressionAlgorithm> {
 protected:
  void Use(Role role) { filter_ = std::make_unique<CompressionFilter>(GetParam(), 3, role); }

  void Receive(std::string bytes) {
    ASSERT_TRUE(filter_->Decode({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()}, &sink_))
        << filter_->error();
  }
  // What the filter makes of frames that go down, packet by packet.
  std::vector<Packet> Send(std::string_view frames) {
    sink_.down.clear();
    EXPECT_TRUE(filter_->Encode(AsBytes(frames), &sink_)) << filter_->error();
    return peer_.Unpack(sink_.down);
  }
  std::vector<int> SentNumbers(std::string_view frames) {
    std::vector<int> numbers;
    for (const Packet& packet : Send(frames)) numbers.push_back(packet.number);
    return numbers;
  }
  std::vector<int> ReceivedFrames(const std::string& bytes) {
    sink_.up.clear();
    Receive(bytes);
    return FrameNumbers(sink_.up);
  }

  std::unique_ptr<CompressionFilter> filter_;
  TestSink sink_;
  Peer peer_{GetParam()};
};

TEST_P(CompressionFilterTest, AServerCountsOnFromTheCommand) {
  Use(Role::kServer);
  EXPECT_THAT(ReceivedFrames(peer_.Pack(0, Frame(0, "\3SELECT 1"))), ElementsAre(0));
  EXPECT_THAT(SentNumbers(Frame(1, "columns")), ElementsAre(1));
  EXPECT_THAT(SentNumbers(Frame(2, "row") + Frame(3, "end")), ElementsAre(2));
  EXPECT_THAT(ReceivedFrames(peer_.Pack(0, Frame(0, "\3SELECT 2"))), ElementsAre(0));
  EXPECT_THAT(SentNumbers(Frame(1, "ok")), ElementsAre(1));
}

TEST_P(CompressionFilterTest, AServerCountsOnFromACommandOfSeveralPackets) {
  // libmysqlclient fills its 16 KiB buffer first and refuses an answer that does not count on.
  Use(Role::kServer);
  const std::string command = Frame(0, "\3" + NoiseText(40'000, 1));
  Receive(peer_.Pack(0, command.substr(0, 16'384)));
  Receive(peer_.Pack(1, command.substr(16'384)));
  EXPECT_THAT(FrameNumbers(sink_.up), ElementsAre(0));
  EXPECT_THAT(SentNumbers(Frame(1, "ok")), ElementsAre(2));
  EXPECT_THAT(ReceivedFrames(peer_.Pack(0, Frame(0, "\3SELECT 2"))), ElementsAre(0));
  EXPECT_THAT(SentNumbers(Frame(1, "ok")), ElementsAre(1));
}

TEST_P(CompressionFilterTest, AServerNumbersTheFramesOfALongCommand) {
  // Connector/C numbers them all 0.
  Use(Role::kServer);
  Receive(peer_.Pack(0, Frame(0, "\3SET before")));
  EXPECT_THAT(SentNumbers(Frame(1, "ok")), ElementsAre(1));
  sink_.up.clear();
  const std::string long_payload = "\3" + std::string(wire::kMaxFramePayload - 1, 'q');
  const std::string command = Frame(0, long_payload) + Frame(0, "end of it");
  uint8_t number = 0;
  for (size_t at = 0; at < command.size(); at += 1 << 20) {
    wire::ByteBuffer packet;
    const size_t size = std::min<size_t>(1 << 20, command.size() - at);
    // The peer's compressor cuts at its own size: count what it made.
    wire::Compressor compressor(GetParam(), 1);
    ASSERT_EQ(
        compressor.Compress(AsBytes(std::string_view(command).substr(at, size)), &number, &packet),
        CompressionStatus::kOk);
    Receive({packet.begin(), packet.end()});
  }
  EXPECT_THAT(FrameNumbers(sink_.up), ElementsAre(0, 1));
  EXPECT_THAT(SentNumbers(Frame(2, "ok")), ElementsAre(number));
}

TEST_P(CompressionFilterTest, AServerFollowsLocalInfileWhateverItsLength) {
  for (const int frames : {1, 2, 253, 254, 255, 256, 257, 600}) {
    Use(Role::kServer);
    Receive(peer_.Pack(0, Frame(0, "\3LOAD DATA LOCAL")));
    EXPECT_THAT(SentNumbers(Frame(1,
                                  "\xfb"
                                  "file")),
                ElementsAre(1));
    sink_.up.clear();
    // Frames count on from the compressed number, as after net_flush; two frames per packet.
    uint8_t frame = 2;
    uint8_t packet = 2;
    std::vector<int> expected;
    for (int i = 0; i < frames; i += 2) {
      std::string plain = Frame(frame++, "some data");
      if (i + 1 < frames) plain += Frame(frame++, "more data");
      Receive(peer_.Pack(packet++, plain));
    }
    for (int i = 0; i < frames; ++i) expected.push_back((2 + i) % 256);
    EXPECT_EQ(FrameNumbers(sink_.up), expected);
    EXPECT_THAT(SentNumbers(Frame(frame, "ok")), ElementsAre(packet)) << frames;
    EXPECT_THAT(ReceivedFrames(peer_.Pack(0, Frame(0, "\3SELECT"))), ElementsAre(0));
    EXPECT_THAT(SentNumbers(Frame(1, "ok")), ElementsAre(1));
  }
}

TEST_P(CompressionFilterTest, AServerBeginsEachAnswerToPipelinedCommandsAtOne) {
  Use(Role::kServer);
  EXPECT_THAT(ReceivedFrames(peer_.Pack(0, Frame(0,
                                                 "\x16"
                                                 "prepare")) +
                             peer_.Pack(0, Frame(0,
                                                 "\x17"
                                                 "execute"))),
              ElementsAre(0, 0));
  EXPECT_THAT(SentNumbers(Frame(1, "prepared") + Frame(2, "parameter")), ElementsAre(1));
  EXPECT_THAT(SentNumbers(Frame(1, "rows") + Frame(2, "end")), ElementsAre(1));
}

TEST_P(CompressionFilterTest, AServerGoesOnWithAnAnswerWhenTheNextCommandIsHere) {
  Use(Role::kServer);
  Receive(peer_.Pack(0, Frame(0, "\3first")));
  EXPECT_THAT(SentNumbers(Frame(1, "a") + Frame(2, "b")), ElementsAre(1));
  Receive(peer_.Pack(0, Frame(0, "\3second")));
  EXPECT_THAT(SentNumbers(Frame(3, "c")), ElementsAre(2));
  EXPECT_THAT(SentNumbers(Frame(4, "d")), ElementsAre(3));
  EXPECT_THAT(SentNumbers(Frame(1, "ok")), ElementsAre(1));
}

TEST_P(CompressionFilterTest, AClientBeginsEachCommandAtZero) {
  Use(Role::kClient);
  EXPECT_THAT(SentNumbers(Frame(0, "\3SELECT 1")), ElementsAre(0));
  EXPECT_THAT(ReceivedFrames(peer_.Pack(1, Frame(1, "columns") + Frame(2, "row")) +
                             peer_.Pack(2, Frame(3, "end"))),
              ElementsAre(1, 2, 3));
  // Each command in a packet of its own, or the server would count from the wrong one.
  EXPECT_THAT(SentNumbers(Frame(0,
                                "\x19"
                                "1234") +
                          Frame(0, "\3SELECT 2")),
              ElementsAre(0, 0));
  EXPECT_THAT(ReceivedFrames(peer_.Pack(1, Frame(1, "ok"))), ElementsAre(1));
}

TEST_P(CompressionFilterTest, AClientRenumbersTheAnswerToACommandOfSeveralPackets) {
  Use(Role::kClient);
  const std::string command = Frame(0, "\3" + NoiseText(100'000, 1));
  EXPECT_THAT(SentNumbers(command.substr(0, 50'000)), ElementsAre(0));
  EXPECT_THAT(SentNumbers(command.substr(50'000)), ElementsAre(1));
  // Servers number frames and packets from the command's packets.
  EXPECT_THAT(ReceivedFrames(peer_.Pack(2, Frame(2, "columns") + Frame(3, "row"))),
              ElementsAre(1, 2));
  EXPECT_THAT(ReceivedFrames(peer_.Pack(3, Frame(4, "end"))), ElementsAre(3));
}

TEST_P(CompressionFilterTest, AClientCountsOnWhereAServerFlushesBetweenResults) {
  // net_flush sets the frames' counter to the compressed packets' counter.
  Use(Role::kClient);
  EXPECT_THAT(SentNumbers(Frame(0, "\3SELECT 1; SELECT 2")), ElementsAre(0));
  EXPECT_THAT(ReceivedFrames(peer_.Pack(1, Frame(1, "a") + Frame(2, "b") + Frame(3, "c"))),
              ElementsAre(1, 2, 3));
  EXPECT_THAT(ReceivedFrames(peer_.Pack(2, Frame(2, "a") + Frame(3, "b"))), ElementsAre(4, 5));
}

TEST_P(CompressionFilterTest, AClientTellsPipelinedAnswersApart) {
  Use(Role::kClient);
  EXPECT_THAT(SentNumbers(Frame(0, "\3SET a") +
                          Frame(0,
                                "\x18"
                                "long data") +
                          Frame(0, "\3SELECT")),
              ElementsAre(0, 0, 0));
  EXPECT_THAT(ReceivedFrames(peer_.Pack(1, Frame(1, "ok"))), ElementsAre(1));
  EXPECT_THAT(ReceivedFrames(peer_.Pack(1, Frame(1, "rows") + Frame(2, "end"))), ElementsAre(1, 2));
}

TEST_P(CompressionFilterTest, AClientSendsLocalDataBehindTheServersRequest) {
  Use(Role::kClient);
  EXPECT_THAT(SentNumbers(Frame(0, "\3LOAD DATA LOCAL")), ElementsAre(0));
  EXPECT_THAT(ReceivedFrames(peer_.Pack(1, Frame(1,
                                                 "\xfb"
                                                 "file"))),
              ElementsAre(1));
  std::string data;
  uint8_t number = 2;
  for (int i = 0; i < 600; ++i) data += Frame(number++, "data");
  EXPECT_THAT(SentNumbers(data.substr(0, 1000)), ElementsAre(2));
  EXPECT_THAT(SentNumbers(data.substr(1000)), ElementsAre(3));
  EXPECT_THAT(SentNumbers(Frame(number, "")), ElementsAre(4));
  EXPECT_THAT(ReceivedFrames(peer_.Pack(5, Frame(5, "ok"))), ElementsAre(number + 1));
}

TEST_P(CompressionFilterTest, ReceivesWhateverTheCuts) {
  const std::string plain = Frame(0, "\3" + NoiseText(300, 1)) + Frame(1, std::string(500, 'z'));
  const std::string packets =
      peer_.Pack(0, plain.substr(0, 200)) + peer_.Pack(1, plain.substr(200));
  for (size_t cut = 0; cut <= packets.size(); ++cut) {
    Use(Role::kServer);
    sink_.up.clear();
    Receive(packets.substr(0, cut));
    Receive(packets.substr(cut));
    ASSERT_EQ(sink_.up, plain) << cut;
  }
}

TEST_P(CompressionFilterTest, ReportsCorruptDataAndCanStillAnswer) {
  Use(Role::kServer);
  std::string packet = peer_.Pack(0, Frame(0, std::string(1000, 'q')));
  for (size_t i = wire::kCompressedHeaderSize; i < packet.size(); ++i) packet[i] = '\x55';
  EXPECT_FALSE(filter_->Decode({reinterpret_cast<uint8_t*>(packet.data()), packet.size()}, &sink_));
  EXPECT_EQ(filter_->error(), "cannot decompress: corrupt");
  EXPECT_EQ(filter_->error_code(), 1157);
  std::string good = peer_.Pack(0, Frame(0, "\3SELECT 1"));
  EXPECT_FALSE(filter_->Decode({reinterpret_cast<uint8_t*>(good.data()), good.size()}, &sink_));
  EXPECT_EQ(sink_.up, "");
  EXPECT_EQ(Send(Frame(1, "why")).size(), 1);
}

TEST_P(CompressionFilterTest, AFewBytesThatInflateToManyWaitForTheirReader) {
  Use(Role::kServer);
  const std::string plain = Frame(0, std::string(10 << 20, 'z'));
  const std::string packets = peer_.Pack(0, plain);
  ASSERT_LT(packets.size(), plain.size() / 20);
  sink_.pause_at = 300'000;
  Receive(packets);
  EXPECT_TRUE(filter_->holds_input());
  EXPECT_LE(sink_.up.size(), 300'000 + CompressionFilter::kUpAtOnce);
  EXPECT_LE(sink_.largest, CompressionFilter::kUpAtOnce);
  size_t before = sink_.up.size();
  while (filter_->holds_input()) {
    sink_.is_paused = false;
    sink_.pause_at = before + 300'000;
    ASSERT_TRUE(filter_->Continue(&sink_));
    ASSERT_LE(sink_.up.size() - before, 300'000 + CompressionFilter::kUpAtOnce);
    before = sink_.up.size();
  }
  EXPECT_TRUE(sink_.up == plain);
}

TEST_P(CompressionFilterTest, BothEndsOfAConnectionUnderstandEachOther) {
  EventLoop loop;
  Recorder client, server;
  int fds[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  client.stream = Stream::Adopt(&loop, fds[0], &client);
  server.stream = Stream::Adopt(&loop, fds[1], &server);
  const bool zstd = GetParam() == CompressionAlgorithm::kZstd;
  const auto method = zstd ? CompressionMethod::kZstd : CompressionMethod::kZlib;
  ASSERT_TRUE(
      client.stream->PushFilter(MakeCompressionFilter(CompressionSide::kClient, method, 3)));
  ASSERT_TRUE(
      server.stream->PushFilter(MakeCompressionFilter(CompressionSide::kServer, method, 3)));
  std::string command = Frame(0, NoiseText(100'000, 4)) + Frame(0, std::string(3'000'000, 'c'));
  std::string answer = Frame(1, std::string(5'000'000, 'a')) + Frame(2, NoiseText(5'000'000, 5));
  client.stream->Write(AsBytes(command));
  for (int i = 0; i < 10'000 && server.received.size() < command.size(); ++i) {
    uv_run(loop.uv(), UV_RUN_ONCE);
  }
  ASSERT_TRUE(server.received == command);
  server.stream->Write(AsBytes(answer));
  for (int i = 0; i < 10'000 && client.received.size() < answer.size(); ++i) {
    uv_run(loop.uv(), UV_RUN_ONCE);
  }
  EXPECT_TRUE(client.received == answer);
  EXPECT_LT(client.stream->bytes_in(), 6'000'000U);
  client.stream.reset();
  server.stream.reset();
}

INSTANTIATE_TEST_SUITE_P(Algorithms, CompressionFilterTest,
                         ::testing::Values(CompressionAlgorithm::kZlib,
                                           CompressionAlgorithm::kZstd),
                         [](const auto& info) {
                           return std::string(wire::CompressionAlgorithmName(info.param));
                         });

}  // namespace
}  // namespace bulkhead::io
