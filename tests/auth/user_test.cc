#include "proxy/auth/user.h"

#include <gtest/gtest.h>

#include <map>

#include "proxy/auth/learned_passwords.h"
#include "proxy/auth/server_exchange.h"
#include "tests/auth/test_bytes.h"

namespace bulkhead::auth {
namespace {

UserRecord User(std::string name, Credential credential) {
  UserRecord user;
  user.name = std::move(name);
  user.credential = std::move(credential);
  return user;
}

TEST(UserTable, FindsByExactName) {
  const UserTable table({User("zoe", Credential::FromPlaintext("z")),
                         User("app", Credential::FromPlaintext("a")),
                         User("app", Credential::FromPlaintext("second"))});
  ASSERT_NE(table.Find("app"), nullptr);
  EXPECT_TRUE(table.Find("app")->credential.Check("a"));
  EXPECT_NE(table.Find("zoe"), nullptr);
  EXPECT_EQ(table.Find("App"), nullptr);
  EXPECT_EQ(table.Find("ap"), nullptr);
  EXPECT_EQ(table.Find(""), nullptr);
  EXPECT_EQ(UserTable().Find("app"), nullptr);
}

TEST(DecoyCredentials, AreTheSameForTheSameName) {
  const UserTable table({User("a", Credential::FromPlaintext("x")),
                         User("b", Credential(MakeNativeVerifier("x"))),
                         User("c", Credential(MakeCachingSha2Verifier("x", CountingNonce()))),
                         User("d", Credential(MakeEd25519PublicKey("x")))});
  const DecoyCredentials decoys(table, Secret("sixteen bytes at least"));
  const DecoyCredentials others(table, Secret("another sixteen bytes"));
  std::map<Credential::Kind, int> kinds;
  int differing = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string name = "user" + std::to_string(i);
    const Credential decoy = decoys.For(name);
    EXPECT_EQ(decoys.For(name).kind(), decoy.kind());
    EXPECT_FALSE(decoy.is_empty_password());
    ++kinds[decoy.kind()];
    if (others.For(name).kind() != decoy.kind()) ++differing;
    if (const CachingSha2Verifier* verifier = decoy.caching_sha2()) {
      EXPECT_EQ(verifier->rounds, 5'000u);
      // A well-formed one, so that checking a password against it takes its time.
      EXPECT_EQ(ParseCachingSha2Verifier(FormatCachingSha2Verifier(*verifier)), *verifier);
    }
    if (decoy.kind() != Credential::Kind::kCachingSha2Verifier) {
      EXPECT_FALSE(decoy.Check("x"));
      EXPECT_FALSE(decoy.Check(""));
    }
  }
  EXPECT_EQ(kinds.size(), 4u);
  EXPECT_GT(differing, 50);
}

TEST(DecoyCredentials, FollowTheKindsInUse) {
  const DecoyCredentials plain(UserTable({User("a", Credential::FromPlaintext("x"))}),
                               Secret("sixteen bytes at least"));
  const DecoyCredentials none(UserTable(), Secret("sixteen bytes at least"));
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(plain.For(std::to_string(i)).kind(), Credential::Kind::kPlaintext);
    EXPECT_EQ(none.For(std::to_string(i)).kind(), Credential::Kind::kPlaintext);
  }
}

TEST(LearnedPasswords, AreThoseOfThisCredential) {
  const Credential verifier(MakeNativeVerifier("secret"));
  const Credential changed(MakeNativeVerifier("other"));
  LearnedPasswords learned;
  EXPECT_EQ(learned.Find("app", verifier), nullptr);
  learned.Remember("app", verifier, "secret");
  ASSERT_NE(learned.Find("app", verifier), nullptr);
  EXPECT_EQ(learned.Find("app", verifier)->view(), "secret");
  EXPECT_EQ(learned.Find("App", verifier), nullptr);
  EXPECT_EQ(learned.Find("app", changed), nullptr);
  learned.Remember("app", changed, "other");
  EXPECT_EQ(learned.Find("app", verifier), nullptr);
  EXPECT_EQ(learned.Find("app", changed)->view(), "other");
  learned.Remember("plain", Credential::FromPlaintext("x"), "x");
  EXPECT_EQ(learned.size(), 1u);
}

TEST(Credential, SameAsItself) {
  const Credential credentials[] = {Credential(),
                                    Credential::FromPlaintext("x"),
                                    Credential::FromPlaintext("y"),
                                    Credential(MakeNativeVerifier("x")),
                                    Credential(MakeNativeVerifier("y")),
                                    Credential(MakeCachingSha2Verifier("x", CountingNonce())),
                                    Credential(MakeCachingSha2Verifier("y", CountingNonce())),
                                    Credential(MakeEd25519PublicKey("x")),
                                    Credential(MakeEd25519PublicKey("y"))};
  for (const Credential& a : credentials) {
    for (const Credential& b : credentials) EXPECT_EQ(a.SameAs(b), &a == &b);
  }
}

TEST(ExchangeNonces, AreThreeParts) {
  std::array<uint8_t, kExchangeRandomSize> random;
  for (size_t i = 0; i < random.size(); ++i) random[i] = static_cast<uint8_t>(i + 1);
  const ExchangeNonces nonces = MakeExchangeNonces(random);
  EXPECT_EQ(nonces.greeting[0], 1);
  EXPECT_EQ(nonces.for_switch[0], 21);
  EXPECT_EQ(nonces.for_ed25519[0], 41);
  EXPECT_EQ(nonces.for_ed25519[31], 72);
}

}  // namespace
}  // namespace bulkhead::auth
