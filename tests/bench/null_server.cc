// A MySQL server that does nothing: it knows its answers beforehand and gives them at once.
//
// Purpose: whatever a measurement through a proxy costs more than one straight to this server is
//   the proxy's. One thread, one epoll set, one read and one write per command.
// Knows:
//   any user and password (mysql_native_password, caching_sha2_password with a fast "ok"),
//   SELECT rows N        N rows of about 100 bytes
//   SELECT big N         N MiB in rows of 4 KiB
//   any other SELECT, SHOW or SELECT-like text: one row with one number
//   BEGIN, START TRANSACTION, COMMIT, ROLLBACK, SET autocommit: OK with the right status flags
//   the same as prepared statements; COM_PING, COM_INIT_DB, COM_CHANGE_USER, COM_RESET_CONNECTION,
//   COM_SET_OPTION, COM_FIELD_LIST, COM_STATISTICS, COM_QUIT; anything else: OK.
// Does not know: TLS, compression, LOCAL INFILE, multi-statements (one answer is given).
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "tests/bench/null_answers.h"
#include "tests/bench/support.h"

namespace bulkhead::bench {
namespace {

constexpr std::string_view kUsage =
    "bench_null_server --port N [--host A] [--unix PATH] [--version TEXT] [--sha2]\n"
    "                  [--no-deprecate-eof]\n";

enum class State : uint8_t { kExpectLogin, kExpectCommand };

struct Connection {
  int fd = -1;
  State state = State::kExpectLogin;
  bool deprecate_eof = false;
  bool continued = false;  // the last packet was a full one: what follows belongs to it
  uint16_t status = kAutocommit;
  uint32_t statements = 0;
  std::string in;       // the beginning of a packet
  std::string own_out;  // an answer made for this connection, while `unsent` points at it
  Answer unsent;
};

class Server {
 public:
  Server(const Address& address, std::string version, bool sha2, bool deprecate_eof)
      : version_(std::move(version)),
        plugin_(sha2 ? "caching_sha2_password" : "mysql_native_password"),
        capabilities_(kLongPassword | kLongFlag | kConnectWithDb | kProtocol41 | kTransactions |
                      kSecureConnection | kMultiStatements | kMultiResults | kPsMultiResults |
                      kPluginAuth | kConnectAttrs | kPluginAuthLenenc | kSessionTrack |
                      (deprecate_eof ? kDeprecateEof : 0u)),
        listener_(Listen(address)) {
    for (size_t i = 0; i < answers_.size(); ++i) {
      answers_[i] = std::make_unique<Answers>(i & 3, (i & 4) != 0, (i & 8) != 0);
    }
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
  }

