#include "proxy/auth/sha_crypt.h"

#include "proxy/auth/digest.h"
#include "proxy/auth/secret.h"

namespace bulkhead::auth {
namespace {

constexpr std::string_view kAlphabet =
    "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

// The digest repeated up to `size` bytes.
void AddRepeated(Sha256Hasher& hasher, const Sha256Digest& digest, size_t size) {
  for (; size > digest.size(); size -= digest.size()) hasher.Add(digest);
  hasher.Add(Bytes(digest).first(size));
}

Secret Repeat(const Sha256Digest& digest, size_t size) {
  Secret out = Secret::OfSize(size);
  for (size_t i = 0; i < size; ++i) out.data()[i] = digest[i % digest.size()];
  return out;
}

// Steps 1 to 12 of the specification: the digest that the rounds start from.
void InitialDigest(Sha256Hasher& hasher, Bytes password, Bytes salt, Sha256Digest& out) {
  Sha256Digest b;
  hasher.Start();
  hasher.Add(password);
  hasher.Add(salt);
  hasher.Add(password);
  hasher.Finish(b);

  hasher.Start();
  hasher.Add(password);
  hasher.Add(salt);
  AddRepeated(hasher, b, password.size());
  for (size_t bits = password.size(); bits > 0; bits >>= 1) {
    hasher.Add((bits & 1) != 0 ? Bytes(b) : password);
  }
  hasher.Finish(out);
  Wipe(b.data(), b.size());
}

// Step 21.
void Round(Sha256Hasher& hasher, uint32_t number, Bytes p, Bytes s, Sha256Digest& digest) {
  const bool odd = (number & 1) != 0;
  hasher.Start();
  hasher.Add(odd ? p : Bytes(digest));
  if (number % 3 != 0) hasher.Add(s);
  if (number % 7 != 0) hasher.Add(p);
  hasher.Add(odd ? Bytes(digest) : p);
  hasher.Finish(digest);
}

// Step 22: base 64 of its own, least significant six bits first, over bytes in a fixed order.
ShaCryptDigest Encode(const Sha256Digest& digest) {
  ShaCryptDigest out;
  size_t at = 0;
  const auto put = [&](uint32_t word, int characters) {
    for (; characters > 0; --characters, word >>= 6) out[at++] = kAlphabet[word & 63];
  };
  // Each triple is the one before moved on by 21 modulo 30.
  for (size_t i = 0, a = 0; i < 10; ++i, a = (a + 21) % 30) {
    put(uint32_t{digest[a]} << 16 | uint32_t{digest[(a + 10) % 30]} << 8 | digest[(a + 20) % 30],
        4);
  }
  put(uint32_t{digest[31]} << 8 | digest[30], 3);
  return out;
}

}  // namespace

ShaCryptDigest ShaCrypt(std::string_view password_text, std::string_view salt_text,
                        uint32_t rounds) {
  const Bytes password = AsBytes(password_text);
  const Bytes salt = AsBytes(salt_text);
  Sha256Hasher hasher;
  Sha256Digest digest;
  InitialDigest(hasher, password, salt, digest);

  // Steps 13 to 16: the password's length is what the sequence P keeps of it.
  Sha256Digest part;
  hasher.Start();
  for (size_t i = 0; i < password.size(); ++i) hasher.Add(password);
  hasher.Finish(part);
  const Secret p = Repeat(part, password.size());

  // Steps 17 to 20.
  hasher.Start();
  for (size_t i = 0; i < size_t{16} + digest[0]; ++i) hasher.Add(salt);
  hasher.Finish(part);
  const Secret s = Repeat(part, salt.size());

  for (uint32_t i = 0; i < rounds; ++i) Round(hasher, i, p.bytes(), s.bytes(), digest);
  const ShaCryptDigest out = Encode(digest);
  Wipe(digest.data(), digest.size());
  Wipe(part.data(), part.size());
  return out;
}

}  // namespace bulkhead::auth
