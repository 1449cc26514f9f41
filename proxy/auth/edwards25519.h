// Multiplication of the base point of edwards25519, for signatures whose secret libcrypto can't
// take (ed25519.h). Pure; any thread. Constant time: no branch and no address depends on the
// scalar.
//
// Source: RFC 8032 section 5.1; the addition law is Hisil, Wong, Carter and Dawson's for a = -1
// (complete on this curve, so doubling needs no case of its own).
#ifndef BULKHEAD_PROXY_AUTH_EDWARDS25519_H_
#define BULKHEAD_PROXY_AUTH_EDWARDS25519_H_

#include <array>
#include <cstdint>
#include <span>

namespace bulkhead::auth {

// The encoding of scalar * B; `scalar` is 256 bits, little endian, and need not be reduced.
[[nodiscard]] std::array<uint8_t, 32> MultiplyEd25519Base(std::span<const uint8_t, 32> scalar);

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_EDWARDS25519_H_
