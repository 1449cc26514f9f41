// The errors that the router makes itself: code, SQLSTATE, name and text, in one list.
//
// Purpose: one list for code and documentation; everything else that clients see as an error came
// from a server and passes untouched.
// Thread: any; constants.
// Units: codes below 9400 are MySQL's and MariaDB's own and mean what they mean there; 9401 to 9411
// are Bulkhead's (PRODUCT.md, "Holding and refusing"). 08S01 is never used: PDO prints it as
// "Communication link failure", at which one framework runs the statement again. Where the servers
// say 08S01, an error that ends the connection is 08P01 here, another one HY000.
// Sources: PRODUCT.md; MariaDB's mysqld_error.h and "Error Codes"; MySQL's messages_to_clients.txt.
#ifndef BULKHEAD_PROXY_WIRE_CLIENT_ERRORS_H_
#define BULKHEAD_PROXY_WIRE_CLIENT_ERRORS_H_

#include <array>
#include <cstdint>
#include <string_view>

namespace bulkhead::wire {

enum class ClientError : uint16_t {
  kTooManyConnections = 1040,
  kHandshakeError = 1043,
  kDatabaseAccessDenied = 1044,
  kAccessDenied = 1045,
  kNoDatabase = 1046,
  kUnknownCommand = 1047,
  kUnknownDatabase = 1049,
  kServerShutdown = 1053,
  kParseError = 1064,
  kNoSuchThread = 1094,
  kKillDenied = 1095,
  kUnknownError = 1105,
  kPacketTooLarge = 1153,
  kPacketsOutOfOrder = 1156,
  kUncompressError = 1157,
  kReadError = 1158,
  kReadTimeout = 1159,
  kWriteError = 1160,
  kWriteTimeout = 1161,
  kTooManyUserConnections = 1203,
  kLockWaitTimeout = 1205,
  kWrongArguments = 1210,
  kDeadlock = 1213,
  kSpecificAccessDenied = 1227,
  kWrongValueForVariable = 1231,
  kNotSupportedYet = 1235,
  kUnknownStatementHandler = 1243,
  kUnsupportedAuthMode = 1251,
  kOptionPreventsStatement = 1290,
  kTooManyStatements = 1461,
  kQueryInterrupted = 1317,
  kPluginNotLoaded = 1524,
  kNeedReprepare = 1615,
  kAccessDeniedNoPassword = 1698,
  kMalformedPacket = 1835,
  kSecureTransportRequired = 3159,

