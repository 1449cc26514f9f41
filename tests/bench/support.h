// What the benchmark programs share: arguments, sockets, MySQL packets as bytes.
//
// These programs judge the router, so they use nothing of it: a mistake in its protocol code must
// not be cancelled out by the same mistake here.
// Sources of protocol facts: MySQL Internals "Client/Server Protocol" (Protocol::Packet,
// HandshakeV10, HandshakeResponse41, OK_Packet, COM_QUERY Response, Binary Protocol Resultset),
// MariaDB Knowledge Base "Clients & Utilities / Connection protocol".
#ifndef BULKHEAD_TESTS_BENCH_SUPPORT_H_
#define BULKHEAD_TESTS_BENCH_SUPPORT_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>

namespace bulkhead::bench {

[[noreturn]] inline void Die(const std::string& what) {
  fprintf(stderr, "%s%s%s\n", what.c_str(), errno != 0 ? ": " : "",
          errno != 0 ? strerror(errno) : "");
  exit(1);
}

// --name value, --name=value; a name followed by another name or nothing is a switch.
class Flags {
 public:
  Flags(int argc, char** argv, std::string_view usage) {
    for (int i = 1; i < argc; ++i) {
      const std::string_view arg = argv[i];
      if (!arg.starts_with("--") || arg == "--help") {
        fprintf(stderr, "%s", std::string(usage).c_str());
        exit(arg == "--help" ? 0 : 2);
      }
      const size_t equals = arg.find('=');
      if (equals != std::string_view::npos) {
        values_[std::string(arg.substr(2, equals - 2))] = arg.substr(equals + 1);
      } else if (i + 1 < argc && !std::string_view(argv[i + 1]).starts_with("--")) {
        values_[std::string(arg.substr(2))] = argv[++i];
      } else {
        values_[std::string(arg.substr(2))] = "";
      }
    }
  }
  [[nodiscard]] std::string Text(const std::string& name, const std::string& otherwise) {
    const auto it = values_.find(name);
    if (it == values_.end()) return otherwise;
    const std::string value = it->second;
    values_.erase(it);
    return value;
  }
  [[nodiscard]] double Number(const std::string& name, double otherwise) {
    const std::string text = Text(name, "");
    return text.empty() ? otherwise : atof(text.c_str());
  }
  [[nodiscard]] bool Switch(const std::string& name) { return values_.erase(name) > 0; }
  // To be called when all have been asked for.
  void RefuseUnknown() const {
    if (values_.empty()) return;
    errno = 0;
    Die("unknown option --" + values_.begin()->first);
  }

 private:
  std::map<std::string, std::string> values_;
};

// A numeric IPv4 address and port, or the path of a Unix socket.
struct Address {
  std::string host = "127.0.0.1";
  int port = 0;
  std::string path = {};

  [[nodiscard]] int NewSocket() const {
    const int family = path.empty() ? AF_INET : AF_UNIX;
    const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) Die("socket");
    return fd;
  }
  template <typename Call>
  int With(Call call) const {
    if (path.empty()) {
      sockaddr_in in{};
      in.sin_family = AF_INET;
      in.sin_port = htons(static_cast<uint16_t>(port));
      if (inet_pton(AF_INET, host.c_str(), &in.sin_addr) != 1) Die("address " + host);
      return call(reinterpret_cast<sockaddr*>(&in), sizeof(in));
    }
    sockaddr_un un{};
    un.sun_family = AF_UNIX;
    if (path.size() >= sizeof(un.sun_path)) Die("path too long: " + path);
    memcpy(un.sun_path, path.c_str(), path.size() + 1);
    return call(reinterpret_cast<sockaddr*>(&un), sizeof(un));
  }
};

inline void NoDelay(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));  // fails on a Unix socket: no harm
}

// Listens, and says so on stdout, which is what starting scripts wait for.
[[nodiscard]] inline int Listen(const Address& address) {
  const int fd = address.NewSocket();
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  if (!address.path.empty()) unlink(address.path.c_str());
  if (address.With([fd](sockaddr* to, socklen_t size) { return bind(fd, to, size); }) != 0) {
    Die("bind");
  }
  if (listen(fd, 4096) != 0) Die("listen");
  printf("listening\n");
  fflush(stdout);
  return fd;
}

// A non-blocking connect that has begun; -1 where it failed at once.
[[nodiscard]] inline int Connect(const Address& address) {
  const int fd = address.NewSocket();
  NoDelay(fd);
  const int result =
      address.With([fd](sockaddr* to, socklen_t size) { return connect(fd, to, size); });
  if (result == 0 || errno == EINPROGRESS) return fd;
  close(fd);
  return -1;
}

inline void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

enum Capability : uint32_t {
  kLongPassword = 1u << 0,
  kLongFlag = 1u << 2,
  kConnectWithDb = 1u << 3,
  kProtocol41 = 1u << 9,
  kSsl = 1u << 11,
  kTransactions = 1u << 13,
  kSecureConnection = 1u << 15,
  kMultiStatements = 1u << 16,
  kMultiResults = 1u << 17,
  kPsMultiResults = 1u << 18,
  kPluginAuth = 1u << 19,
  kConnectAttrs = 1u << 20,
  kPluginAuthLenenc = 1u << 21,
  kSessionTrack = 1u << 23,
  kDeprecateEof = 1u << 24,
};

enum Status : uint16_t { kInTransaction = 1, kAutocommit = 2 };

// Appends the parts of a packet's payload.
class Payload {
 public:
  Payload& Int(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) bytes_.push_back(static_cast<char>(value >> (8 * i)));
    return *this;
  }
  Payload& Bytes(std::string_view text) {
    bytes_.append(text);
    return *this;
  }
  Payload& Zero() { return Int(0, 1); }
  Payload& LengthEncoded(std::string_view text) {
    if (text.size() < 251) {
      Int(text.size(), 1);
    } else {
      Int(0xfc, 1).Int(text.size(), 2);
    }
    return Bytes(text);
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Appends the packet with its header; the sequence id counts up.
inline void AppendPacket(std::string* out, uint8_t* sequence, const Payload& payload) {
  const size_t size = payload.bytes().size();
  out->push_back(static_cast<char>(size));
  out->push_back(static_cast<char>(size >> 8));
  out->push_back(static_cast<char>(size >> 16));
  out->push_back(static_cast<char>((*sequence)++));
  out->append(payload.bytes());
}

[[nodiscard]] inline uint64_t ReadInt(std::string_view bytes, size_t at, int size) {
  uint64_t value = 0;
  for (int i = 0; i < size; ++i) {
    value |= uint64_t{static_cast<uint8_t>(bytes[at + static_cast<size_t>(i)])} << (8 * i);
  }
  return value;
}

}  // namespace bulkhead::bench

#endif  // BULKHEAD_TESTS_BENCH_SUPPORT_H_
