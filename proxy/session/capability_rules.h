// Which capabilities the router offers to clients, and which a backend connection must have to
// serve one.
//
// Purpose: agreed with the client before a backend is known, so they must be the same on the
// connection it gets: results
//   pass untouched only then.
// Thread: any; pure. Sources: as proxy/wire/capabilities.h.
#ifndef BULKHEAD_PROXY_SESSION_CAPABILITY_RULES_H_
#define BULKHEAD_PROXY_SESSION_CAPABILITY_RULES_H_

#include "proxy/session/login.h"
#include "proxy/wire/capabilities.h"

namespace bulkhead::session {

// What a listener of this family announces, compression apart.
[[nodiscard]] constexpr wire::Capabilities OfferedToClients(ServerFamily family) {
  constexpr wire::Capabilities kBoth =
      wire::kClientFoundRows | wire::kClientLongFlag | wire::kClientConnectWithDb |
      wire::kClientNoSchema | wire::kClientOdbc | wire::kClientLocalFiles |
      wire::kClientIgnoreSpace | wire::kClientProtocol41 | wire::kClientInteractive |
      wire::kClientTransactions | wire::kClientSecureConnection | wire::kClientMultiStatements |
      wire::kClientMultiResults | wire::kClientPsMultiResults | wire::kClientPluginAuth |
      wire::kClientConnectAttrs | wire::kClientPluginAuthLenencClientData |
      wire::kClientCanHandleExpiredPasswords | wire::kClientSessionTrack |
      wire::kClientDeprecateEof;
  switch (family) {
    case ServerFamily::kMysql:
      return kBoth | wire::kClientMysql | wire::kClientOptionalResultsetMetadata |
             wire::kClientQueryAttributes;
    case ServerFamily::kMariadb:
      // Bulk results one by one came with MariaDB 11.5 only.
      return kBoth | wire::kMariadbClientProgress | wire::kMariadbClientStmtBulkOperations |
             wire::kMariadbClientExtendedMetadata | wire::kMariadbClientCacheMetadata;
  }
  return kBoth;
}

// The part of a client's capabilities that a shared connection must have, no more and no less.
// CLIENT_INTERACTIVE only chooses between two idle timeouts, which are the router's own business.
[[nodiscard]] constexpr wire::Capabilities PooledCapabilities(wire::Capabilities client) {
  return client & (wire::kResultShapeBits | wire::kCommandShapeBits | wire::kStatementMeaningBits) &
         ~wire::kClientInteractive;
}

// With session pooling the backend's side is compressed as the client's: applications ask the
// server whether it is. At most one bit; the server may refuse it.
[[nodiscard]] constexpr wire::Capabilities FollowedCompression(wire::Capabilities client) {
  return client & (wire::kClientCompress | wire::kClientZstdCompressionAlgorithm);
}

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_CAPABILITY_RULES_H_
