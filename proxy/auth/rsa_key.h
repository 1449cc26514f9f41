// The RSA key pair by which caching_sha2_password carries a password over a connection without TLS.
//
// Generating takes tens of milliseconds, decrypting about one: not on an event loop. A const
// RsaKeyPair may be used by any number of threads at once. The padding is OAEP with SHA-1 and
// MGF1-SHA-1, as MySQL 8.0 and later use; the password is sent with its terminating zero, XORed
// with the nonce repeated, before it is encrypted. Source: MySQL source documentation,
// "Caching_sha2_password Message exchanges"; sql-common/client_authentication.cc.
#ifndef BULKHEAD_PROXY_AUTH_RSA_KEY_H_
#define BULKHEAD_PROXY_AUTH_RSA_KEY_H_

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/auth/digest.h"
#include "proxy/auth/plugin.h"
#include "proxy/auth/secret.h"

namespace bulkhead::auth {

// Larger moduli are refused, own or a server's: MySQL's own limit for the ciphertext is 1,024
// bytes.
inline constexpr size_t kMaxRsaBytes = 1'024;
inline constexpr int kDefaultRsaBits = 2'048;

class RsaKeyPair {
 public:
  // Uses libcrypto's own random generator. nullptr if bits is below 2,048 or above 8,192.
  [[nodiscard]] static std::unique_ptr<const RsaKeyPair> Generate(int bits = kDefaultRsaBits);
  // PKCS#8 or PKCS#1, not encrypted. nullptr if it is no RSA private key of acceptable size.
  [[nodiscard]] static std::unique_ptr<const RsaKeyPair> FromPem(std::string_view private_key_pem);

  RsaKeyPair(const RsaKeyPair&) = delete;
  RsaKeyPair& operator=(const RsaKeyPair&) = delete;
  ~RsaKeyPair();

  // SubjectPublicKeyInfo in PEM, as it is sent to clients.
  [[nodiscard]] const std::string& public_key_pem() const { return public_key_pem_; }
  // Length of every ciphertext, in bytes.
  [[nodiscard]] size_t ciphertext_size() const { return ciphertext_size_; }

  // The password in `ciphertext`, without its terminating zero. nullopt for anything that does not
  // decrypt to a zero-terminated string of at most kCachingSha2MaxPassword bytes.
  [[nodiscard]] std::optional<Secret> DecryptPassword(Bytes ciphertext, const Nonce& nonce) const;

 private:
  explicit RsaKeyPair(EVP_PKEY* key);

  EVP_PKEY* key_;
  std::string public_key_pem_;
  size_t ciphertext_size_;
};

// The client's side: encrypts `password` for the server whose public key this is. nullopt if
// `public_key_pem` is no acceptable RSA key or the password is too long for it.
[[nodiscard]] std::optional<std::vector<uint8_t>> EncryptPassword(std::string_view password,
                                                                  const Nonce& nonce,
                                                                  std::string_view public_key_pem);

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_RSA_KEY_H_
