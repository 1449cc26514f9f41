// Secret: bytes that must not outlive their use (passwords, password digests, keys).
//
// The bytes are wiped on destruction and on assignment. They lie in OpenSSL's locked, guarded arena
// after ReserveLockedMemory() while there is room, otherwise on the
// ordinary heap (still wiped). A Secret is a value: copies are deep, each one wiped for itself. It
// is not thread-safe, but a const Secret may be read by any thread. Nothing here prints.
#ifndef BULKHEAD_PROXY_AUTH_SECRET_H_
#define BULKHEAD_PROXY_AUTH_SECRET_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead::auth {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string_view bytes);
  explicit Secret(std::span<const uint8_t> bytes);
  Secret(const Secret& other);
  Secret(Secret&& other) noexcept;
  Secret& operator=(const Secret& other);
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();

  // `size` zero bytes, to be filled through data().
  [[nodiscard]] static Secret OfSize(size_t size);

  [[nodiscard]] std::string_view view() const {
    return {reinterpret_cast<const char*>(data_), size_};
  }
  [[nodiscard]] std::span<const uint8_t> bytes() const { return {data_, size_}; }
  [[nodiscard]] uint8_t* data() { return data_; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  // Shortens to `size` bytes (no effect if already shorter) and wipes the rest.
  void Truncate(size_t size);

 private:
  void Release();

  uint8_t* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

// Sets up the locked arena for secrets: `bytes` (a power of two) that are never swapped out or
// dumped. Once, at start, before other threads run. False if there is none now (the limit on locked
// memory): secrets then lie on the heap.
[[nodiscard]] bool ReserveLockedMemory(size_t bytes);

// Overwrites memory so that the compiler can't leave it out.
void Wipe(void* data, size_t size);
// Wipes the characters of a string, then clears it.
void Wipe(std::string& text);

// Compares without telling by its duration where the difference is. The lengths are not secret.
[[nodiscard]] bool ConstantTimeEqual(std::span<const uint8_t> a, std::span<const uint8_t> b);

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_SECRET_H_
