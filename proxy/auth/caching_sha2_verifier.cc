#include "proxy/auth/caching_sha2_verifier.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "proxy/auth/digest.h"
#include "proxy/auth/secret.h"
#include "proxy/auth/sha_crypt.h"

namespace bulkhead::auth {
namespace {

using Scheme = CachingSha2Verifier::Scheme;

constexpr size_t kPrefixSize = 3;  // "$A$"
constexpr size_t kRoundDigits = 3;
constexpr size_t kHeadSize = kPrefixSize + kRoundDigits + 1 + kCachingSha2SaltSize;
constexpr uint32_t kRoundUnit = 1'000;
constexpr size_t kPbkdf2Size = kSha512Size;
constexpr size_t kPbkdf2Characters = (kPbkdf2Size + 2) / 3 * 4;

std::string_view Prefix(Scheme scheme) {
  switch (scheme) {
    case Scheme::kShaCrypt:
      return "$A$";
    case Scheme::kPbkdf2Sha512:
      return "$B$";
  }
  return "";
}

size_t DigestCharacters(Scheme scheme) {
  switch (scheme) {
    case Scheme::kShaCrypt:
      return kShaCryptDigestSize;
    case Scheme::kPbkdf2Sha512:
      return kPbkdf2Characters;
  }
  return 0;
}

std::optional<Scheme> ParsePrefix(std::string_view text) {
  for (Scheme scheme : {Scheme::kShaCrypt, Scheme::kPbkdf2Sha512}) {
    if (text.starts_with(Prefix(scheme))) return scheme;
  }
  return std::nullopt;
}

std::optional<uint32_t> ParseRounds(std::string_view digits) {
  uint32_t value = 0;
  for (char c : digits) {
    uint32_t digit;
    if (c >= '0' && c <= '9') {
      digit = static_cast<uint32_t>(c - '0');
    } else if (c >= 'A' && c <= 'F') {
      digit = static_cast<uint32_t>(c - 'A') + 10;
    } else if (c >= 'a' && c <= 'f') {
      digit = static_cast<uint32_t>(c - 'a') + 10;
    } else {
      return std::nullopt;
    }
    value = value * 16 + digit;
  }
  if (value == 0) return std::nullopt;
  return value * kRoundUnit;
}

bool IsDigestCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '/' || c == '+' || c == '=';
}

std::string Pbkdf2(std::string_view password, std::span<const uint8_t> salt, uint32_t rounds) {
  Sha512Digest key;
  if (PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), salt.data(),
                        static_cast<int>(salt.size()), static_cast<int>(rounds), EVP_sha512(),
                        static_cast<int>(key.size()), key.data()) != 1) {
    std::abort();
  }
  std::string text(kPbkdf2Characters + 1, '\0');  // EVP_EncodeBlock ends it with a zero
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), key.data(),
                  static_cast<int>(key.size()));
  text.resize(kPbkdf2Characters);
  Wipe(key.data(), key.size());
  return text;
}

std::string Compute(std::string_view password, const CachingSha2Verifier& verifier) {
  switch (verifier.scheme) {
    case Scheme::kShaCrypt: {
      const std::string_view salt(reinterpret_cast<const char*>(verifier.salt.data()),
                                  verifier.salt.size());
      const ShaCryptDigest digest = ShaCrypt(password, salt, verifier.rounds);
      return {digest.data(), digest.size()};
    }
    case Scheme::kPbkdf2Sha512:
      return Pbkdf2(password, verifier.salt, verifier.rounds);
  }
  return {};
}

}  // namespace

std::optional<CachingSha2Verifier> ParseCachingSha2Verifier(std::string_view text) {
  const std::optional<Scheme> scheme = ParsePrefix(text);
  if (!scheme || text.size() != kHeadSize + DigestCharacters(*scheme)) return std::nullopt;
  const std::optional<uint32_t> rounds = ParseRounds(text.substr(kPrefixSize, kRoundDigits));
  if (!rounds || text[kPrefixSize + kRoundDigits] != '$') return std::nullopt;

  CachingSha2Verifier verifier;
  verifier.scheme = *scheme;
  verifier.rounds = *rounds;
  std::memcpy(verifier.salt.data(), text.data() + kHeadSize - kCachingSha2SaltSize,
              kCachingSha2SaltSize);
  verifier.digest = text.substr(kHeadSize);
  if (!std::all_of(verifier.digest.begin(), verifier.digest.end(), IsDigestCharacter)) {
    return std::nullopt;
  }
  return verifier;
}

std::string FormatCachingSha2Verifier(const CachingSha2Verifier& verifier) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  const uint32_t units = verifier.rounds / kRoundUnit;
  std::string text(Prefix(verifier.scheme));
  for (int shift = 8; shift >= 0; shift -= 4) text += kDigits[(units >> shift) & 15];
  text += '$';
  text.append(reinterpret_cast<const char*>(verifier.salt.data()), verifier.salt.size());
  return text + verifier.digest;
}

CachingSha2Verifier MakeCachingSha2Verifier(std::string_view password,
                                            std::span<const uint8_t, kCachingSha2SaltSize> salt,
                                            Scheme scheme, uint32_t rounds) {
  CachingSha2Verifier verifier;
  verifier.scheme = scheme;
  verifier.rounds = std::clamp(rounds, kRoundUnit, kCachingSha2MaxRounds) / kRoundUnit * kRoundUnit;
  std::copy(salt.begin(), salt.end(), verifier.salt.begin());
  verifier.digest = Compute(password, verifier);
  return verifier;
}

bool CheckCachingSha2Verifier(std::string_view password, const CachingSha2Verifier& verifier) {
  if (password.size() > kCachingSha2MaxPassword) return false;
  return ConstantTimeEqual(AsBytes(Compute(password, verifier)), AsBytes(verifier.digest));
}

}  // namespace bulkhead::auth