  [[noreturn]] void Run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<size_t>(i)];
        auto* const connection = static_cast<Connection*>(event.data.ptr);
        if (connection == nullptr) {
          Accept();
        } else if (!OnEvent(connection, event.events)) {
          // One event per descriptor and turn: nothing else points at it.
          close(connection->fd);
          delete connection;
        }
      }
    }
  }

 private:
  [[nodiscard]] Answers& AnswersFor(const Connection& c, bool binary) {
    return *answers_[static_cast<size_t>(c.status) | (c.deprecate_eof ? 4u : 0u) |
                     (binary ? 8u : 0u)];
  }

  void Accept() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    NoDelay(fd);
    auto* const c = new Connection;
    c->fd = fd;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = c;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    std::string greeting;
    uint8_t sequence = 0;
    AppendPacket(&greeting, &sequence,
                 Payload()
                     .Int(10, 1)
                     .Bytes(version_)
                     .Zero()
                     .Int(++last_id_, 4)
                     .Bytes("12345678")
                     .Zero()
                     .Int(capabilities_ & 0xffff, 2)
                     .Int(45, 1)
                     .Int(kAutocommit, 2)
                     .Int(capabilities_ >> 16, 2)
                     .Int(21, 1)
                     .Bytes(std::string(10, '\0'))
                     .Bytes("abcdefghijkl")
                     .Zero()
                     .Bytes(plugin_)
                     .Zero());
    if (send(fd, greeting.data(), greeting.size(), MSG_NOSIGNAL) < 0) {
      // The next event on this descriptor is the hang-up, which ends it.
    }
  }

  // False: the connection is over.
  bool OnEvent(Connection* c, uint32_t events) {
    if ((events & EPOLLOUT) != 0) return SendRest(c);
    const ssize_t size = recv(c->fd, buffer_.data(), buffer_.size(), 0);
    if (size < 0) return errno == EAGAIN;
    if (size == 0) return false;
    const std::string_view received(buffer_.data(), static_cast<size_t>(size));
    if (c->in.empty()) return Packets(c, received);
    const std::string all = std::move(c->in) + std::string(received);
    c->in.clear();
    return Packets(c, all);
  }

  // Handles what is whole and keeps the rest.
  bool Packets(Connection* c, std::string_view bytes) {
    while (bytes.size() >= 4) {
      const size_t size = ReadInt(bytes, 0, 3);
      if (bytes.size() < 4 + size) break;
      const std::string_view payload = bytes.substr(4, size);
      const auto sequence = static_cast<uint8_t>(bytes[3] + 1);
      bytes.remove_prefix(4 + size);
      if (!Packet(c, payload, sequence)) return false;
    }
    c->in.assign(bytes);
    return true;
  }

  bool Packet(Connection* c, std::string_view payload, uint8_t sequence) {
    const bool more_follows = payload.size() == 0xffffff;
    if (c->continued || more_follows) {
      // Long commands are INSERTs as far as this server is concerned.
      c->continued = more_follows;
      return more_follows || SendOwn(c, OkPayload(c->status), sequence);
    }
    if (c->state == State::kExpectLogin) return Login(c, payload, sequence);
    return !payload.empty() && Command(c, payload, sequence);
  }

  bool Login(Connection* c, std::string_view payload, uint8_t sequence) {
    if (payload.size() < 32) return false;
    c->deprecate_eof = (ReadInt(payload, 0, 4) & capabilities_ & kDeprecateEof) != 0;
    c->state = State::kExpectCommand;
    return Welcome(c, payload, sequence);
  }

  // Whoever speaks caching_sha2_password expects to be told that the fast way was enough.
  bool Welcome(Connection* c, std::string_view payload, uint8_t sequence) {
    std::string out;
    if (payload.find("caching_sha2_password") != std::string_view::npos) {
      AppendPacket(&out, &sequence, Payload().Int(1, 1).Int(3, 1));
    }
    AppendPacket(&out, &sequence, OkPayload(c->status));
    c->own_out = std::move(out);
    return Send(c, {.head = c->own_out, .block = {}, .tail = {}});
  }

  bool Command(Connection* c, std::string_view payload, uint8_t sequence) {
    switch (static_cast<uint8_t>(payload[0])) {
      case 0x01:  // COM_QUIT
        return false;
      case 0x03:  // COM_QUERY
        return Run(c, Classify(payload.substr(1)), false);
      case 0x04:  // COM_FIELD_LIST
        return SendOwn(c, EndPayload(c->status, c->deprecate_eof), sequence);
      case 0x09:  // COM_STATISTICS
        return SendOwn(c, Payload().Bytes("Uptime: 1  Threads: 1"), sequence);
      case 0x11:  // COM_CHANGE_USER
        Reset(c);
        return Welcome(c, payload, sequence);
      case 0x16:  // COM_STMT_PREPARE
        return Prepare(c, payload.substr(1));
      case 0x17:  // COM_STMT_EXECUTE
        return payload.size() >= 5 && Run(c, FromStatementId(ReadInt(payload, 1, 4)), true);
      case 0x18:  // COM_STMT_SEND_LONG_DATA: no answer
      case 0x19:  // COM_STMT_CLOSE: no answer
        return true;
      case 0x1b:  // COM_SET_OPTION
        return SendOwn(c, EndPayload(c->status, c->deprecate_eof), sequence);
      case 0x1f:  // COM_RESET_CONNECTION
        Reset(c);
        return Send(c, AnswersFor(*c, false).Ok());
      default:
        return Send(c, AnswersFor(*c, false).Ok());
    }
  }

  static void Reset(Connection* c) {
    c->status = kAutocommit;
    c->statements = 0;
  }

  bool Run(Connection* c, Text text, bool binary) {
    switch (text.kind) {
      case Kind::kBegin:
        c->status |= kInTransaction;
        break;
      case Kind::kEnd:
        c->status &= static_cast<uint16_t>(~kInTransaction);
        break;
      case Kind::kAutocommitOn:
        c->status = kAutocommit;
        break;
      case Kind::kAutocommitOff:
        c->status &= static_cast<uint16_t>(~kAutocommit);
        break;
      case Kind::kOne:
      case Kind::kRows:
      case Kind::kBig:
      case Kind::kOk:
        break;
    }
    return Send(c, AnswersFor(*c, binary).For(text));
  }

  // A statement's id says what it is, so that nothing has to be remembered: 3 bits of kind, 17 of
  // number, 12 that count.
  static uint32_t ToStatementId(Text text, uint32_t count) {
    return (count & 0xfff) << 20 | std::min<uint32_t>(text.number, 0x1ffff) << 3 |
           static_cast<uint32_t>(text.kind);
  }
  static Text FromStatementId(uint64_t id) {
    return {static_cast<Kind>(id & 7), static_cast<uint32_t>(id >> 3 & 0x1ffff)};
  }

  bool Prepare(Connection* c, std::string_view text) {
    const Text what = Classify(text);
    const auto parameters = static_cast<size_t>(std::count(text.begin(), text.end(), '?'));
    const bool rows =
        what.kind == Kind::kOne || what.kind == Kind::kRows || what.kind == Kind::kBig;
    const uint32_t id = ToStatementId(what, ++c->statements);
    std::string out;
    uint8_t sequence = 1;
    AppendPacket(&out, &sequence,
                 Payload().Int(0, 1).Int(id, 4).Int(rows ? 1 : 0, 2).Int(parameters, 2).Int(0, 3));
    for (size_t i = 0; i < parameters; ++i) {
      AppendPacket(&out, &sequence, ColumnPayload("?", kVarString, 0));
    }
    if (parameters > 0 && !c->deprecate_eof) {
      AppendPacket(&out, &sequence, EndPayload(c->status, false));
    }
    if (rows) {
      const uint8_t type = what.kind == Kind::kOne ? kLongLong : kVarString;
      AppendPacket(&out, &sequence, ColumnPayload("1", type, 400));
      if (!c->deprecate_eof) AppendPacket(&out, &sequence, EndPayload(c->status, false));
    }
    c->own_out = std::move(out);
    return Send(c, {.head = c->own_out, .block = {}, .tail = {}});
  }

  bool SendOwn(Connection* c, const Payload& payload, uint8_t sequence) {
    c->own_out.clear();
    AppendPacket(&c->own_out, &sequence, payload);
    return Send(c, {.head = c->own_out, .block = {}, .tail = {}});
  }

  bool Send(Connection* c, Answer answer) {
    if (!c->unsent.Empty()) return false;  // this server does not take commands in advance
    c->unsent = answer;
    if (!SendSome(c)) return false;
    if (!c->unsent.Empty()) SetInterest(c, EPOLLOUT);
    return true;
  }

  bool SendRest(Connection* c) {
    if (!SendSome(c)) return false;
    if (c->unsent.Empty()) SetInterest(c, EPOLLIN);
    return true;
  }

  // Until the socket takes no more. False: the connection is over.
  bool SendSome(Connection* c) {
    Answer& answer = c->unsent;
    while (!answer.Empty()) {
      if (answer.head.empty()) {
        const bool block = answer.blocks > 0;
        answer.head = block ? answer.block : answer.tail;
        if (block) {
          --answer.blocks;
        } else {
          answer.tail = {};
        }
      }
      const ssize_t sent = send(c->fd, answer.head.data(), answer.head.size(), MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN;
      answer.head.remove_prefix(static_cast<size_t>(sent));
      if (!answer.head.empty()) return true;  // a partial write: the next one would block
    }
    return true;
  }

  void SetInterest(Connection* c, uint32_t interest) {
    epoll_event event{};
    event.events = interest;
    event.data.ptr = c;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, c->fd, &event);
  }

  const std::string version_;
  const std::string plugin_;
  const uint32_t capabilities_;
  uint32_t last_id_ = 0;
  std::array<std::unique_ptr<Answers>, 16> answers_;
  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  const int listener_;
  std::array<char, 65536> buffer_;
};

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  using bulkhead::bench::Address;
  bulkhead::bench::Flags flags(argc, argv, bulkhead::bench::kUsage);
  const Address address{.host = flags.Text("host", "127.0.0.1"),
                        .port = static_cast<int>(flags.Number("port", 0)),
                        .path = flags.Text("unix", "")};
  const std::string version = flags.Text("version", "5.5.5-10.11.6-MariaDB-null");
  const bool sha2 = flags.Switch("sha2");
  const bool deprecate_eof = !flags.Switch("no-deprecate-eof");
  flags.RefuseUnknown();
  bulkhead::bench::RaiseFileLimit();
  std::make_unique<bulkhead::bench::Server>(address, version, sha2, deprecate_eof)->Run();
}
