#include "proxy/given_sockets.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace bulkhead {

namespace {

bool ReusesPort(int fd) {
  int on = 0;
  socklen_t size = sizeof on;
  return getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, &size) == 0 && on != 0;
}

}  // namespace

std::vector<std::vector<size_t>> MatchSockets(const std::vector<WantedListener>& wanted,
                                              const std::vector<GivenSocket>& given) {
  std::vector<std::vector<size_t>> matched(wanted.size());
  std::vector<bool> used(given.size());
  const auto take_all_at = [&](const std::string& address, std::vector<size_t>* out) {
    for (size_t g = 0; g < given.size(); ++g) {
      if (used[g] || given[g].address.ToText() != address) continue;
      used[g] = true;
      out->push_back(g);
    }
  };
  for (size_t w = 0; w < wanted.size(); ++w) take_all_at(wanted[w].address.ToText(), &matched[w]);
  for (size_t w = 0; w < wanted.size(); ++w) {
    for (size_t g = 0; matched[w].empty() && g < given.size(); ++g) {
      if (!used[g] && given[g].name == wanted[w].name)
        take_all_at(given[g].address.ToText(), &matched[w]);
    }
  }
  return matched;
}

GivenSockets::~GivenSockets() {
  for (const GivenSocket& socket : given_) {
    if (socket.fd >= 0) close(socket.fd);
  }
}

std::string GivenSockets::AddFromEnvironment() {
  char** names = nullptr;
  const int count = sd_listen_fds_with_names(/*unset_environment=*/1, &names);
  if (count < 0)
    return absl::StrCat("the sockets of LISTEN_FDS can't be used: ", std::strerror(-count));
  std::string error;
  for (int i = 0; i < count; ++i) {
    const std::string one = Add(SD_LISTEN_FDS_START + i, names[i], /*keep_file=*/true);
    if (error.empty()) error = one;
    std::free(names[i]);
  }
  std::free(names);
  return error;
}

std::string GivenSockets::Add(int fd, const std::string& name, bool keep_file) {
  const std::string what = absl::StrCat("the given descriptor ", fd, " (", name, ")");
  if (given_.size() >= kMostGiven) {
    close(fd);
    return absl::StrCat(what, " is one too many: ", kMostGiven, " are taken at most");
  }
  given_.push_back({.fd = fd, .name = name, .address = {}, .keep_file = keep_file});
  if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, /*listening=*/1) <= 0)
    return what + " is no listening stream socket (ListenStream= without Accept=yes)";
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 ||
      fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) != 0)
    return absl::StrCat(what, " can't be used: ", std::strerror(errno));
  io::SocketAddress& address = given_.back().address;
  address.length = sizeof address.storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0)
    return absl::StrCat(what, " has no address: ", std::strerror(errno));
  return {};
}

void GivenSockets::Match(const std::vector<WantedListener>& wanted) {
  matched_ = MatchSockets(wanted, given_);
  used_.assign(given_.size(), false);
  for (const std::vector<size_t>& one : matched_) {
    for (const size_t index : one) used_[index] = true;
  }
}

std::vector<GivenSocket> GivenSockets::Take(size_t index) {
  std::vector<GivenSocket> taken;
  if (index >= matched_.size()) return taken;
  for (const size_t one : matched_[index]) {
    taken.push_back(given_[one]);
    given_[one].fd = -1;
  }
  matched_[index].clear();
  return taken;
}

std::string GivenSockets::Unused() const {
  std::string words;
  for (size_t i = 0; i < given_.size(); ++i) {
    if (used_[i]) continue;
    absl::StrAppend(&words, words.empty() ? "" : ", ", given_[i].address.ToText(), " (",
                    given_[i].name, ")");
  }
  return words;
}

void GivenSockets::DropUnused() {
  for (GivenSocket& socket : given_) {
    if (socket.fd < 0) continue;
    if (socket.address.is_unix() && !socket.keep_file)
      (void)unlink(socket.address.HostText().c_str());
    close(std::exchange(socket.fd, -1));
  }
}

std::vector<std::vector<io::GivenListener>> SpreadSockets(const std::vector<GivenSocket>& sockets,
                                                          size_t workers) {
  std::vector<std::vector<io::GivenListener>> spread(workers);
  if (sockets.empty() || workers == 0) return spread;
  for (size_t i = 0; i < sockets.size(); ++i) {
    spread[i % workers].push_back(
        {.fd = sockets[i].fd, .keep_file = sockets[i].keep_file, .shared = false});
  }
  const GivenSocket& first = sockets.front();
  if (first.address.is_unix()) return spread;
  bool may_bind = ReusesPort(first.fd);
  for (size_t i = sockets.size(); i < workers; ++i) {
    std::string error;
    io::SocketAddress address = first.address;
    // Refused where another user made the first one, such as systemd.
    const int own = may_bind ? io::Listener::Bind(&address, {}, &error) : -1;
    may_bind = own >= 0;
    if (own >= 0) {
      spread[i].push_back({.fd = own, .keep_file = false, .shared = false});
      continue;
    }
    const size_t other = i % sockets.size();
    const int copy = fcntl(sockets[other].fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) continue;  // it accepts by the others
    spread[other % workers].front().shared = true;
    spread[i].push_back({.fd = copy, .keep_file = true, .shared = true});
  }
  return spread;
}

}  // namespace bulkhead
