// MariaDB's variant of Ed25519, against values that MariaDB made and against libcrypto's own
// signatures.
#include "proxy/auth/ed25519.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <random>

#include "tests/auth/test_bytes.h"

namespace bulkhead::auth {
namespace {

// With a secret of 32 bytes MariaDB's variant is RFC 8032: libcrypto can do it.
struct Reference {
  Ed25519PublicKey key;
  Ed25519Signature signature;
};

Reference SignByLibcrypto(std::string_view seed, Bytes message) {
  Reference out;
  EVP_PKEY* key =
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, AsBytes(seed).data(), seed.size());
  size_t size = out.key.bytes.size();
  EXPECT_EQ(EVP_PKEY_get_raw_public_key(key, out.key.bytes.data(), &size), 1);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EXPECT_EQ(EVP_DigestSignInit(context, nullptr, nullptr, nullptr, key), 1);
  size = out.signature.size();
  EXPECT_EQ(EVP_DigestSign(context, out.signature.data(), &size, message.data(), message.size()),
            1);
  EVP_MD_CTX_free(context);
  EVP_PKEY_free(key);
  return out;
}

// MariaDB 10.11: SELECT ed25519_password(...).
TEST(Ed25519, PublicKeysAreTheServers) {
  EXPECT_EQ(FormatEd25519PublicKey(MakeEd25519PublicKey("secret")),
            "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY");
  EXPECT_EQ(FormatEd25519PublicKey(MakeEd25519PublicKey("")),
            "4LH+dBF+G5W2CKTyId8xR3SyDqZoQjUNUVNxx8aWbG4");
  EXPECT_EQ(FormatEd25519PublicKey(MakeEd25519PublicKey("0123456789abcdef0123456789abcdef")),
            "I7xUkSwebpLEqGglyGfif/3FVb/71CRPF6Jqv//ull0");
  std::string longer;
  for (int i = 0; i < 50; ++i) longer += "long";
  EXPECT_EQ(FormatEd25519PublicKey(MakeEd25519PublicKey(longer)),
            "PFfYrrcbaB/p8ms35B4Y8xEHjfnGQIrKl8g4ij84OGQ");
}

// RFC 8032 section 7.1, tests 1 to 3.
TEST(Ed25519, PublishedVectors) {
  const struct {
    std::string_view seed, key, message, signature;
  } vectors[] = {
      {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
       "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
       "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf"
       "9b4"
       "6bd25bf5f0595bbe24655141438e7a100b"},
      {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
       "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
       "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f"
       "11d"
       "8c387b2eaeb4302aeeb00d291612bb0c00"},
      {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
       "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
       "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984"
       "dc6"
       "594a7c15e9716ed28dc027beceea1ec40a"},
  };
  for (const auto& vector : vectors) {
    const std::vector<uint8_t> seed = FromHex(vector.seed);
    const std::string_view password(reinterpret_cast<const char*>(seed.data()), seed.size());
    EXPECT_EQ(ToHex(MakeEd25519PublicKey(password).bytes), vector.key);
    EXPECT_EQ(ToHex(SignEd25519(password, FromHex(vector.message))), vector.signature);
  }
}

TEST(Ed25519, SignsAsLibcryptoDoes) {
  std::mt19937 random(42);
  for (int round = 0; round < 200; ++round) {
    std::string seed(32, '\0');
    for (char& c : seed) c = static_cast<char>(random());
    std::vector<uint8_t> message(random() % 70);
    for (uint8_t& byte : message) byte = static_cast<uint8_t>(random());
    const Reference reference = SignByLibcrypto(seed, message);
    ASSERT_EQ(MakeEd25519PublicKey(seed), reference.key) << round;
    ASSERT_EQ(SignEd25519(seed, message), reference.signature) << round;
  }
}

TEST(Ed25519, VerifiesItsOwnSignaturesWithPasswordsOfAnyLength) {
  const std::vector<uint8_t> nonce(32, 0xA5);
  for (size_t size : {0, 1, 6, 31, 32, 33, 200}) {
    const std::string password(size, 'p');
    const Ed25519PublicKey key = MakeEd25519PublicKey(password);
    Ed25519Signature signature = SignEd25519(password, nonce);
    EXPECT_TRUE(VerifyEd25519(signature, nonce, key));
    EXPECT_FALSE(VerifyEd25519(signature, std::vector<uint8_t>(32, 0xA4), key));
    EXPECT_FALSE(VerifyEd25519(signature, nonce, MakeEd25519PublicKey(password + "x")));
    signature[40] ^= 1;
    EXPECT_FALSE(VerifyEd25519(signature, nonce, key));
  }
}

TEST(Ed25519, RefusesWhatIsNoSignatureOrKey) {
  const std::vector<uint8_t> nonce(32, 1);
  const Ed25519PublicKey key = MakeEd25519PublicKey("secret");
  const Ed25519Signature signature = SignEd25519("secret", nonce);
  for (size_t size = 0; size < signature.size(); ++size) {
    EXPECT_FALSE(VerifyEd25519(Bytes(signature).first(size), nonce, key));
  }
  Ed25519PublicKey no_point;
  no_point.bytes.fill(0xFF);
  EXPECT_FALSE(VerifyEd25519(signature, nonce, no_point));
}

TEST(Ed25519, ParsesStoredKeys) {
  const std::string text = "ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY";
  EXPECT_EQ(ParseEd25519PublicKey(text), MakeEd25519PublicKey("secret"));
  EXPECT_EQ(ParseEd25519PublicKey(text + "="), MakeEd25519PublicKey("secret"));
  EXPECT_FALSE(ParseEd25519PublicKey(""));
  EXPECT_FALSE(ParseEd25519PublicKey(text.substr(1)));
  EXPECT_FALSE(ParseEd25519PublicKey(text + "x"));
  std::string bad = text;
  bad[5] = '!';
  EXPECT_FALSE(ParseEd25519PublicKey(bad));
  bad = text;
  bad[5] = ' ';
  EXPECT_FALSE(ParseEd25519PublicKey(bad));
  bad = text;
  bad.back() = 'Z';  // bits behind the last byte
  EXPECT_FALSE(ParseEd25519PublicKey(bad));
}

}  // namespace
}  // namespace bulkhead::auth
