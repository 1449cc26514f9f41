#include "proxy/auth/digest.h"

#include <cstdlib>

namespace bulkhead::auth {
namespace {

void Require(bool ok) {
  if (!ok) std::abort();
}

// EVP_sha256() and friends look the implementation up anew on each use; a fetched one does not.
// Kept for the life of the process.
const EVP_MD* Fetch(const char* name) {
  const EVP_MD* algorithm = EVP_MD_fetch(nullptr, name, nullptr);
  Require(algorithm != nullptr);
  return algorithm;
}

const EVP_MD* Sha1Algorithm() {
  static const EVP_MD* const kAlgorithm = Fetch("SHA1");
  return kAlgorithm;
}
const EVP_MD* Sha256Algorithm() {
  static const EVP_MD* const kAlgorithm = Fetch("SHA2-256");
  return kAlgorithm;
}
const EVP_MD* Sha512Algorithm() {
  static const EVP_MD* const kAlgorithm = Fetch("SHA2-512");
  return kAlgorithm;
}

void DigestInto(const EVP_MD* algorithm, std::initializer_list<Bytes> parts, uint8_t* out) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  Require(context != nullptr && EVP_DigestInit_ex2(context, algorithm, nullptr) == 1);
  for (Bytes part : parts) Require(EVP_DigestUpdate(context, part.data(), part.size()) == 1);
  Require(EVP_DigestFinal_ex(context, out, nullptr) == 1);
  EVP_MD_CTX_free(context);
}

}  // namespace

Sha1Digest Sha1(std::initializer_list<Bytes> parts) {
  Sha1Digest out;
  DigestInto(Sha1Algorithm(), parts, out.data());
  return out;
}

Sha256Digest Sha256(std::initializer_list<Bytes> parts) {
  Sha256Digest out;
  DigestInto(Sha256Algorithm(), parts, out.data());
  return out;
}

Sha512Digest Sha512(std::initializer_list<Bytes> parts) {
  Sha512Digest out;
  DigestInto(Sha512Algorithm(), parts, out.data());
  return out;
}

Sha256Hasher::Sha256Hasher() : context_(EVP_MD_CTX_new()) { Require(context_ != nullptr); }
Sha256Hasher::~Sha256Hasher() { EVP_MD_CTX_free(context_); }

void Sha256Hasher::Start() {
  Require(EVP_DigestInit_ex2(context_, Sha256Algorithm(), nullptr) == 1);
}
void Sha256Hasher::Add(Bytes part) {
  Require(EVP_DigestUpdate(context_, part.data(), part.size()) == 1);
}
void Sha256Hasher::Finish(Sha256Digest& out) {
  Require(EVP_DigestFinal_ex(context_, out.data(), nullptr) == 1);
}

}  // namespace bulkhead::auth
