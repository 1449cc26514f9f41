// The RSA exchange of caching_sha2_password. The key below is for this test only.
#include "proxy/auth/rsa_key.h"

#include <gtest/gtest.h>

#include "proxy/auth/caching_sha2_verifier.h"
#include "tests/auth/test_bytes.h"

namespace bulkhead::auth {
namespace {

const RsaKeyPair& Key() {
  static const RsaKeyPair* const kKey = RsaKeyPair::Generate().release();
  return *kKey;
}

TEST(RsaKey, SendsAPasswordThere) {
  EXPECT_EQ(Key().ciphertext_size(), 256u);
  EXPECT_TRUE(Key().public_key_pem().starts_with("-----BEGIN PUBLIC KEY-----\n"));
  for (size_t size : {1, 19, 20, 21, 100, 200}) {
    const std::string password(size, 'k');
    const auto ciphertext = EncryptPassword(password, CountingNonce(), Key().public_key_pem());
    ASSERT_TRUE(ciphertext);
    EXPECT_EQ(ciphertext->size(), Key().ciphertext_size());
    const auto decrypted = Key().DecryptPassword(*ciphertext, CountingNonce());
    ASSERT_TRUE(decrypted);
    EXPECT_EQ(decrypted->view(), password);
  }
}

TEST(RsaKey, RefusesWhatDoesNotDecryptToAPassword) {
  auto ciphertext = *EncryptPassword("secret", CountingNonce(), Key().public_key_pem());
  // Another nonce leaves no zero at the end.
  EXPECT_FALSE(Key().DecryptPassword(ciphertext, CountingNonce(30)));
  for (size_t size = 0; size < ciphertext.size(); ++size) {
    EXPECT_FALSE(Key().DecryptPassword(Bytes(ciphertext).first(size), CountingNonce()));
  }
  ciphertext[10] ^= 1;
  EXPECT_FALSE(Key().DecryptPassword(ciphertext, CountingNonce()));
  EXPECT_FALSE(Key().DecryptPassword(std::vector<uint8_t>(256, 0xFF), CountingNonce()));
  EXPECT_FALSE(Key().DecryptPassword(std::vector<uint8_t>(256, 0), CountingNonce()));
  // A zero inside.
  ciphertext =
      *EncryptPassword(std::string_view("se\0cret", 7), CountingNonce(), Key().public_key_pem());
  EXPECT_FALSE(Key().DecryptPassword(ciphertext, CountingNonce()));
}

TEST(RsaKey, RefusesKeysThatAreNone) {
  EXPECT_EQ(RsaKeyPair::Generate(1'024), nullptr);
  EXPECT_EQ(RsaKeyPair::Generate(16'384), nullptr);
  EXPECT_EQ(RsaKeyPair::FromPem(""), nullptr);
  EXPECT_EQ(RsaKeyPair::FromPem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            nullptr);
  EXPECT_EQ(RsaKeyPair::FromPem(Key().public_key_pem()), nullptr);
  EXPECT_EQ(RsaKeyPair::FromPem(std::string(1 << 20, 'x')), nullptr);

  EXPECT_FALSE(EncryptPassword("secret", CountingNonce(), ""));
  const std::string& pem = Key().public_key_pem();
  for (size_t size = 0; size + 30 < pem.size(); size += 7) {
    EXPECT_FALSE(EncryptPassword("secret", CountingNonce(), pem.substr(0, size))) << size;
  }
  EXPECT_FALSE(EncryptPassword(std::string(300, 'x'), CountingNonce(), pem));
  // An Ed25519 key is no RSA key.
  EXPECT_FALSE(EncryptPassword("secret", CountingNonce(),
                               "-----BEGIN PUBLIC KEY-----\n"
                               "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
                               "-----END PUBLIC KEY-----\n"));
}

}  // namespace
}  // namespace bulkhead::auth
