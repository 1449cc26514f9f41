// Capability bits that client and server agree on, and the status flags that a server reports.
//
// Purpose: one set of names; which bits change the layout of what, so that the router knows which
// of them must be equal on a client's connection and on the backend connection that serves it.
// Thread: any; constants and pure functions.
// Units: 64 bits; the low 32 are MySQL's, the high 32 MariaDB's, sent in bytes that are zero in
// MySQL and meant only while CLIENT_MYSQL (bit 0, MySQL's CLIENT_LONG_PASSWORD) is off.
// Sources: dev.mysql.com group__group__cs__capabilities__flags and SERVER_STATUS_flags_enum;
// MariaDB "Connecting" (capabilities) and "OK_Packet" (status); include/mysql_com.h of both
// servers.
#ifndef BULKHEAD_PROXY_WIRE_CAPABILITIES_H_
#define BULKHEAD_PROXY_WIRE_CAPABILITIES_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::wire {

using Capabilities = uint64_t;

// Bit 0 has two names. MySQL: old, always set. MariaDB: "I am MySQL": while it is off, the extended
// bits are spoken.
inline constexpr Capabilities kClientMysql = 1ull << 0;
inline constexpr Capabilities kClientLongPassword = kClientMysql;
inline constexpr Capabilities kClientFoundRows = 1ull << 1;
inline constexpr Capabilities kClientLongFlag = 1ull << 2;
inline constexpr Capabilities kClientConnectWithDb = 1ull << 3;
inline constexpr Capabilities kClientNoSchema = 1ull << 4;
inline constexpr Capabilities kClientCompress = 1ull << 5;  // zlib
inline constexpr Capabilities kClientOdbc = 1ull << 6;
inline constexpr Capabilities kClientLocalFiles = 1ull << 7;
inline constexpr Capabilities kClientIgnoreSpace = 1ull << 8;
inline constexpr Capabilities kClientProtocol41 = 1ull << 9;
inline constexpr Capabilities kClientInteractive = 1ull << 10;
inline constexpr Capabilities kClientSsl = 1ull << 11;
inline constexpr Capabilities kClientIgnoreSigpipe = 1ull << 12;
inline constexpr Capabilities kClientTransactions = 1ull << 13;
inline constexpr Capabilities kClientReserved = 1ull << 14;
inline constexpr Capabilities kClientSecureConnection = 1ull << 15;  // MySQL: RESERVED2
inline constexpr Capabilities kClientMultiStatements = 1ull << 16;
inline constexpr Capabilities kClientMultiResults = 1ull << 17;
inline constexpr Capabilities kClientPsMultiResults = 1ull << 18;
inline constexpr Capabilities kClientPluginAuth = 1ull << 19;
inline constexpr Capabilities kClientConnectAttrs = 1ull << 20;
inline constexpr Capabilities kClientPluginAuthLenencClientData = 1ull << 21;
inline constexpr Capabilities kClientCanHandleExpiredPasswords = 1ull << 22;
inline constexpr Capabilities kClientSessionTrack = 1ull << 23;
inline constexpr Capabilities kClientDeprecateEof = 1ull << 24;
inline constexpr Capabilities kClientOptionalResultsetMetadata = 1ull << 25;  // MySQL 8
inline constexpr Capabilities kClientZstdCompressionAlgorithm = 1ull << 26;   // MySQL 8.0.18
inline constexpr Capabilities kClientQueryAttributes = 1ull << 27;            // MySQL 8.0.23
inline constexpr Capabilities kClientMultiFactorAuthentication = 1ull << 28;  // MySQL 8.0.27
inline constexpr Capabilities kClientCapabilityExtension = 1ull << 29;  // MariaDB: old PROGRESS
inline constexpr Capabilities kClientSslVerifyServerCert = 1ull << 30;  // a client's own option
inline constexpr Capabilities kClientRememberOptions = 1ull << 31;      // a client's own option

