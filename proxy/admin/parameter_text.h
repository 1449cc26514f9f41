// A bound parameter of a prepared statement as a literal of SQL.
//
// Purpose: placeholders are replaced by literals, and the text then is a statement like any other.
// Thread: any; pure. Errors: nullopt: a type that can't be sent, or bytes that are no value of it.
// Source: dev.mysql.com page_protocol_binary_resultset, "Binary Protocol Value".
#ifndef BULKHEAD_PROXY_ADMIN_PARAMETER_TEXT_H_
#define BULKHEAD_PROXY_ADMIN_PARAMETER_TEXT_H_

#include <optional>
#include <string>

#include "proxy/wire/execute_messages.h"

namespace bulkhead::admin {

[[nodiscard]] std::optional<std::string> ParameterText(const wire::Parameter& parameter);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_PARAMETER_TEXT_H_
