#include "proxy/auth/native_password.h"

#include "proxy/auth/secret.h"

namespace bulkhead::auth {
namespace {

std::optional<uint8_t> HexDigit(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
  if (c >= 'A' && c <= 'F') return static_cast<uint8_t>(c - 'A' + 10);
  if (c >= 'a' && c <= 'f') return static_cast<uint8_t>(c - 'a' + 10);
  return std::nullopt;
}

}  // namespace

NativeVerifier MakeNativeVerifier(std::string_view password) {
  Sha1Digest stage1 = Sha1({AsBytes(password)});
  NativeVerifier verifier{Sha1({stage1})};
  Wipe(stage1.data(), stage1.size());
  return verifier;
}

std::optional<NativeVerifier> ParseNativeVerifier(std::string_view text) {
  if (text.size() != 1 + 2 * kSha1Size || text[0] != '*') return std::nullopt;
  NativeVerifier verifier{};
  for (size_t i = 0; i < kSha1Size; ++i) {
    const std::optional<uint8_t> high = HexDigit(text[1 + 2 * i]);
    const std::optional<uint8_t> low = HexDigit(text[2 + 2 * i]);
    if (!high || !low) return std::nullopt;
    verifier.double_sha1[i] = static_cast<uint8_t>(*high << 4 | *low);
  }
  return verifier;
}

std::string FormatNativeVerifier(const NativeVerifier& verifier) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string text = "*";
  for (uint8_t byte : verifier.double_sha1) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Sha1Digest NativeScrambleFromStage1(const Sha1Digest& stage1, const Nonce& nonce) {
  const Sha1Digest verifier = Sha1({stage1});
  Sha1Digest scramble = Sha1({nonce, verifier});
  for (size_t i = 0; i < kSha1Size; ++i) scramble[i] ^= stage1[i];
  return scramble;
}

Sha1Digest NativeScramble(std::string_view password, const Nonce& nonce) {
  Sha1Digest stage1 = Sha1({AsBytes(password)});
  const Sha1Digest scramble = NativeScrambleFromStage1(stage1, nonce);
  Wipe(stage1.data(), stage1.size());
  return scramble;
}

std::optional<Sha1Digest> CheckNativeScramble(Bytes scramble, const Nonce& nonce,
                                              const NativeVerifier& verifier) {
  if (scramble.size() != kNativeScrambleSize) return std::nullopt;
  Sha1Digest stage1 = Sha1({nonce, verifier.double_sha1});
  for (size_t i = 0; i < kSha1Size; ++i) stage1[i] ^= scramble[i];
  if (!ConstantTimeEqual(Sha1({stage1}), verifier.double_sha1)) {
    Wipe(stage1.data(), stage1.size());
    return std::nullopt;
  }
  return stage1;
}

}  // namespace bulkhead::auth