inline constexpr Capabilities kMariadbClientProgress = 1ull << 32;
inline constexpr Capabilities kMariadbClientComMulti = 1ull << 33;            // removed in 10.5
inline constexpr Capabilities kMariadbClientStmtBulkOperations = 1ull << 34;  // 10.2
inline constexpr Capabilities kMariadbClientExtendedMetadata = 1ull << 35;    // 10.5
inline constexpr Capabilities kMariadbClientCacheMetadata = 1ull << 36;       // 10.6
inline constexpr Capabilities kMariadbClientBulkUnitResults = 1ull << 37;     // 11.5

inline constexpr Capabilities kMysqlCapabilityMask = 0x00000000FFFFFFFFull;
inline constexpr Capabilities kMariadbCapabilityMask = 0xFFFFFFFF00000000ull;

// Bits that change the layout or the number of the packets of a response. Where a client's and a
// backend's differ, responses can't pass untouched.
inline constexpr Capabilities kResultShapeBits =
    kClientProtocol41 | kClientSessionTrack | kClientDeprecateEof |
    kClientOptionalResultsetMetadata | kMariadbClientProgress | kMariadbClientExtendedMetadata |
    kMariadbClientCacheMetadata;

// Bits that change the layout of commands, or say which commands exist.
inline constexpr Capabilities kCommandShapeBits =
    kClientQueryAttributes | kMariadbClientStmtBulkOperations | kMariadbClientBulkUnitResults;

// Bits that change what a statement does or may answer. A pooled connection serves only sessions
// that agree in these.
inline constexpr Capabilities kStatementMeaningBits =
    kClientFoundRows | kClientNoSchema | kClientOdbc | kClientLocalFiles | kClientIgnoreSpace |
    kClientInteractive | kClientMultiStatements | kClientMultiResults | kClientPsMultiResults;

// Bits that concern one connection only: how to log in, encrypt and compress.
inline constexpr Capabilities kConnectionOnlyBits =
    kClientMysql | kClientLongFlag | kClientConnectWithDb | kClientCompress | kClientSsl |
    kClientIgnoreSigpipe | kClientTransactions | kClientReserved | kClientSecureConnection |
    kClientPluginAuth | kClientConnectAttrs | kClientPluginAuthLenencClientData |
    kClientCanHandleExpiredPasswords | kClientZstdCompressionAlgorithm |
    kClientMultiFactorAuthentication | kClientCapabilityExtension | kClientSslVerifyServerCert |
    kClientRememberOptions | kMariadbClientComMulti;

// The name of one bit (0..63) as the servers write it, without CLIENT_; empty for an unnamed bit.
[[nodiscard]] std::string_view CapabilityName(int bit);

// "PROTOCOL_41|SSL|..." for logs; unnamed bits as "bit40".
[[nodiscard]] std::string CapabilitiesToString(Capabilities capabilities);

// Server status flags, in OK and EOF packets and in the greeting.
using ServerStatus = uint16_t;
inline constexpr ServerStatus kStatusInTransaction = 0x0001;
inline constexpr ServerStatus kStatusAutocommit = 0x0002;
inline constexpr ServerStatus kStatusMoreResultsExist = 0x0008;
inline constexpr ServerStatus kStatusNoGoodIndexUsed = 0x0010;
inline constexpr ServerStatus kStatusNoIndexUsed = 0x0020;
inline constexpr ServerStatus kStatusCursorExists = 0x0040;
inline constexpr ServerStatus kStatusLastRowSent = 0x0080;
inline constexpr ServerStatus kStatusDbDropped = 0x0100;
inline constexpr ServerStatus kStatusNoBackslashEscapes = 0x0200;
inline constexpr ServerStatus kStatusMetadataChanged = 0x0400;
inline constexpr ServerStatus kStatusQueryWasSlow = 0x0800;
inline constexpr ServerStatus kStatusPsOutParams = 0x1000;
inline constexpr ServerStatus kStatusInTransactionReadOnly = 0x2000;
inline constexpr ServerStatus kStatusSessionStateChanged = 0x4000;
inline constexpr ServerStatus kStatusAnsiQuotes = 0x8000;  // MariaDB only

// "IN_TRANS|AUTOCOMMIT" for logs.
[[nodiscard]] std::string ServerStatusToString(ServerStatus status);

}  // namespace bulkhead::wire

#endif  // BULKHEAD_PROXY_WIRE_CAPABILITIES_H_
