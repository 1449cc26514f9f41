// mysql_native_password: scrambles and the stored verifier. Pure; any thread.
//
//   stage1 = SHA1(password)          a secret as good as the password
//   verifier = SHA1(stage1)          what mysql.user stores, as "*" and 40 hex digits
//   scramble = stage1 XOR SHA1(nonce + verifier)
//
// Source: MySQL internals manual "Secure Password Authentication".
#ifndef BULKHEAD_PROXY_AUTH_NATIVE_PASSWORD_H_
#define BULKHEAD_PROXY_AUTH_NATIVE_PASSWORD_H_

#include <optional>
#include <string>
#include <string_view>

#include "proxy/auth/digest.h"
#include "proxy/auth/plugin.h"

namespace bulkhead::auth {

struct NativeVerifier {
  Sha1Digest double_sha1;

  friend bool operator==(const NativeVerifier&, const NativeVerifier&) = default;
};

inline constexpr size_t kNativeScrambleSize = kSha1Size;

[[nodiscard]] NativeVerifier MakeNativeVerifier(std::string_view password);

// "*" and 40 hex digits, either case. nullopt for anything else.
[[nodiscard]] std::optional<NativeVerifier> ParseNativeVerifier(std::string_view text);
[[nodiscard]] std::string FormatNativeVerifier(const NativeVerifier& verifier);

// What a client sends. An empty password is sent as an empty response instead: the caller's to
// decide.
[[nodiscard]] Sha1Digest NativeScramble(std::string_view password, const Nonce& nonce);
[[nodiscard]] Sha1Digest NativeScrambleFromStage1(const Sha1Digest& stage1, const Nonce& nonce);

// Checks a client's scramble. Returns stage1 if it is right: with it the bearer can log on wherever
// the same password is stored for mysql_native_password. A secret: wipe it.
[[nodiscard]] std::optional<Sha1Digest> CheckNativeScramble(Bytes scramble, const Nonce& nonce,
                                                            const NativeVerifier& verifier);

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_NATIVE_PASSWORD_H_
