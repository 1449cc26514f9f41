#include "proxy/io/undelivered.h"

#include <linux/filter.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace bulkhead::io {

namespace {

// One instruction: accept 0 bytes of whatever arrives.
bool MakeDeaf(int fd) {
  sock_filter drop_all[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  const sock_fprog program{1, drop_all};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

}  // namespace

bool IsTcp(int fd) {
  int protocol = 0;
  socklen_t length = sizeof protocol;
  return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) == 0 &&
         protocol == IPPROTO_TCP;
}

bool StuckInKernel(int fd) {
  if (!MakeDeaf(fd)) return false;
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return false;
  const bool lost = info.tcpi_ca_state == TCP_CA_Loss && info.tcpi_retransmits > 0;
  const bool window_closed = info.tcpi_probes > 0 && info.tcpi_unacked == 0;
  if (!lost && !window_closed) return false;
  int unsent = 0;
  return ioctl(fd, SIOCOUTQNSD, &unsent) == 0 && unsent > 0;
}

}  // namespace bulkhead::io