  kSliceUnavailable = 9401,
  kHoldQueueFull = 9402,
  kHeldTooLong = 9403,
  kTenantMoving = 9404,
  kTenantOverLimit = 9405,
  kTenantChangeRefused = 9406,
  kOutcomeUnknown = 9410,
  kStateLost = 9411,
};

struct ClientErrorInfo {
  ClientError error;
  std::string_view sqlstate;
  std::string_view name;
  std::string_view text;  // what is said where nothing better is known
};

inline constexpr auto kClientErrors = std::to_array<ClientErrorInfo>({
    {ClientError::kTooManyConnections, "08004", "ER_CON_COUNT_ERROR", "Too many connections"},
    {ClientError::kHandshakeError, "08P01", "ER_HANDSHAKE_ERROR", "Bad handshake"},
    {ClientError::kDatabaseAccessDenied, "42000", "ER_DBACCESS_DENIED_ERROR",
     "Access denied for user to database"},
    {ClientError::kAccessDenied, "28000", "ER_ACCESS_DENIED_ERROR", "Access denied for user"},
    {ClientError::kNoDatabase, "3D000", "ER_NO_DB_ERROR", "No database selected"},
    {ClientError::kUnknownCommand, "HY000", "ER_UNKNOWN_COM_ERROR", "Unknown command"},
    {ClientError::kUnknownDatabase, "42000", "ER_BAD_DB_ERROR", "Unknown database"},
    {ClientError::kServerShutdown, "HY000", "ER_SERVER_SHUTDOWN", "Server shutdown in progress"},
    {ClientError::kParseError, "42000", "ER_PARSE_ERROR", "You have an error in your SQL syntax"},
    {ClientError::kNoSuchThread, "HY000", "ER_NO_SUCH_THREAD", "Unknown thread id"},
    {ClientError::kKillDenied, "HY000", "ER_KILL_DENIED_ERROR", "You are not owner of thread"},
    {ClientError::kUnknownError, "HY000", "ER_UNKNOWN_ERROR", "Unknown error"},
    {ClientError::kPacketTooLarge, "08P01", "ER_NET_PACKET_TOO_LARGE",
     "Got a packet bigger than 'max_allowed_packet' bytes"},
    {ClientError::kPacketsOutOfOrder, "08P01", "ER_NET_PACKETS_OUT_OF_ORDER",
     "Got packets out of order"},
    {ClientError::kUncompressError, "08P01", "ER_NET_UNCOMPRESS_ERROR",
     "Couldn't uncompress communication packet"},
    {ClientError::kReadError, "08P01", "ER_NET_READ_ERROR",
     "Got an error reading communication packets"},
    {ClientError::kReadTimeout, "08P01", "ER_NET_READ_INTERRUPTED",
     "Got timeout reading communication packets"},
    {ClientError::kWriteError, "08P01", "ER_NET_ERROR_ON_WRITE",
     "Got an error writing communication packets"},
    {ClientError::kWriteTimeout, "08P01", "ER_NET_WRITE_INTERRUPTED",
     "Got timeout writing communication packets"},
    {ClientError::kTooManyUserConnections, "42000", "ER_TOO_MANY_USER_CONNECTIONS",
     "User already has more than 'max_user_connections' active connections"},
    {ClientError::kLockWaitTimeout, "HY000", "ER_LOCK_WAIT_TIMEOUT",
     "Lock wait timeout exceeded; try restarting transaction"},
    {ClientError::kWrongArguments, "HY000", "ER_WRONG_ARGUMENTS", "Incorrect arguments"},
    {ClientError::kDeadlock, "40001", "ER_LOCK_DEADLOCK",
     "Deadlock found when trying to get lock; try restarting transaction"},
    {ClientError::kSpecificAccessDenied, "42000", "ER_SPECIFIC_ACCESS_DENIED_ERROR",
     "Access denied; you need a privilege for this operation"},
    {ClientError::kWrongValueForVariable, "42000", "ER_WRONG_VALUE_FOR_VAR",
     "Variable can't be set to this value"},
    {ClientError::kNotSupportedYet, "42000", "ER_NOT_SUPPORTED_YET", "This is not supported here"},
    {ClientError::kUnknownStatementHandler, "HY000", "ER_UNKNOWN_STMT_HANDLER",
     "Unknown prepared statement handler"},
    {ClientError::kUnsupportedAuthMode, "08004", "ER_NOT_SUPPORTED_AUTH_MODE",
     "Client does not support authentication protocol requested by server"},
    {ClientError::kOptionPreventsStatement, "HY000", "ER_OPTION_PREVENTS_STATEMENT",
     "The server is running with an option that prevents this statement"},
    {ClientError::kTooManyStatements, "42000", "ER_MAX_PREPARED_STMT_COUNT_REACHED",
     "Can't create more than max_prepared_stmt_count statements"},
    {ClientError::kQueryInterrupted, "70100", "ER_QUERY_INTERRUPTED",
     "Query execution was interrupted"},
    {ClientError::kPluginNotLoaded, "HY000", "ER_PLUGIN_IS_NOT_LOADED", "Plugin is not loaded"},
    {ClientError::kNeedReprepare, "HY000", "ER_NEED_REPREPARE",
     "Prepared statement needs to be re-prepared"},
    {ClientError::kAccessDeniedNoPassword, "28000", "ER_ACCESS_DENIED_NO_PASSWORD_ERROR",
     "Access denied for user"},
    {ClientError::kMalformedPacket, "HY000", "ER_MALFORMED_PACKET",
     "Malformed communication packet"},
    {ClientError::kSecureTransportRequired, "HY000", "ER_SECURE_TRANSPORT_REQUIRED",
     "Connections using insecure transport are prohibited"},
    {ClientError::kSliceUnavailable, "HY000", "BULKHEAD_SLICE_UNAVAILABLE",
     "the shard is unavailable; executed=no"},
    {ClientError::kHoldQueueFull, "HY000", "BULKHEAD_HOLD_QUEUE_FULL",
     "the shard is unavailable and its hold queue is full; executed=no"},
    {ClientError::kHeldTooLong, "HY000", "BULKHEAD_HELD_TOO_LONG",
     "the statement was held too long; executed=no"},
    {ClientError::kTenantMoving, "HY000", "BULKHEAD_TENANT_MOVING",
     "the tenant is being moved or drained; executed=no"},
    {ClientError::kTenantOverLimit, "HY000", "BULKHEAD_TENANT_OVER_LIMIT",
     "the tenant is over its limit; executed=no"},
    {ClientError::kTenantChangeRefused, "HY000", "BULKHEAD_TENANT_CHANGE_REFUSED",
     "the tenant can't be changed so; executed=no"},
    {ClientError::kOutcomeUnknown, "HY000", "BULKHEAD_OUTCOME_UNKNOWN",
     "no answer came after the statement was sent; executed=unknown; see SHOW UNKNOWN"},
    {ClientError::kStateLost, "HY000", "BULKHEAD_STATE_LOST",
     "the state of the session no longer exists; executed=no; see SHOW UNKNOWN"},
});

// The entry of an error. Every enumerator has one (a test checks).
[[nodiscard]] constexpr const ClientErrorInfo& InfoOf(ClientError error) {
  for (const ClientErrorInfo& info : kClientErrors) {
    if (info.error == error) return info;
  }
  return kClientErrors[0];
}

// SQLSTATE of 9410 and 9411 when the connection closes with the answer.
inline constexpr std::string_view kSqlstateOutcomeUnknownClosing = "08007";

}  // namespace bulkhead::wire

#endif  // BULKHEAD_PROXY_WIRE_CLIENT_ERRORS_H_
