#include "proxy/admin/error_state.h"

#include <utility>

#include "proxy/wire/client_errors.h"

namespace bulkhead::admin {

std::string_view StateOf(uint16_t code) {
  for (const wire::ClientErrorInfo& info : wire::kClientErrors) {
    if (static_cast<uint16_t>(info.error) == code) return info.sqlstate;
  }
  constexpr std::pair<uint16_t, std::string_view> kOthers[] = {
      {1054, "42S22"},  // ER_BAD_FIELD_ERROR
      {1065, "42000"},  // ER_EMPTY_QUERY
      {1142, "42000"},  // ER_TABLEACCESS_DENIED_ERROR
      {1146, "42S02"},  // ER_NO_SUCH_TABLE
      {1305, "42000"},  // ER_SP_DOES_NOT_EXIST
      {1390, "HY000"},  // ER_PS_MANY_PARAM
      {1421, "HY000"},  // ER_STMT_HAS_NO_OPEN_CURSOR
  };
  for (const auto& [known, state] : kOthers) {
    if (known == code) return state;
  }
  return "HY000";
}

}  // namespace bulkhead::admin
