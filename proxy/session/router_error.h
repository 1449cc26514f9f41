// An error of the router's own, ready to be sent. A plain value.
#ifndef BULKHEAD_PROXY_SESSION_ROUTER_ERROR_H_
#define BULKHEAD_PROXY_SESSION_ROUTER_ERROR_H_

#include <cstdint>
#include <string>

namespace bulkhead::session {

struct RouterError {
  uint16_t code = 0;
  std::string sqlstate;  // five characters
  std::string message;
};

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_ROUTER_ERROR_H_
