#include "proxy/auth/rsa_key.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <cstdlib>
#include <cstring>

#include "proxy/auth/caching_sha2_verifier.h"

namespace bulkhead::auth {
namespace {

constexpr int kMinRsaBits = 2'048;
// A server's key may be weaker than what we would make ourselves: it is the server's choice, but
// not without end.
constexpr int kMinPeerRsaBits = 1'024;
constexpr size_t kMaxPemSize = 16 * 1'024;

struct Deleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter>;
using ContextPtr = std::unique_ptr<EVP_PKEY_CTX, Deleter>;
using BioPtr = std::unique_ptr<BIO, Deleter>;

bool IsAcceptable(EVP_PKEY* key, int min_bits) {
  return key != nullptr && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA &&
         EVP_PKEY_get_bits(key) >= min_bits &&
         EVP_PKEY_get_bits(key) <= static_cast<int>(kMaxRsaBytes) * 8;
}

BioPtr ReadFrom(std::string_view text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Never asks on a terminal for the password of an encrypted key.
int NoPassphrase(char*, int, int, void*) { return -1; }

std::string PublicPem(EVP_PKEY* key) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_PUBKEY(bio.get(), key) != 1) std::abort();
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<size_t>(size)};
}

void XorWithNonce(uint8_t* data, size_t size, const Nonce& nonce) {
  for (size_t i = 0; i < size; ++i) data[i] ^= nonce[i % nonce.size()];
}

}  // namespace

RsaKeyPair::RsaKeyPair(EVP_PKEY* key)
    : key_(key),
      public_key_pem_(PublicPem(key)),
      ciphertext_size_(static_cast<size_t>(EVP_PKEY_get_size(key))) {}

RsaKeyPair::~RsaKeyPair() { EVP_PKEY_free(key_); }

std::unique_ptr<const RsaKeyPair> RsaKeyPair::Generate(int bits) {
  if (bits < kMinRsaBits || bits > static_cast<int>(kMaxRsaBytes) * 8) return nullptr;
  EVP_PKEY* key = EVP_RSA_gen(static_cast<unsigned>(bits));
  ERR_clear_error();
  if (key == nullptr) return nullptr;
  return std::unique_ptr<const RsaKeyPair>(new RsaKeyPair(key));
}

std::unique_ptr<const RsaKeyPair> RsaKeyPair::FromPem(std::string_view private_key_pem) {
  if (private_key_pem.size() > kMaxPemSize) return nullptr;
  const BioPtr bio = ReadFrom(private_key_pem);
  KeyPtr key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (!IsAcceptable(key.get(), kMinRsaBits)) return nullptr;
  return std::unique_ptr<const RsaKeyPair>(new RsaKeyPair(key.release()));
}

std::optional<Secret> RsaKeyPair::DecryptPassword(Bytes ciphertext, const Nonce& nonce) const {
  if (ciphertext.size() != ciphertext_size_) return std::nullopt;
  const ContextPtr context(EVP_PKEY_CTX_new(key_, nullptr));
  Secret text = Secret::OfSize(ciphertext_size_);
  size_t size = text.size();
  const bool ok = context != nullptr && EVP_PKEY_decrypt_init(context.get()) == 1 &&
                  EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) == 1 &&
                  EVP_PKEY_decrypt(context.get(), text.data(), &size, ciphertext.data(),
                                   ciphertext.size()) == 1;
  ERR_clear_error();
  if (!ok || size == 0 || size > kCachingSha2MaxPassword + 1) return std::nullopt;
  text.Truncate(size);
  XorWithNonce(text.data(), size, nonce);
  const void* end = std::memchr(text.data(), 0, size);
  if (end != text.data() + size - 1) return std::nullopt;
  text.Truncate(size - 1);
  return text;
}

std::optional<std::vector<uint8_t>> EncryptPassword(std::string_view password, const Nonce& nonce,
                                                    std::string_view public_key_pem) {
  if (public_key_pem.size() > kMaxPemSize) return std::nullopt;
  const BioPtr bio = ReadFrom(public_key_pem);
  const KeyPtr key(PEM_read_bio_PUBKEY(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (!IsAcceptable(key.get(), kMinPeerRsaBits)) return std::nullopt;

  Secret text = Secret::OfSize(password.size() + 1);
  if (!password.empty()) std::memcpy(text.data(), password.data(), password.size());
  XorWithNonce(text.data(), text.size(), nonce);

  std::vector<uint8_t> out(static_cast<size_t>(EVP_PKEY_get_size(key.get())));
  size_t size = out.size();
  const ContextPtr context(EVP_PKEY_CTX_new(key.get(), nullptr));
  const bool ok =
      context != nullptr && EVP_PKEY_encrypt_init(context.get()) == 1 &&
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) == 1 &&
      EVP_PKEY_encrypt(context.get(), out.data(), &size, text.bytes().data(), text.size()) == 1;
  ERR_clear_error();
  if (!ok) return std::nullopt;
  out.resize(size);
  return out;
}

}  // namespace bulkhead::auth
