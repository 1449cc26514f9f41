// The SQLSTATE of an error of the admin listener.
//
// Thread: any; pure. Codes: MySQL's own where there is one, 9420 to 9423
// (proxy/control/operators.h) and 9401 to 9411 otherwise; HY000 for all others. Source: MySQL 8.0
// Error Message Reference.
#ifndef BULKHEAD_PROXY_ADMIN_ERROR_STATE_H_
#define BULKHEAD_PROXY_ADMIN_ERROR_STATE_H_

#include <cstdint>
#include <string_view>

namespace bulkhead::admin {

[[nodiscard]] std::string_view StateOf(uint16_t code);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_ERROR_STATE_H_
