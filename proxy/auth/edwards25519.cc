#include "proxy/auth/edwards25519.h"

#include <cstddef>

#include "proxy/auth/secret.h"

namespace bulkhead::auth {
namespace {

using Wide = unsigned __int128;

// An element of the field modulo p = 2^255 - 19: five limbs of 51 bits. Sums and differences are
// not carried: a limb may reach 2^54, which Multiply still takes.
using Element = std::array<uint64_t, 5>;

constexpr uint64_t kMask = (uint64_t{1} << 51) - 1;
constexpr Element kZero = {0, 0, 0, 0, 0};
constexpr Element kOne = {1, 0, 0, 0, 0};
// Twice the curve's constant d = -121665 / 121666.
constexpr Element kTwoD = {0x69B9426B2F159, 0x35050762ADD7A, 0x3CF44C0038052, 0x6738CC7407977,
                           0x2406D9DC56DFF};

// Extended coordinates: x = X / Z, y = Y / Z, x * y = T / Z.
struct Point {
  Element x, y, z, t;
};

constexpr Point kIdentity = {kZero, kOne, kOne, kZero};
constexpr Point kBase = {
    {0x62D608F25D51A, 0x412A4B4F6592A, 0x75B7171A4B31D, 0x1FF60527118FE, 0x216936D3CD6E5},
    {0x6666666666658, 0x4CCCCCCCCCCCC, 0x1999999999999, 0x3333333333333, 0x6666666666666},
    kOne,
    {0x68AB3A5B7DDA3, 0x00EEA2A5EADBB, 0x2AF8DF483C27E, 0x332B375274732, 0x67875F0FD78B7}};

Element Add(const Element& a, const Element& b) {
  Element out;
  for (size_t i = 0; i < 5; ++i) out[i] = a[i] + b[i];
  return out;
}

Element Subtract(const Element& a, const Element& b) {
  // 4p keeps every limb from going below zero.
  static constexpr Element kFourP = {0x1FFFFFFFFFFFB4, 0x1FFFFFFFFFFFFC, 0x1FFFFFFFFFFFFC,
                                     0x1FFFFFFFFFFFFC, 0x1FFFFFFFFFFFFC};
  Element out;
  for (size_t i = 0; i < 5; ++i) out[i] = a[i] + kFourP[i] - b[i];
  return out;
}

Element Multiply(const Element& a, const Element& b) {
  // 2^255 is 19 modulo p. Written out: as a loop it takes more than twice as long.
  const uint64_t b1 = 19 * b[1], b2 = 19 * b[2], b3 = 19 * b[3], b4 = 19 * b[4];
  const auto row = [&a](uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3, uint64_t x4) {
    return Wide{a[0]} * x0 + Wide{a[1]} * x1 + Wide{a[2]} * x2 + Wide{a[3]} * x3 + Wide{a[4]} * x4;
  };
  Wide sum[5] = {row(b[0], b4, b3, b2, b1), row(b[1], b[0], b4, b3, b2),
                 row(b[2], b[1], b[0], b4, b3), row(b[3], b[2], b[1], b[0], b4),
                 row(b[4], b[3], b[2], b[1], b[0])};
  Wide carry = 0;
  for (Wide& limb : sum) {
    limb += carry;
    carry = limb >> 51;
    limb &= kMask;
  }
  sum[0] += 19 * carry;
  sum[1] += sum[0] >> 51;
  sum[0] &= kMask;
  Element out;
  for (size_t i = 0; i < 5; ++i) out[i] = static_cast<uint64_t>(sum[i]);
  return out;
}

Element SquareTimes(Element a, int times) {
  for (; times > 0; --times) a = Multiply(a, a);
  return a;
}

// a^(p - 2) = a^(2^255 - 21), by the exponents 2^k - 1 for k = 5, 10, 20, 40, 50, 100, 200, 250.
Element Invert(const Element& a) {
  const Element a2 = Multiply(a, a);
  const Element a9 = Multiply(SquareTimes(a2, 2), a);
  const Element a11 = Multiply(a9, a2);
  const Element k5 = Multiply(Multiply(a11, a11), a9);
  const Element k10 = Multiply(SquareTimes(k5, 5), k5);
  const Element k20 = Multiply(SquareTimes(k10, 10), k10);
  const Element k40 = Multiply(SquareTimes(k20, 20), k20);
  const Element k50 = Multiply(SquareTimes(k40, 10), k10);
  const Element k100 = Multiply(SquareTimes(k50, 50), k50);
  const Element k200 = Multiply(SquareTimes(k100, 100), k100);
  const Element k250 = Multiply(SquareTimes(k200, 50), k50);
  return Multiply(SquareTimes(k250, 5), a11);
}

// The 255 bits of the element, fully reduced, little endian.
std::array<uint8_t, 32> Encode(const Element& a) {
  // Two carries bring every limb below 2^51, but the value may still be p or a little more.
  Element v = Multiply(a, kOne);
  v = Multiply(v, kOne);
  // Whether v >= p, found by adding 19 and looking at the carry out of bit 255.
  uint64_t carry = 19;
  for (uint64_t limb : v) carry = (limb + carry) >> 51;
  carry *= 19;
  for (uint64_t& limb : v) {
    limb += carry;
    carry = limb >> 51;
    limb &= kMask;
  }
  std::array<uint8_t, 32> out{};
  for (size_t bit = 0; bit < 255; ++bit) {
    out[bit / 8] |= static_cast<uint8_t>(((v[bit / 51] >> (bit % 51)) & 1) << (bit % 8));
  }
  return out;
}

Point Add(const Point& p, const Point& q) {
  const Element a = Multiply(Subtract(p.y, p.x), Subtract(q.y, q.x));
  const Element b = Multiply(Add(p.y, p.x), Add(q.y, q.x));
  const Element c = Multiply(Multiply(p.t, kTwoD), q.t);
  const Element zz = Multiply(p.z, q.z);
  const Element d = Add(zz, zz);
  const Element e = Subtract(b, a);
  const Element f = Subtract(d, c);
  const Element g = Add(d, c);
  const Element h = Add(b, a);
  return {Multiply(e, f), Multiply(g, h), Multiply(f, g), Multiply(e, h)};
}

void Select(Element& to, const Element& from, uint64_t mask) {
  for (size_t i = 0; i < 5; ++i) to[i] ^= mask & (to[i] ^ from[i]);
}

}  // namespace

std::array<uint8_t, 32> MultiplyEd25519Base(std::span<const uint8_t, 32> scalar) {
  Point result = kIdentity;
  Point sum;
  for (size_t bit = 256; bit-- > 0;) {
    result = Add(result, result);
    sum = Add(result, kBase);
    const uint64_t mask = uint64_t{0} - ((scalar[bit / 8] >> (bit % 8)) & 1);
    Select(result.x, sum.x, mask);
    Select(result.y, sum.y, mask);
    Select(result.z, sum.z, mask);
    Select(result.t, sum.t, mask);
  }
  const Element inverse = Invert(result.z);
  const std::array<uint8_t, 32> x = Encode(Multiply(result.x, inverse));
  std::array<uint8_t, 32> out = Encode(Multiply(result.y, inverse));
  out[31] |= static_cast<uint8_t>((x[0] & 1) << 7);
  Wipe(&result, sizeof(result));
  Wipe(&sum, sizeof(sum));
  return out;
}

}  // namespace bulkhead::auth
