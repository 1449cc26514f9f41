// What a login is decided by and what it leaves behind: the words that client_handshake.h and its
// callers share.
//
// A LoginPolicy may be asked by every worker: it is immutable or its own business to be safe. The
// rest are values.
#ifndef BULKHEAD_PROXY_SESSION_LOGIN_H_
#define BULKHEAD_PROXY_SESSION_LOGIN_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/auth/credential.h"
#include "proxy/auth/plugin.h"
#include "proxy/auth/user.h"
#include "proxy/wire/capabilities.h"
#include "proxy/wire/compression.h"

namespace bulkhead::session {

enum class ServerFamily : uint8_t { kMysql, kMariadb };

// Connection attributes, in the order sent.
using Attributes = std::vector<std::pair<std::string, std::string>>;

// What is known of a user name as a client gave it.
struct LoginLookup {
  std::shared_ptr<const auth::UserRecord> record;  // nullptr: there is no such user
  std::string tenant;                              // what the name says of the tenant; may be empty
  // The user's password if an earlier login of his has shown it (LoginResult::secret), checked
  // against this record's credential: the fast exchange of caching_sha2_password for a stored
  // verifier. Otherwise nullptr.
  std::shared_ptr<const auth::Secret> learned_password;
};

// A login (or a change of user) whose password was right. Whether the user may use the tenant and
// the schema is still to be decided by the caller, who then has the OK or the refusal written.
struct LoginResult {
  std::shared_ptr<const auth::UserRecord> record;
  std::string user_as_given;
  std::string tenant;  // as LoginLookup::tenant
  std::string schema;  // empty: none
  wire::Capabilities capabilities =
      0;  // agreed; of COMPRESS and ZSTD at most the one that is in use
  std::optional<uint16_t>
      collation;  // nullopt: a COM_CHANGE_USER without one, that is the server's default
  uint32_t max_packet_size = 0;  // as the client says
  Attributes attributes;
  std::optional<wire::CompressionAlgorithm> compression;
  uint8_t zstd_level = 0;
  auth::Plugin plugin = auth::Plugin::kUnknown;
  auth::LoginSecret
      secret;  // what has become known of the password, for backends and for `learned_password`
  auth::Nonce nonce{};  // the last one sent: what a later COM_CHANGE_USER starts from
};

class LoginPolicy {
 public:
  virtual ~LoginPolicy() = default;

  [[nodiscard]] virtual LoginLookup Lookup(std::string_view user_as_given) const = 0;
  // The credential to go through the motions with for a user who does not exist: always the same
  // kind for the same name, in time that tells nothing. See auth::DecoyCredentials.
  [[nodiscard]] virtual auth::Credential Decoy(std::string_view user_as_given) const = 0;
  // A password was right: what it has shown of itself is there for the user's later logins.
  virtual void Learn(const LoginResult& result) const { (void)result; }
};

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_LOGIN_H_
