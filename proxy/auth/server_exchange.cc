#include "proxy/auth/server_exchange.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "proxy/auth/caching_sha2.h"

namespace bulkhead::auth {
namespace {

bool IsEmptyResponse(Bytes response) {
  // caching_sha2 and clear text clients send an empty password as one zero byte.
  return response.empty() || (response.size() == 1 && response[0] == 0);
}

// A password as clients send it in clear: ended by a zero, which may not stand inside.
std::optional<Secret> ParseClearPassword(Bytes data) {
  const auto zero = std::find(data.begin(), data.end(), uint8_t{0});
  if (zero == data.end() || zero + 1 != data.end()) return std::nullopt;
  return Secret(data.first(data.size() - 1));
}

}  // namespace

ExchangeNonces MakeExchangeNonces(std::span<const uint8_t, kExchangeRandomSize> random) {
  ExchangeNonces nonces;
  nonces.greeting = MakeNonce(random.subspan<0, kNonceSize>());
  nonces.for_switch = MakeNonce(random.subspan<kNonceSize, kNonceSize>());
  const auto rest = random.subspan<2 * kNonceSize, kEd25519NonceSize>();
  std::copy(rest.begin(), rest.end(), nonces.for_ed25519.begin());
  return nonces;
}

ServerExchange::Step ServerExchange::Begin(Credential credential,
                                           std::shared_ptr<const Secret> learned, Plugin offered,
                                           Bytes response) {
  credential_ = std::move(credential);
  learned_ = std::move(learned);
  nonce_ = options_.nonces.greeting;
  plugin_ = Choose(offered);
  password_given_ = !IsEmptyResponse(response);

  if (!options_.client_can_switch) {
    // The client has computed a native scramble over the only nonce it knows.
    return plugin_ == Plugin::kNativePassword ? OnResponse(response) : Step::kCannotSwitch;
  }
  // A client that prefers another plugin than the greeting's sends nothing at first and waits to be
  // given a nonce.
  const bool waits_for_nonce = response.empty() && plugin_ != options_.greeting_plugin;
  if (plugin_ != offered || waits_for_nonce || options_.is_change_user || !ResponseFits(response)) {
    return Switch();
  }
  return OnResponse(response);
}

Plugin ServerExchange::Choose(Plugin offered) const {
  if (offered == Plugin::kClearPassword && options_.is_tls) return offered;
  switch (credential_.kind()) {
    case Credential::Kind::kPlaintext:
      if (offered == Plugin::kNativePassword || offered == Plugin::kCachingSha2 ||
          offered == Plugin::kEd25519) {
        return offered;
      }
      return options_.greeting_plugin;
    case Credential::Kind::kNativeVerifier:
      return offered == Plugin::kCachingSha2 && IsSecure() ? offered : Plugin::kNativePassword;
    case Credential::Kind::kCachingSha2Verifier:
      return Plugin::kCachingSha2;
    case Credential::Kind::kEd25519Key:
      return offered == Plugin::kCachingSha2 && IsSecure() ? offered : Plugin::kEd25519;
  }
  return options_.greeting_plugin;
}

// Whether the first response can be one over the greeting's nonce. One that can't (of a client that
// names a plugin it did not use) gets another chance by a switch.
bool ServerExchange::ResponseFits(Bytes response) const {
  if (IsEmptyResponse(response)) return plugin_ != Plugin::kEd25519;
  switch (plugin_) {
    case Plugin::kNativePassword:
      return response.size() == kNativeScrambleSize;
    case Plugin::kCachingSha2:
      return response.size() == kCachingSha2ScrambleSize;
    case Plugin::kEd25519:
      return false;  // its nonce is longer than the greeting's
    case Plugin::kClearPassword:
      return true;
    case Plugin::kUnknown:
      return false;
  }
  return false;
}

const Secret* ServerExchange::KnownPassword() const {
  return credential_.plaintext() != nullptr ? credential_.plaintext() : learned_.get();
}

ServerExchange::Step ServerExchange::Switch() {
  switched_ = true;
  state_ = State::kExpectResponse;
  switch (plugin_) {
    case Plugin::kEd25519:
      output_.assign(options_.nonces.for_ed25519.begin(), options_.nonces.for_ed25519.end());
      break;
    case Plugin::kClearPassword:
    case Plugin::kUnknown:
      output_.clear();
      break;
    case Plugin::kNativePassword:
    case Plugin::kCachingSha2: {
      const bool reuse = options_.is_change_user && plugin_ == Plugin::kNativePassword;
      if (!reuse) nonce_ = options_.nonces.for_switch;
      output_.assign(nonce_.begin(), nonce_.end());
      output_.push_back(0);  // as servers do: clients take the nonce for a string
      break;
    }
  }
  return Step::kSwitch;
}

ServerExchange::Step ServerExchange::OnData(Bytes data) {
  output_.clear();
  switch (state_) {
    case State::kExpectResponse:
      password_given_ = !IsEmptyResponse(data);
      return OnResponse(data);
    case State::kExpectPassword:
      return OnFullAuthData(data);
    case State::kExpectCiphertext:
      return OnCiphertext(data);
    case State::kIdle:
    case State::kComputing:
      break;
  }
  return Deny();
}

ServerExchange::Step ServerExchange::OnResponse(Bytes response) {
  // Ed25519 signs with the empty password too.
  if (IsEmptyResponse(response) && plugin_ != Plugin::kEd25519) {
    return credential_.is_empty_password() ? Accept(LoginSecret::Plaintext(Secret())) : Deny();
  }
  switch (plugin_) {
    case Plugin::kNativePassword:
      return OnNativeScramble(response);
    case Plugin::kCachingSha2:
      return OnCachingSha2Scramble(response);
    case Plugin::kEd25519:
      job_.input.assign(response.begin(), response.end());
      return Compute(PasswordJob::Kind::kVerifySignature);
    case Plugin::kClearPassword:
      return OnClearPassword(response);
    case Plugin::kUnknown:
      break;
  }
  return Deny();
}

ServerExchange::Step ServerExchange::OnNativeScramble(Bytes scramble) {
  const Secret* plaintext = credential_.plaintext();
  if (plaintext == nullptr && credential_.native() == nullptr) return Deny();
  const NativeVerifier verifier =
      plaintext != nullptr ? MakeNativeVerifier(plaintext->view()) : *credential_.native();
  std::optional<Sha1Digest> stage1 = CheckNativeScramble(scramble, nonce_, verifier);
  if (!stage1 || credential_.is_empty_password()) return Deny();
  LoginSecret secret = plaintext != nullptr ? LoginSecret::Plaintext(*plaintext)
                                            : LoginSecret::NativeStage1(*stage1);
  Wipe(stage1->data(), stage1->size());
  return Accept(std::move(secret));
}

ServerExchange::Step ServerExchange::OnCachingSha2Scramble(Bytes scramble) {
  if (scramble.size() != kCachingSha2ScrambleSize) return Deny();
  const Secret* known = KnownPassword();
  const bool right = known != nullptr && !known->empty() &&
                     CheckCachingSha2Scramble(scramble, nonce_, known->view());
  if (right) {
    Step step = Accept(LoginSecret::Plaintext(*known));
    output_ = {kFastAuthSuccess};
    return step;
  }
  if (credential_.plaintext() != nullptr) return Deny();
  // Also where the password has been learned: an answer of its own would tell that this user
  // exists.
  state_ = State::kExpectPassword;
  output_ = {kPerformFullAuth};
  return Step::kSend;
}

ServerExchange::Step ServerExchange::OnFullAuthData(Bytes data) {
  const bool wants_key = data.size() == 1 && data[0] == kRequestPublicKey;
  // Some clients don't count a Unix socket as secure and ask for the key there too; no password is
  // this one byte, since passwords end with a zero.
  if (wants_key && !options_.is_tls) {
    if (options_.rsa == nullptr) return Deny();
    state_ = State::kExpectCiphertext;
    const std::string& pem = options_.rsa->public_key_pem();
    output_.assign(pem.begin(), pem.end());
    return Step::kSend;
  }
  if (!IsSecure()) return OnCiphertext(data);
  return OnClearPassword(data);
}

ServerExchange::Step ServerExchange::OnCiphertext(Bytes data) {
  if (options_.rsa == nullptr || data.size() != options_.rsa->ciphertext_size()) return Deny();
  job_.input.assign(data.begin(), data.end());
  return Compute(PasswordJob::Kind::kDecryptAndCheck);
}

ServerExchange::Step ServerExchange::OnClearPassword(Bytes data) {
  std::optional<Secret> password = ParseClearPassword(data);
  if (!password) return Deny();
  return CheckNow(std::move(*password));
}

ServerExchange::Step ServerExchange::CheckNow(Secret password) {
  job_.password = std::move(password);
  const Credential::Kind kind = credential_.kind();
  if (kind == Credential::Kind::kCachingSha2Verifier || kind == Credential::Kind::kEd25519Key) {
    return Compute(PasswordJob::Kind::kCheckPassword);
  }
  job_.credential = credential_;
  return OnJobDone(RunPasswordJob(job_));
}

ServerExchange::Step ServerExchange::Compute(PasswordJob::Kind kind) {
  job_.kind = kind;
  job_.credential = credential_;
  job_.nonce = nonce_;
  job_.ed25519_nonce = options_.nonces.for_ed25519;
  job_.rsa = options_.rsa;
  state_ = State::kComputing;
  return Step::kCompute;
}

ServerExchange::Step ServerExchange::OnJobDone(PasswordJobResult result) {
  output_.clear();
  if (!result.verified) return Deny();
  return Accept(std::move(result.secret));
}

ServerExchange::Step ServerExchange::Accept(LoginSecret secret) {
  state_ = State::kIdle;
  output_.clear();
  job_ = {};
  secret_ = std::move(secret);
  // An earlier login has shown more than this one (a native scramble or a signature shows no
  // password).
  if (secret_.kind() != LoginSecret::Kind::kPlaintext && learned_ != nullptr) {
    secret_ = LoginSecret::Plaintext(*learned_);
  }
  return Step::kAccepted;
}

ServerExchange::Step ServerExchange::Deny() {
  state_ = State::kIdle;
  output_.clear();
  job_ = {};
  return Step::kDenied;
}

}  // namespace bulkhead::auth
