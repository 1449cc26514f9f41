// Listening sockets that the process did not make itself: from systemd's socket activation, or from
// the process that it takes over from.
//
// Purpose: says which listener of the configuration each one is for, and spreads them over the
// workers. First by address: a socket that is bound to what the configuration says. Then by name
// (FileDescriptorName=): `mysql`, `admin` or `http`, for the first such listener that has none; its
// own address counts then, not the configuration's.
// Thread: the main thread, at start. Limits: kMostGiven sockets.
// Errors: a descriptor that is no listening stream socket is refused in words; one that no listener
// is for is told by Unused and closed.
// Source: sd_listen_fds(3), systemd.socket(5), socket(7) SO_REUSEPORT.
#ifndef BULKHEAD_PROXY_GIVEN_SOCKETS_H_
#define BULKHEAD_PROXY_GIVEN_SOCKETS_H_

#include <string>
#include <vector>

#include "proxy/io/listener.h"
#include "proxy/io/socket_address.h"

namespace bulkhead {

struct GivenSocket {
  int fd = -1;
  std::string name;
  io::SocketAddress address;
  // A Unix socket's file is removed at the end by whoever made it; systemd keeps its own.
  bool keep_file = true;
};

struct WantedListener {
  std::string name;  // mysql, admin or http
  io::SocketAddress address;
};

// For each wanted listener the indexes of the sockets that are for it. Pure.
[[nodiscard]] std::vector<std::vector<size_t>> MatchSockets(
    const std::vector<WantedListener>& wanted, const std::vector<GivenSocket>& given);

class GivenSockets {
 public:
  static constexpr size_t kMostGiven = 1024;

  GivenSockets() = default;
  ~GivenSockets();  // closes what was not taken
  GivenSockets(const GivenSockets&) = delete;
  GivenSockets& operator=(const GivenSockets&) = delete;

  // The descriptors of socket activation, once: children do not find them. "" or what is wrong.
  [[nodiscard]] std::string AddFromEnvironment();
  // The fd is this object's from then on, whatever comes of it. "" or what is wrong.
  [[nodiscard]] std::string Add(int fd, const std::string& name, bool keep_file);
  // Once, before Take.
  void Match(const std::vector<WantedListener>& wanted);
  // Those for wanted[index]; the caller's from then on.
  [[nodiscard]] std::vector<GivenSocket> Take(size_t index);
  // In words; "": all are for somebody.
  [[nodiscard]] std::string Unused() const;
  // Closes those; the files of Unix sockets that are ours to remove go with them.
  void DropUnused();
  [[nodiscard]] bool empty() const { return given_.empty(); }

 private:
  std::vector<GivenSocket> given_;
  std::vector<std::vector<size_t>> matched_;
  std::vector<bool> used_;
};

// Of one listener's sockets, those of each worker: every socket gets somebody who accepts. Where
// there are fewer than workers, a TCP address gets further sockets (SO_REUSEPORT) if the kernel
// allows it, and is shared otherwise; a Unix socket is worker 0's. The fds are the workers'.
[[nodiscard]] std::vector<std::vector<io::GivenListener>> SpreadSockets(
    const std::vector<GivenSocket>& sockets, size_t workers);

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_GIVEN_SOCKETS_H_
