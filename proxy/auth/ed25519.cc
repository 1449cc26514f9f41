#include "proxy/auth/ed25519.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>

#include "proxy/auth/edwards25519.h"
#include "proxy/auth/secret.h"

namespace bulkhead::auth {
namespace {

using Scalar = std::array<uint8_t, 32>;

constexpr size_t kBase64Size = 43;

// The order of the base point: 2^252 + 27742317777372353535851937790883648493, little endian.
constexpr Scalar kOrder = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                           0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                           0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};

// The two halves of SHA-512(password): the clamped scalar and the prefix that makes signatures
// deterministic.
struct ExpandedKey {
  Sha512Digest bytes;

  explicit ExpandedKey(std::string_view password) : bytes(Sha512({AsBytes(password)})) {
    bytes[0] &= 248;
    bytes[31] &= 63;
    bytes[31] |= 64;
  }
  ExpandedKey(const ExpandedKey&) = delete;
  ExpandedKey& operator=(const ExpandedKey&) = delete;
  ~ExpandedKey() { Wipe(bytes.data(), bytes.size()); }

  [[nodiscard]] std::span<const uint8_t, 32> scalar() const { return std::span(bytes).first<32>(); }
  [[nodiscard]] Bytes prefix() const { return Bytes(bytes).subspan(32); }
};

// Numbers modulo the order. libcrypto can only fail here for want of memory.
class OrderArithmetic {
 public:
  OrderArithmetic() : context_(BN_CTX_secure_new()), order_(Number(kOrder)) {}
  OrderArithmetic(const OrderArithmetic&) = delete;
  OrderArithmetic& operator=(const OrderArithmetic&) = delete;
  ~OrderArithmetic() {
    BN_free(order_);
    BN_CTX_free(context_);
  }

  Scalar Reduce(Bytes value) {
    BIGNUM* number = Number(value);
    Require(BN_nnmod(number, number, order_, context_) == 1);
    return Export(number);
  }

  // a * b + c
  Scalar MultiplyAdd(Bytes a, Bytes b, Bytes c) {
    BIGNUM* x = Number(a);
    BIGNUM* y = Number(b);
    BIGNUM* z = Number(c);
    Require(BN_mod_mul(x, x, y, order_, context_) == 1);
    Require(BN_mod_add(x, x, z, order_, context_) == 1);
    BN_clear_free(y);
    BN_clear_free(z);
    return Export(x);
  }

 private:
  static void Require(bool ok) {
    if (!ok) std::abort();
  }

  static BIGNUM* Number(Bytes little_endian) {
    BIGNUM* number = BN_secure_new();
    Require(number != nullptr &&
            BN_lebin2bn(little_endian.data(), static_cast<int>(little_endian.size()), number) !=
                nullptr);
    BN_set_flags(number, BN_FLG_CONSTTIME);
    return number;
  }

  static Scalar Export(BIGNUM* number) {
    Scalar out;
    Require(BN_bn2lebinpad(number, out.data(), static_cast<int>(out.size())) ==
            static_cast<int>(out.size()));
    BN_clear_free(number);
    return out;
  }

  BN_CTX* context_;
  BIGNUM* order_;
};

}  // namespace

Ed25519PublicKey MakeEd25519PublicKey(std::string_view password) {
  return {MultiplyEd25519Base(ExpandedKey(password).scalar())};
}

std::optional<Ed25519PublicKey> ParseEd25519PublicKey(std::string_view text) {
  if (text.size() == kBase64Size + 1 && text.back() == '=') text.remove_suffix(1);
  if (text.size() != kBase64Size) return std::nullopt;
  const std::string padded = std::string(text) + '=';
  std::array<uint8_t, 33> decoded{};  // EVP_DecodeBlock counts the padding as bytes
  const int size = EVP_DecodeBlock(decoded.data(), reinterpret_cast<const uint8_t*>(padded.data()),
                                   static_cast<int>(padded.size()));
  ERR_clear_error();
  if (size != static_cast<int>(decoded.size())) return std::nullopt;
  Ed25519PublicKey key;
  std::copy_n(decoded.begin(), key.bytes.size(), key.bytes.begin());
  // Only the canonical text: stray bits in the last character or blanks that the decoder skips are
  // mistakes.
  if (FormatEd25519PublicKey(key) != text) return std::nullopt;
  return key;
}

std::string FormatEd25519PublicKey(const Ed25519PublicKey& key) {
  std::array<uint8_t, kBase64Size + 2> text{};
  EVP_EncodeBlock(text.data(), key.bytes.data(), static_cast<int>(key.bytes.size()));
  return {reinterpret_cast<const char*>(text.data()), kBase64Size};
}

Ed25519Signature SignEd25519(std::string_view password, Bytes message) {
  const ExpandedKey key(password);
  const std::array<uint8_t, 32> public_key = MultiplyEd25519Base(key.scalar());

  OrderArithmetic arithmetic;
  Sha512Digest wide = Sha512({key.prefix(), message});
  Scalar r = arithmetic.Reduce(wide);
  const std::array<uint8_t, 32> r_point = MultiplyEd25519Base(r);
  const Scalar challenge = arithmetic.Reduce(Sha512({r_point, public_key, message}));
  const Scalar s = arithmetic.MultiplyAdd(challenge, key.scalar(), r);
  Wipe(wide.data(), wide.size());
  Wipe(r.data(), r.size());

  Ed25519Signature signature;
  std::copy(r_point.begin(), r_point.end(), signature.begin());
  std::copy(s.begin(), s.end(), signature.begin() + 32);
  return signature;
}

bool VerifyEd25519(Bytes signature, Bytes message, const Ed25519PublicKey& key) {
  if (signature.size() != kEd25519SignatureSize) return false;
  EVP_PKEY* public_key =
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.bytes.data(), key.bytes.size());
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  const bool ok = public_key != nullptr && context != nullptr &&
                  EVP_DigestVerifyInit(context, nullptr, nullptr, nullptr, public_key) == 1 &&
                  EVP_DigestVerify(context, signature.data(), signature.size(), message.data(),
                                   message.size()) == 1;
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(public_key);
  ERR_clear_error();
  return ok;
}

}  // namespace bulkhead::auth
