#include "proxy/auth/secret.h"

#include <openssl/crypto.h>

#include <cstdlib>
#include <cstring>
#include <utility>

namespace bulkhead::auth {
namespace {

// How far the arena may be filled for secrets of ours. The rest is OpenSSL's own: where it finds no
// room for a private key, a TLS handshake fails. Set once, before other threads run.
size_t our_share = 0;

uint8_t* Allocate(size_t size) {
  // Not to be asked before the arena is there: its lock is made with it.
  const bool room = our_share != 0 && CRYPTO_secure_used() < our_share;
  void* memory = room ? OPENSSL_secure_malloc(size) : nullptr;
  // A full arena is no reason to refuse a login: the ordinary heap is wiped all the same.
  if (memory == nullptr) memory = OPENSSL_malloc(size);
  if (memory == nullptr) std::abort();
  return static_cast<uint8_t*>(memory);
}

}  // namespace

Secret::Secret(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return;
  data_ = Allocate(bytes.size());
  std::memcpy(data_, bytes.data(), bytes.size());
  size_ = capacity_ = bytes.size();
}

Secret::Secret(std::string_view bytes)
    : Secret(std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size())) {}

Secret::Secret(const Secret& other) : Secret(other.bytes()) {}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

Secret& Secret::operator=(const Secret& other) {
  if (this != &other) *this = Secret(other);
  return *this;
}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    Release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  return *this;
}

Secret::~Secret() { Release(); }

Secret Secret::OfSize(size_t size) {
  Secret secret;
  if (size == 0) return secret;
  secret.data_ = Allocate(size);
  std::memset(secret.data_, 0, size);
  secret.size_ = secret.capacity_ = size;
  return secret;
}

void Secret::Truncate(size_t size) {
  if (size >= size_) return;
  OPENSSL_cleanse(data_ + size, size_ - size);
  size_ = size;
}

void Secret::Release() {
  if (data_ == nullptr) return;
  // Falls back to the ordinary heap's free for memory outside the arena.
  OPENSSL_secure_clear_free(data_, capacity_);
  data_ = nullptr;
  size_ = capacity_ = 0;
}

bool ReserveLockedMemory(size_t bytes) {
  constexpr size_t kSmallestBlock = 32;
  our_share = bytes / 2;
  // 1 is full success; 2 means that the arena is there, but not locked.
  return CRYPTO_secure_malloc_init(bytes, kSmallestBlock) == 1;
}

void Wipe(void* data, size_t size) { OPENSSL_cleanse(data, size); }

void Wipe(std::string& text) {
  OPENSSL_cleanse(text.data(), text.size());
  text.clear();
}

bool ConstantTimeEqual(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace bulkhead::auth
