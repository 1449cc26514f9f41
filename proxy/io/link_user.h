// Who is told what happens on a backend connection that is lent or kept.
//
// Thread: the worker's.
#ifndef BULKHEAD_PROXY_IO_LINK_USER_H_
#define BULKHEAD_PROXY_IO_LINK_USER_H_

#include <cstdint>
#include <span>

#include "proxy/session/session_shell.h"

namespace bulkhead::io {

class LinkUser {
 public:
  virtual ~LinkUser() = default;
  // The answer to Acquire, where it was not given at once.
  virtual void OnLink(session::BackendLink* link) = 0;
  virtual void OnLinkFailed(const session::RouterError& error) = 0;
  virtual void OnLinkBytes(std::span<uint8_t> bytes) = 0;
  // Output to the backend has fallen to the low watermark.
  virtual void OnLinkWritable() = 0;
  virtual void OnLinkLost(bool known_dead) = 0;
  virtual void OnLinkRobbed(session::SavedDiagnostics saved) = 0;
  virtual void OnTransactionFound() = 0;
  // A kept connection that was busy with an errand of the router is only kept again.
  virtual void OnLinkBack() = 0;
  // The backend is given up: the connection was reset under a request. `undelivered`: its end
  // provably never arrived.
  virtual void OnLinkGivenUp(bool undelivered) = 0;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_LINK_USER_H_
