// Scrambles and verifiers against values that other implementations made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/crypto.h>

#include <set>

#include "proxy/auth/caching_sha2.h"
#include "proxy/auth/caching_sha2_verifier.h"
#include "proxy/auth/credential.h"
#include "proxy/auth/native_password.h"
#include "proxy/auth/sha_crypt.h"
#include "tests/auth/test_bytes.h"

namespace bulkhead::auth {
namespace {

std::string Text(const ShaCryptDigest& digest) { return {digest.data(), digest.size()}; }

std::string HexText(std::string_view hex) {
  const std::vector<uint8_t> bytes = FromHex(hex);
  return {bytes.begin(), bytes.end()};
}

// MariaDB 10.11: SELECT PASSWORD('secret').
constexpr std::string_view kNativeOfSecret = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7";
// MySQL 8.0: CREATE USER ... IDENTIFIED BY 'foobar'; the salt holds control characters.
constexpr std::string_view kShaCryptOfFoobar =
    "24412430303524031A69251C34295C4B35167C7F1E5A7B63091349503974624D34504B5A424679354856336868686F"
    "52485A736E4A733368786E427575516C73446469496537";
// MySQL 8.0: ... IDENTIFIED BY 'testpassword123'.
constexpr std::string_view kShaCryptOfTestpassword =
    "24412430303524393D02673221785B414A4E5F02073711301659116B446B76753345617A4D7530635548526D367874"
    "6F6B75564835553334346932572E332F704C4856477131";

TEST(Nonce, HasNoByteThatAClientWouldTakeForAnEnd) {
  std::array<uint8_t, kNonceSize> random{};
  for (int value = 0; value < 256; ++value) {
    random.fill(static_cast<uint8_t>(value));
    for (uint8_t byte : MakeNonce(random)) {
      EXPECT_NE(byte, 0);
      EXPECT_NE(byte, '$');
      EXPECT_LT(byte, 0x80);
    }
  }
}

TEST(Plugin, NamesAndBack) {
  for (Plugin plugin :
       {Plugin::kNativePassword, Plugin::kCachingSha2, Plugin::kEd25519, Plugin::kClearPassword}) {
    EXPECT_EQ(PluginByName(PluginName(plugin)), plugin);
  }
  EXPECT_EQ(PluginByName(""), Plugin::kUnknown);
  EXPECT_EQ(PluginByName("mysql_old_password"), Plugin::kUnknown);
}

TEST(NativePassword, VerifierIsTheServers) {
  EXPECT_EQ(FormatNativeVerifier(MakeNativeVerifier("secret")), kNativeOfSecret);
  EXPECT_EQ(FormatNativeVerifier(MakeNativeVerifier("p\xC3\xA4ssw\xC3\xB6rd")),
            "*0225EC5004ABB0B8CB557541FE53DE1A5D8CC825");
  EXPECT_EQ(ParseNativeVerifier(kNativeOfSecret), MakeNativeVerifier("secret"));
  EXPECT_EQ(ParseNativeVerifier("*14e65567abdb5135d0cfd9a70b3032c179a49ee7"),
            MakeNativeVerifier("secret"));
}

TEST(NativePassword, RefusesWhatIsNoVerifier) {
  EXPECT_FALSE(ParseNativeVerifier(""));
  EXPECT_FALSE(ParseNativeVerifier("*"));
  std::string text(kNativeOfSecret);
  EXPECT_FALSE(ParseNativeVerifier(text + "0"));
  EXPECT_FALSE(ParseNativeVerifier(text.substr(0, 40)));
  text[0] = '+';
  EXPECT_FALSE(ParseNativeVerifier(text));
  text[0] = '*';
  text[7] = 'G';
  EXPECT_FALSE(ParseNativeVerifier(text));
}

TEST(NativePassword, ScrambleIsThatOfAnotherImplementation) {
  EXPECT_EQ(ToHex(NativeScramble("secret", CountingNonce())),
            "b32bb3a583e1340c0a1108d58b1be49781ad8c2f");
}

TEST(NativePassword, RightScrambleShowsStage1) {
  const Sha1Digest scramble = NativeScramble("secret", CountingNonce());
  const auto stage1 = CheckNativeScramble(scramble, CountingNonce(), MakeNativeVerifier("secret"));
  ASSERT_TRUE(stage1);
  EXPECT_EQ(*stage1, Sha1({AsBytes("secret")}));
  // ... which is enough to answer another server's nonce.
  EXPECT_EQ(NativeScrambleFromStage1(*stage1, CountingNonce(50)),
            NativeScramble("secret", CountingNonce(50)));
}

TEST(NativePassword, WrongScrambleShowsNothing) {
  Sha1Digest scramble = NativeScramble("secret", CountingNonce());
  EXPECT_FALSE(CheckNativeScramble(scramble, CountingNonce(), MakeNativeVerifier("Secret")));
  EXPECT_FALSE(CheckNativeScramble(scramble, CountingNonce(2), MakeNativeVerifier("secret")));
  for (size_t size = 0; size < scramble.size(); ++size) {
    EXPECT_FALSE(CheckNativeScramble(Bytes(scramble).first(size), CountingNonce(),
                                     MakeNativeVerifier("secret")));
  }
  for (size_t i = 0; i < scramble.size(); ++i) {
    scramble[i] ^= 1;
    EXPECT_FALSE(CheckNativeScramble(scramble, CountingNonce(), MakeNativeVerifier("secret")));
    scramble[i] ^= 1;
  }
}

TEST(CachingSha2, ScrambleIsThatOfAnotherImplementation) {
  EXPECT_EQ(ToHex(CachingSha2Scramble("secret", CountingNonce())),
            "746ebe205d56a0707acb3e796e834e0dd7b1d61743b26bd5202c7a623230c7c9");
}

TEST(CachingSha2, ChecksScrambles) {
  Sha256Digest scramble = CachingSha2Scramble("secret", CountingNonce());
  EXPECT_TRUE(CheckCachingSha2Scramble(scramble, CountingNonce(), "secret"));
  EXPECT_FALSE(CheckCachingSha2Scramble(scramble, CountingNonce(), "Secret"));
  EXPECT_FALSE(CheckCachingSha2Scramble(scramble, CountingNonce(2), "secret"));
  EXPECT_FALSE(CheckCachingSha2Scramble(Bytes(scramble).first(31), CountingNonce(), "secret"));
  EXPECT_FALSE(CheckCachingSha2Scramble({}, CountingNonce(), "secret"));
  scramble[31] ^= 0x80;
  EXPECT_FALSE(CheckCachingSha2Scramble(scramble, CountingNonce(), "secret"));
}

// The vectors of SHA-crypt.txt whose salt is not cut, and two of OpenSSL's `passwd -5` and glibc's
// crypt().
TEST(ShaCrypt, PublishedVectors) {
  EXPECT_EQ(Text(ShaCrypt("Hello world!", "saltstring", 5'000)),
            "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5");
  EXPECT_EQ(Text(ShaCrypt("secret", "saltstring12", 5'000)),
            "zHD9wlDUFVYaSVEeTbuj2N78flsaPbgyEIgj6rHXJKA");
  EXPECT_EQ(Text(ShaCrypt("Hello world!", "saltstringsaltst", 10'000)),
            "3xv.VbSHBb41AL9AvLeujZkZRBAwqFMz2.opqey6IcA");
  EXPECT_EQ(Text(ShaCrypt("we have a short salt string but not a short password", "short", 77'777)),
            "JiO1O3ZpDAxGJeaDIuqCoEFysAe1mZNJRs3pw0KQRd/");
}

TEST(CachingSha2Verifier, ChecksWhatMysqlStored) {
  const auto foobar = ParseCachingSha2Verifier(HexText(kShaCryptOfFoobar));
  ASSERT_TRUE(foobar);
  EXPECT_EQ(foobar->rounds, 5'000u);
  EXPECT_TRUE(CheckCachingSha2Verifier("foobar", *foobar));
  EXPECT_FALSE(CheckCachingSha2Verifier("foobaR", *foobar));
  EXPECT_FALSE(CheckCachingSha2Verifier("", *foobar));
  const auto test = ParseCachingSha2Verifier(HexText(kShaCryptOfTestpassword));
  ASSERT_TRUE(test);
  EXPECT_TRUE(CheckCachingSha2Verifier("testpassword123", *test));
}

// MySQL 9.7.4: ... IDENTIFIED BY 'secret', with both values of
// caching_sha2_password_storage_format. Its default is 10,000 rounds.
TEST(CachingSha2Verifier, ChecksWhatMysql9Stored) {
  for (std::string_view hex : {"24412430304124173D635346222759700B756D64456B5A3B4D2E7A5470795744654"
                               "54D722F6E6B7533613130665971"
                               "765A3939326E3359375443366F4A6C59584B5845416B36",
                               "24422430304124421C28534C1F0A11091F06175C796B273C33093F664864482F333"
                               "4496478486430694A7658573241"
                               "7270483633596948517A6C4B562B4A4E62462B5945487436456E54316D624330374"
                               "435534F4E763051744D57646C47"
                               "6E58336E79517777675A2B6961794F7A7347673D3D"}) {
    const auto verifier = ParseCachingSha2Verifier(HexText(hex));
    ASSERT_TRUE(verifier);
    EXPECT_EQ(verifier->rounds, 10'000u);
    EXPECT_TRUE(CheckCachingSha2Verifier("secret", *verifier));
    EXPECT_FALSE(CheckCachingSha2Verifier("Secret", *verifier));
    EXPECT_EQ(FormatCachingSha2Verifier(*verifier), HexText(hex));
  }
}

TEST(CachingSha2Verifier, FormatsAsItParsed) {
  const std::string text = HexText(kShaCryptOfFoobar);
  EXPECT_EQ(FormatCachingSha2Verifier(*ParseCachingSha2Verifier(text)), text);
  const auto made = MakeCachingSha2Verifier("secret", CountingNonce(),
                                            CachingSha2Verifier::Scheme::kShaCrypt, 26'000);
  EXPECT_EQ(FormatCachingSha2Verifier(made).substr(0, 7), "$A$01A$");
  EXPECT_EQ(ParseCachingSha2Verifier(FormatCachingSha2Verifier(made)), made);
}

TEST(CachingSha2Verifier, Pbkdf2IsThatOfAnotherImplementation) {
  const std::string_view salt = "abcdefghijklmnopqrst";
  const auto made = MakeCachingSha2Verifier("secret", AsBytes(salt).first<kCachingSha2SaltSize>(),
                                            CachingSha2Verifier::Scheme::kPbkdf2Sha512);
  const std::string text = FormatCachingSha2Verifier(made);
  EXPECT_EQ(
      text,
      "$B$005$abcdefghijklmnopqrst"
      "UkLC/ECvu+TT1ZMZOPbHwEC5AWsfu8mpaj4edsndxQg4PLTwBIOZgiCUFCrlrz82SkwuXHDdVsnwq4IokWgEqg==");
  const auto parsed = ParseCachingSha2Verifier(text);
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(CheckCachingSha2Verifier("secret", *parsed));
  EXPECT_FALSE(CheckCachingSha2Verifier("secret ", *parsed));
}

TEST(CachingSha2Verifier, RefusesWhatIsNoVerifier) {
  const std::string good = HexText(kShaCryptOfFoobar);
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(ParseCachingSha2Verifier(good.substr(0, size))) << size;
  }
  EXPECT_FALSE(ParseCachingSha2Verifier(good + "x"));
  const auto with = [&](size_t at, char c) {
    std::string text = good;
    text[at] = c;
    return ParseCachingSha2Verifier(text);
  };
  EXPECT_FALSE(with(1, 'C'));
  EXPECT_FALSE(with(1, 'B'));  // right but for its length
  EXPECT_FALSE(with(4, 'g'));
  EXPECT_FALSE(with(5, '0'));  // no rounds
  EXPECT_FALSE(with(6, '0'));
  EXPECT_FALSE(with(30, '!'));
  EXPECT_TRUE(with(5, '6'));
  EXPECT_EQ(with(3, 'f')->rounds, 0xF05u * 1'000);
}

TEST(CachingSha2Verifier, RefusesLongPasswordsUnseen) {
  const std::string longest(kCachingSha2MaxPassword, 'x');
  const auto verifier = MakeCachingSha2Verifier(longest, CountingNonce());
  EXPECT_TRUE(CheckCachingSha2Verifier(longest, verifier));
  const auto too_long = MakeCachingSha2Verifier(longest + "x", CountingNonce());
  EXPECT_FALSE(CheckCachingSha2Verifier(longest + "x", too_long));
}

TEST(Credential, RecognisesVerifiersByTheirForm) {
  EXPECT_EQ(Credential::FromVerifier(kNativeOfSecret)->kind(), Credential::Kind::kNativeVerifier);
  EXPECT_EQ(Credential::FromVerifier(HexText(kShaCryptOfFoobar))->kind(),
            Credential::Kind::kCachingSha2Verifier);
  EXPECT_EQ(Credential::FromVerifier("ZIgUREUg5PVgQ6LskhXmO+eZLS0nC8be6HPjYWR4YJY")->kind(),
            Credential::Kind::kEd25519Key);
  EXPECT_FALSE(Credential::FromVerifier("secret"));
  EXPECT_FALSE(Credential::FromVerifier(""));
}

TEST(Credential, ChecksPasswordsOfEveryKind) {
  for (const Credential& credential :
       {Credential::FromPlaintext("secret"), Credential(MakeNativeVerifier("secret")),
        Credential(MakeCachingSha2Verifier("secret", CountingNonce())),
        Credential(MakeEd25519PublicKey("secret"))}) {
    EXPECT_TRUE(credential.Check("secret"));
    EXPECT_FALSE(credential.Check("secreT"));
    EXPECT_FALSE(credential.Check("secret2"));
    EXPECT_FALSE(credential.Check(""));
    EXPECT_FALSE(credential.is_empty_password());
  }
  EXPECT_TRUE(Credential().is_empty_password());
  EXPECT_TRUE(Credential().Check(""));
  EXPECT_FALSE(Credential().Check("x"));
}

TEST(LoginSecret, KnowsStage1FromEither) {
  EXPECT_EQ(LoginSecret().native_stage1(), std::nullopt);
  EXPECT_EQ(LoginSecret::Plaintext(Secret("secret")).native_stage1(), Sha1({AsBytes("secret")}));
  EXPECT_EQ(LoginSecret::Plaintext(Secret("secret")).password(), "secret");
  const LoginSecret stage1 = LoginSecret::NativeStage1(Sha1({AsBytes("secret")}));
  EXPECT_EQ(stage1.native_stage1(), Sha1({AsBytes("secret")}));
  EXPECT_EQ(stage1.password(), "");
}

TEST(Secret, CopiesAreDeepAndMovesLeaveNothing) {
  Secret a("secret");
  Secret b = a;
  a = Secret("other");
  EXPECT_EQ(b.view(), "secret");
  Secret c = std::move(b);
  EXPECT_EQ(c.view(), "secret");
  EXPECT_TRUE(b.empty());  // NOLINT: what a move leaves is part of the contract
  c.Truncate(3);
  EXPECT_EQ(c.view(), "sec");
  c.Truncate(9);
  EXPECT_EQ(c.view(), "sec");
  EXPECT_TRUE(Secret("").empty());
  EXPECT_EQ(Secret::OfSize(2).view(), std::string_view("\0\0", 2));
  std::string text = "secret";
  Wipe(text);
  EXPECT_EQ(text, "");
}

TEST(Secret, WorksInLockedMemoryAndBeyondIt) {
  // Locking may not be allowed here: then the heap serves.
  const bool locked = ReserveLockedMemory(1 << 16);
  std::vector<Secret> secrets;
  for (int i = 0; i < 100; ++i) secrets.emplace_back(std::string(1'000, static_cast<char>(i)));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(secrets[static_cast<size_t>(i)].view(), std::string(1'000, static_cast<char>(i)))
        << locked;
  }
  // OpenSSL's share: without room for a private key, TLS handshakes fail.
  if (locked) {
    void* key = OPENSSL_secure_malloc(64);
    ASSERT_NE(key, nullptr);
    EXPECT_EQ(CRYPTO_secure_allocated(key), 1);
    OPENSSL_secure_free(key);
  }
}

}  // namespace
}  // namespace bulkhead::auth
