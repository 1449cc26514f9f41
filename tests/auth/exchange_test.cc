// Both sides of the plugin exchange against each other, and the server's side against clients that
// misbehave.
#include <gtest/gtest.h>

#include "proxy/auth/caching_sha2.h"
#include "proxy/auth/client_exchange.h"
#include "proxy/auth/server_exchange.h"
#include "tests/auth/test_bytes.h"

namespace bulkhead::auth {
namespace {

using Step = ServerExchange::Step;

std::shared_ptr<const RsaKeyPair> Rsa() {
  static const std::shared_ptr<const RsaKeyPair> kKey = RsaKeyPair::Generate();
  return kKey;
}

ServerExchangeOptions Options() {
  ServerExchangeOptions options;
  options.nonces.greeting = CountingNonce(1);
  options.nonces.for_switch = CountingNonce(40);
  options.nonces.for_ed25519.fill(0x5A);
  return options;
}

Credential ShaCryptCredential(std::string_view password) {
  return Credential(MakeCachingSha2Verifier(password, CountingNonce()));
}

Bytes Scramble(const Sha256Digest& digest) { return digest; }

// --- choice of the plugin, by the server's side alone ---

TEST(ServerExchange, PlaintextTakesWhatTheClientOffers) {
  ServerExchange native(Options());
  EXPECT_EQ(native.Begin(Credential::FromPlaintext("secret"), nullptr, Plugin::kNativePassword,
                         NativeScramble("secret", CountingNonce(1))),
            Step::kAccepted);
  EXPECT_TRUE(native.output().empty());
  EXPECT_EQ(native.TakeSecret().password(), "secret");

  ServerExchange sha2(Options());
  EXPECT_EQ(sha2.Begin(Credential::FromPlaintext("secret"), nullptr, Plugin::kCachingSha2,
                       CachingSha2Scramble("secret", CountingNonce(1))),
            Step::kAccepted);
  EXPECT_EQ(sha2.output(), std::vector<uint8_t>{kFastAuthSuccess});
}

TEST(ServerExchange, SwitchesAClientThatGuessedAnotherPluginThanTheGreetings) {
  ServerExchange exchange(Options());
  ASSERT_EQ(
      exchange.Begin(Credential::FromPlaintext("secret"), nullptr, Plugin::kNativePassword, {}),
      Step::kSwitch);
  EXPECT_EQ(exchange.switch_plugin(), Plugin::kNativePassword);
  ASSERT_EQ(exchange.output().size(), kNonceSize + 1);
  EXPECT_EQ(exchange.output().back(), 0);
  EXPECT_EQ(exchange.OnData(NativeScramble("secret", CountingNonce(40))), Step::kAccepted);
  EXPECT_EQ(exchange.current_nonce(), CountingNonce(40));
}

TEST(ServerExchange, OldNonceIsWorthNothingAfterASwitch) {
  ServerExchange exchange(Options());
  ASSERT_EQ(
      exchange.Begin(Credential::FromPlaintext("secret"), nullptr, Plugin::kNativePassword, {}),
      Step::kSwitch);
  EXPECT_EQ(exchange.OnData(NativeScramble("secret", CountingNonce(1))), Step::kDenied);
}

TEST(ServerExchange, EmptyResponseToTheGreetingsPluginIsNoPassword) {
  ServerExchange denied(Options());
  EXPECT_EQ(denied.Begin(Credential::FromPlaintext("secret"), nullptr, Plugin::kCachingSha2, {}),
            Step::kDenied);
  EXPECT_FALSE(denied.password_given());
  static constexpr uint8_t kZero[] = {0};
  for (Bytes empty : {Bytes(), Bytes(kZero)}) {
    ServerExchange accepted(Options());
    EXPECT_EQ(accepted.Begin(Credential(), nullptr, Plugin::kCachingSha2, empty), Step::kAccepted);
  }
}

TEST(ServerExchange, EmptyPasswordFitsNoScramble) {
  ServerExchange native(Options());
  EXPECT_EQ(native.Begin(Credential(), nullptr, Plugin::kNativePassword,
                         NativeScramble("", CountingNonce(1))),
            Step::kDenied);
  ServerExchange sha2(Options());
  EXPECT_EQ(sha2.Begin(Credential(), nullptr, Plugin::kCachingSha2,
                       CachingSha2Scramble("", CountingNonce(1))),
            Step::kDenied);
  EXPECT_TRUE(sha2.password_given());
}

TEST(ServerExchange, VerifierDecidesThePlugin) {
  const Sha256Digest sha2 = CachingSha2Scramble("secret", CountingNonce(1));
  const Sha1Digest native = NativeScramble("secret", CountingNonce(1));

  ServerExchange to_native(Options());
  EXPECT_EQ(to_native.Begin(Credential(MakeNativeVerifier("secret")), nullptr, Plugin::kCachingSha2,
                            Scramble(sha2)),
            Step::kSwitch);
  EXPECT_EQ(to_native.switch_plugin(), Plugin::kNativePassword);

  ServerExchange to_sha2(Options());
  EXPECT_EQ(to_sha2.Begin(ShaCryptCredential("secret"), nullptr, Plugin::kNativePassword, native),
            Step::kSwitch);
  EXPECT_EQ(to_sha2.switch_plugin(), Plugin::kCachingSha2);

  ServerExchange to_ed25519(Options());
  EXPECT_EQ(to_ed25519.Begin(Credential(MakeEd25519PublicKey("secret")), nullptr,
                             Plugin::kNativePassword, native),
            Step::kSwitch);
  EXPECT_EQ(to_ed25519.switch_plugin(), Plugin::kEd25519);
  EXPECT_EQ(to_ed25519.output().size(), kEd25519NonceSize);

  ServerExchange unknown(Options());
  EXPECT_EQ(
      unknown.Begin(Credential::FromPlaintext("secret"), nullptr, Plugin::kUnknown, Scramble(sha2)),
      Step::kSwitch);
  EXPECT_EQ(unknown.switch_plugin(), Plugin::kCachingSha2);
}

TEST(ServerExchange, NativeVerifierTakesThePasswordItselfOverTls) {
  ServerExchangeOptions options = Options();
  options.is_tls = true;
  ServerExchange exchange(options);
  ASSERT_EQ(exchange.Begin(Credential(MakeNativeVerifier("secret")), nullptr, Plugin::kCachingSha2,
                           CachingSha2Scramble("secret", CountingNonce(1))),
            Step::kSend);
  EXPECT_EQ(exchange.output(), std::vector<uint8_t>{kPerformFullAuth});
  EXPECT_EQ(exchange.OnData(AsBytes(std::string_view("secret\0", 7))), Step::kAccepted);
  EXPECT_EQ(exchange.TakeSecret().password(), "secret");
}

TEST(ServerExchange, ClientThatCannotSwitchSpeaksNativeOnly) {
  ServerExchangeOptions options = Options();
  options.client_can_switch = false;
  ServerExchange native(options);
  EXPECT_EQ(native.Begin(Credential(MakeNativeVerifier("secret")), nullptr, Plugin::kNativePassword,
                         NativeScramble("secret", CountingNonce(1))),
            Step::kAccepted);
  ServerExchange sha2(options);
  EXPECT_EQ(sha2.Begin(ShaCryptCredential("secret"), nullptr, Plugin::kNativePassword,
                       NativeScramble("secret", CountingNonce(1))),
            Step::kCannotSwitch);
}

TEST(ServerExchange, ChangeOfUserForcesASwitch) {
  ServerExchangeOptions options = Options();
  options.is_change_user = true;
  ServerExchange sha2(options);
  ASSERT_EQ(sha2.Begin(Credential::FromPlaintext("secret"), nullptr, Plugin::kCachingSha2,
                       CachingSha2Scramble("secret", CountingNonce(1))),
            Step::kSwitch);
  EXPECT_EQ(sha2.switch_plugin(), Plugin::kCachingSha2);
  EXPECT_EQ(sha2.OnData(CachingSha2Scramble("secret", CountingNonce(40))), Step::kAccepted);
  EXPECT_EQ(sha2.current_nonce(), CountingNonce(40));

  // Clients scramble with the old nonce, whatever the switch says: so it says that.
  ServerExchange native(options);
  ASSERT_EQ(native.Begin(Credential::FromPlaintext("secret"), nullptr, Plugin::kNativePassword,
                         NativeScramble("secret", CountingNonce(1))),
            Step::kSwitch);
  EXPECT_EQ(native.output()[0], 1);
  EXPECT_EQ(native.OnData(NativeScramble("secret", CountingNonce(1))), Step::kAccepted);
  EXPECT_EQ(native.current_nonce(), CountingNonce(1));
}

TEST(ServerExchange, Ed25519LeavesTheShortNonceAsItWas) {
  ServerExchange exchange(Options());
  ASSERT_EQ(exchange.Begin(Credential::FromPlaintext("secret"), nullptr, Plugin::kEd25519, {}),
            Step::kSwitch);
  EXPECT_EQ(exchange.current_nonce(), CountingNonce(1));
}

TEST(ServerExchange, ClearPasswordOverTlsOnly) {
  const Bytes password = AsBytes(std::string_view("secret\0", 7));
  ServerExchangeOptions options = Options();
  options.is_unix_socket = true;
  ServerExchange plain(options);
  EXPECT_EQ(
      plain.Begin(Credential::FromPlaintext("secret"), nullptr, Plugin::kClearPassword, password),
      Step::kSwitch);
  EXPECT_EQ(plain.switch_plugin(), Plugin::kCachingSha2);

  options.is_tls = true;
  for (const Credential& credential :
       {Credential::FromPlaintext("secret"), Credential(MakeNativeVerifier("secret")),
        ShaCryptCredential("secret"), Credential(MakeEd25519PublicKey("secret"))}) {
    for (bool right : {true, false}) {
      ServerExchange tls(options);
      Step step = tls.Begin(credential, nullptr, Plugin::kClearPassword,
                            right ? password : AsBytes(std::string_view("Secret\0", 7)));
      if (step == Step::kCompute) step = tls.OnJobDone(RunPasswordJob(tls.job()));
      EXPECT_EQ(step, right ? Step::kAccepted : Step::kDenied);
    }
  }
}

TEST(ServerExchange, LearnedPasswordMakesTheVerifierFast) {
  const auto learned = std::make_shared<const Secret>("secret");
  ServerExchange fast(Options());
  EXPECT_EQ(fast.Begin(ShaCryptCredential("secret"), learned, Plugin::kCachingSha2,
                       CachingSha2Scramble("secret", CountingNonce(1))),
            Step::kAccepted);
  EXPECT_EQ(fast.output(), std::vector<uint8_t>{kFastAuthSuccess});
  EXPECT_EQ(fast.TakeSecret().password(), "secret");

  // A wrong password looks as if nothing had been learned, and as if there were no such user.
  ServerExchange wrong(Options());
  EXPECT_EQ(wrong.Begin(ShaCryptCredential("secret"), learned, Plugin::kCachingSha2,
                        CachingSha2Scramble("Secret", CountingNonce(1))),
            Step::kSend);
  EXPECT_EQ(wrong.output(), std::vector<uint8_t>{kPerformFullAuth});
}

TEST(ServerExchange, FullAuthenticationTakesNothingElse) {
  const Sha256Digest scramble = CachingSha2Scramble("secret", CountingNonce(1));
  const struct {
    bool tls, rsa;
    std::string data;
  } cases[] = {
      {true, true, "secret"},                      // no zero at the end
      {true, true, std::string("se\0cret\0", 8)},  // a zero inside
      {true, true, ""},                            //
      {true, true, "\2"},                          // a key request over TLS
      {false, true, std::string("secret\0", 7)},   // in clear without TLS
      {false, false, "\2"},                        // no key here
      {false, true, std::string(255, 'x')},        // no ciphertext
      {false, false, std::string(256, 'x')},       //
  };
  for (const auto& c : cases) {
    ServerExchangeOptions options = Options();
    options.is_tls = c.tls;
    if (c.rsa) options.rsa = Rsa();
    ServerExchange exchange(options);
    ASSERT_EQ(exchange.Begin(ShaCryptCredential("secret"), nullptr, Plugin::kCachingSha2, scramble),
              Step::kSend);
    EXPECT_EQ(exchange.OnData(AsBytes(c.data)), Step::kDenied) << c.data;
    // Nothing comes after a refusal.
    EXPECT_EQ(exchange.OnData(AsBytes(c.data)), Step::kDenied);
  }
}

TEST(ServerExchange, CiphertextThatDoesNotDecryptIsAWrongPassword) {
  ServerExchangeOptions options = Options();
  options.rsa = Rsa();
  ServerExchange exchange(options);
  ASSERT_EQ(exchange.Begin(ShaCryptCredential("secret"), nullptr, Plugin::kCachingSha2,
                           CachingSha2Scramble("secret", CountingNonce(1))),
            Step::kSend);
  ASSERT_EQ(exchange.OnData(std::vector<uint8_t>(256, 1)), Step::kCompute);
  const PasswordJobResult result = RunPasswordJob(exchange.job());
  EXPECT_FALSE(result.verified);
  EXPECT_EQ(exchange.OnJobDone(result), Step::kDenied);
}

TEST(ServerExchange, ResponsesCutAtEveryByteAreRefused) {
  for (Plugin plugin : {Plugin::kNativePassword, Plugin::kCachingSha2, Plugin::kEd25519}) {
    for (size_t size = 0; size <= 64; ++size) {
      ServerExchange exchange(Options());
      ASSERT_EQ(exchange.Begin(Credential::FromPlaintext("secret"), nullptr, plugin, {}),
                plugin == Plugin::kCachingSha2 ? Step::kDenied : Step::kSwitch);
      if (plugin == Plugin::kCachingSha2) continue;
      Step step = exchange.OnData(std::vector<uint8_t>(size, 7));
      if (step == Step::kCompute) step = exchange.OnJobDone(RunPasswordJob(exchange.job()));
      EXPECT_EQ(step, Step::kDenied) << size;
    }
  }
}

// --- both sides ---

struct Setting {
  Credential credential;
  std::string password;
  Plugin greeting = Plugin::kCachingSha2;
  bool tls = false;
  bool unix_socket = false;
  bool rsa = false;
  bool allow_key_request = false;
  bool allow_clear = false;
  Plugin force_offer = Plugin::kUnknown;  // the client names this one and sends nothing
};

struct Outcome {
  bool accepted = false;
  std::string client_failure;
  Plugin plugin = Plugin::kUnknown;
  LoginSecret secret;
  bool computed = false;
  bool switched = false;
};

Outcome RunWith(const Setting& setting, LoginSecret secret) {
  ServerExchangeOptions options = Options();
  options.greeting_plugin = setting.greeting;
  options.is_tls = setting.tls;
  options.is_unix_socket = setting.unix_socket;
  if (setting.rsa) options.rsa = Rsa();
  ServerExchange server(options);
  ClientExchangeOptions client_options;
  client_options.is_tls = setting.tls;
  client_options.is_unix_socket = setting.unix_socket;
  client_options.allow_public_key_request = setting.allow_key_request;
  client_options.allow_clear_password = setting.allow_clear;
  ClientExchange client(client_options, std::move(secret));

  Outcome outcome;
  Step step;
  if (setting.force_offer != Plugin::kUnknown) {
    step = server.Begin(setting.credential, nullptr, setting.force_offer, {});
  } else {
    const Plugin first = client.ChooseFirst(setting.greeting);
    if (client.Begin(first, options.nonces.greeting) != ClientExchange::Step::kSend) {
      outcome.client_failure = client.failure();
      return outcome;
    }
    step = server.Begin(setting.credential, nullptr, first, client.output());
  }
  for (int round = 0; round < 10; ++round) {
    ClientExchange::Step answer = ClientExchange::Step::kWait;
    switch (step) {
      case Step::kSwitch:
        outcome.switched = true;
        answer = client.Begin(server.switch_plugin(), server.output());
        break;
      case Step::kSend:
        answer = client.OnMoreData(server.output());
        break;
      case Step::kCompute:
        outcome.computed = true;
        step = server.OnJobDone(RunPasswordJob(server.job()));
        continue;
      case Step::kAccepted:
        if (!server.output().empty()) {
          EXPECT_EQ(client.OnMoreData(server.output()), ClientExchange::Step::kWait);
        }
        outcome.accepted = true;
        outcome.plugin = server.plugin();
        outcome.secret = server.TakeSecret();
        return outcome;
      case Step::kDenied:
      case Step::kCannotSwitch:
        return outcome;
    }
    if (answer == ClientExchange::Step::kFailed) {
      outcome.client_failure = client.failure();
      return outcome;
    }
    EXPECT_EQ(answer, ClientExchange::Step::kSend);
    step = server.OnData(client.output());
  }
  ADD_FAILURE() << "no end";
  return outcome;
}

Outcome RunPlain(const Setting& setting) {
  return RunWith(setting, LoginSecret::Plaintext(Secret(setting.password)));
}

TEST(Exchange, EveryCredentialOverEveryTransport) {
  const Credential credentials[] = {
      Credential::FromPlaintext("secret"), Credential(MakeNativeVerifier("secret")),
      ShaCryptCredential("secret"), Credential(MakeEd25519PublicKey("secret"))};
  for (const Credential& credential : credentials) {
    for (Plugin greeting : {Plugin::kNativePassword, Plugin::kCachingSha2}) {
      for (int transport = 0; transport < 3; ++transport) {
        for (bool right : {true, false}) {
          Setting setting{credential, right ? "secret" : "wrong"};
          setting.greeting = greeting;
          setting.tls = transport == 0;
          setting.unix_socket = transport == 1;
          setting.rsa = setting.allow_key_request = transport == 2;
          const Outcome outcome = RunPlain(setting);
          EXPECT_EQ(outcome.accepted, right)
              << static_cast<int>(credential.kind()) << ' ' << PluginName(greeting) << ' '
              << transport << ' ' << outcome.client_failure;
          EXPECT_EQ(outcome.client_failure, "");
          // What is learned is the password, but where only a scramble or a signature was seen.
          if (right && outcome.plugin == Plugin::kCachingSha2) {
            EXPECT_EQ(outcome.secret.password(), "secret");
          }
        }
      }
    }
  }
}

TEST(Exchange, PlaintextNeedsNoSwitchAndNoJob) {
  for (Plugin greeting : {Plugin::kNativePassword, Plugin::kCachingSha2}) {
    Setting setting{Credential::FromPlaintext("secret"), "secret"};
    setting.greeting = greeting;
    const Outcome outcome = RunPlain(setting);
    EXPECT_TRUE(outcome.accepted);
    EXPECT_FALSE(outcome.switched);
    EXPECT_FALSE(outcome.computed);
    EXPECT_EQ(outcome.plugin, greeting);
  }
}

TEST(Exchange, EmptyPassword) {
  for (Plugin offer : {Plugin::kUnknown, Plugin::kNativePassword, Plugin::kEd25519}) {
    Setting setting{Credential(), ""};
    setting.force_offer = offer;
    EXPECT_TRUE(RunPlain(setting).accepted) << PluginName(offer);
    setting.password = "secret";
    EXPECT_FALSE(RunPlain(setting).accepted) << PluginName(offer);
    setting.credential = Credential::FromPlaintext("secret");
    setting.password = "";
    EXPECT_FALSE(RunPlain(setting).accepted) << PluginName(offer);
  }
}

TEST(Exchange, PlaintextSignsWithEd25519WhereTheClientWantsTo) {
  Setting setting{Credential::FromPlaintext("secret"), "secret"};
  setting.force_offer = Plugin::kEd25519;
  Outcome outcome = RunPlain(setting);
  EXPECT_TRUE(outcome.accepted);
  EXPECT_TRUE(outcome.computed);
  EXPECT_EQ(outcome.plugin, Plugin::kEd25519);
  EXPECT_EQ(outcome.secret.password(), "secret");
  setting.password = "wrong";
  EXPECT_FALSE(RunPlain(setting).accepted);
}

TEST(Exchange, Stage1LogsOnToNativeOnly) {
  const Sha1Digest stage1 = Sha1({AsBytes("secret")});
  for (Plugin greeting : {Plugin::kNativePassword, Plugin::kCachingSha2}) {
    Setting setting{Credential(MakeNativeVerifier("secret")), ""};
    setting.greeting = greeting;
    const Outcome native = RunWith(setting, LoginSecret::NativeStage1(stage1));
    EXPECT_TRUE(native.accepted);
    EXPECT_EQ(native.secret.native_stage1(), stage1);
    setting.credential = ShaCryptCredential("secret");
    const Outcome sha2 = RunWith(setting, LoginSecret::NativeStage1(stage1));
    EXPECT_FALSE(sha2.accepted);
    EXPECT_NE(sha2.client_failure, "");
  }
}

TEST(ClientExchange, KeepsThePasswordToItself) {
  Setting setting{ShaCryptCredential("secret"), "secret"};
  setting.rsa = true;
  EXPECT_NE(RunPlain(setting).client_failure, "");  // may not ask for a key

  ClientExchange no_tls({.allow_clear_password = true}, LoginSecret::Plaintext(Secret("secret")));
  EXPECT_EQ(no_tls.Begin(Plugin::kClearPassword, {}), ClientExchange::Step::kFailed);
  ClientExchange not_allowed({.is_tls = true}, LoginSecret::Plaintext(Secret("secret")));
  EXPECT_EQ(not_allowed.Begin(Plugin::kClearPassword, {}), ClientExchange::Step::kFailed);
  ClientExchange allowed({.is_tls = true, .allow_clear_password = true},
                         LoginSecret::Plaintext(Secret("secret")));
  ASSERT_EQ(allowed.Begin(Plugin::kClearPassword, {}), ClientExchange::Step::kSend);
  EXPECT_EQ(allowed.output(), (std::vector<uint8_t>{'s', 'e', 'c', 'r', 'e', 't', 0}));
  ClientExchange nothing({}, LoginSecret());
  EXPECT_EQ(nothing.Begin(Plugin::kNativePassword, CountingNonce()), ClientExchange::Step::kFailed);
}

TEST(ClientExchange, UsesAKnownPublicKeyUnasked) {
  ClientExchange client({.public_key_pem = Rsa()->public_key_pem()},
                        LoginSecret::Plaintext(Secret("secret")));
  ASSERT_EQ(client.Begin(Plugin::kCachingSha2, CountingNonce()), ClientExchange::Step::kSend);
  static constexpr uint8_t kFull[] = {kPerformFullAuth};
  ASSERT_EQ(client.OnMoreData(kFull), ClientExchange::Step::kSend);
  EXPECT_EQ(Rsa()->DecryptPassword(client.output(), CountingNonce())->view(), "secret");
}

TEST(ClientExchange, RefusesWhatNoServerSends) {
  const auto client = [](bool tls) {
    return ClientExchange({.is_tls = tls, .allow_public_key_request = true},
                          LoginSecret::Plaintext(Secret("secret")));
  };
  for (size_t size = 0; size < 40; ++size) {
    const std::vector<uint8_t> nonce(size, 9);
    for (Plugin plugin : {Plugin::kNativePassword, Plugin::kCachingSha2, Plugin::kEd25519}) {
      const size_t expected = plugin == Plugin::kEd25519 ? kEd25519NonceSize : kNonceSize;
      EXPECT_EQ(client(false).Begin(plugin, nonce),
                size == expected ? ClientExchange::Step::kSend : ClientExchange::Step::kFailed);
    }
  }
  EXPECT_EQ(client(true).Begin(Plugin::kUnknown, CountingNonce()), ClientExchange::Step::kFailed);
  for (std::vector<uint8_t> data : {std::vector<uint8_t>{}, {5}, {3, 3}, {4, 0}}) {
    ClientExchange c = client(true);
    ASSERT_EQ(c.Begin(Plugin::kCachingSha2, CountingNonce()), ClientExchange::Step::kSend);
    EXPECT_EQ(c.OnMoreData(data), ClientExchange::Step::kFailed);
  }
  ClientExchange key = client(false);
  ASSERT_EQ(key.Begin(Plugin::kCachingSha2, CountingNonce()), ClientExchange::Step::kSend);
  static constexpr uint8_t kFull[] = {kPerformFullAuth};
  ASSERT_EQ(key.OnMoreData(kFull), ClientExchange::Step::kSend);
  EXPECT_EQ(key.output(), std::vector<uint8_t>{kRequestPublicKey});
  EXPECT_EQ(key.OnMoreData(AsBytes("no key")), ClientExchange::Step::kFailed);
}

}  // namespace
}  // namespace bulkhead::auth
