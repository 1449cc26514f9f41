#include "proxy/auth/client_exchange.h"

#include <algorithm>
#include <optional>

#include "proxy/auth/caching_sha2.h"
#include "proxy/auth/rsa_key.h"

namespace bulkhead::auth {
namespace {

// Servers send the nonce with a zero behind it, some without.
std::optional<Nonce> ParseNonce(Bytes data) {
  if (data.size() < kNonceSize || data.size() > kNonceSize + 1) return std::nullopt;
  if (data.size() == kNonceSize + 1 && data.back() != 0) return std::nullopt;
  Nonce nonce;
  std::copy_n(data.begin(), nonce.size(), nonce.begin());
  return nonce;
}

}  // namespace

bool ClientExchange::CanAnswer(Plugin plugin) const {
  switch (plugin) {
    case Plugin::kNativePassword:
      return secret_.kind() != LoginSecret::Kind::kNone;
    case Plugin::kCachingSha2:
    case Plugin::kEd25519:
      return secret_.kind() == LoginSecret::Kind::kPlaintext;
    case Plugin::kClearPassword:
      return secret_.kind() == LoginSecret::Kind::kPlaintext && options_.allow_clear_password &&
             options_.is_tls;
    case Plugin::kUnknown:
      return false;
  }
  return false;
}

Plugin ClientExchange::ChooseFirst(Plugin greeting_plugin) const {
  // Never begin with what needs a longer nonce than the greeting's, or would show the password
  // unasked.
  if (greeting_plugin == Plugin::kCachingSha2 && CanAnswer(greeting_plugin)) return greeting_plugin;
  return Plugin::kNativePassword;
}

ClientExchange::Step ClientExchange::Begin(Plugin plugin, Bytes data) {
  plugin_ = plugin;
  output_.clear();
  if (!CanAnswer(plugin)) {
    switch (plugin) {
      case Plugin::kUnknown:
        return Fail("the server asks for an authentication plugin that is not supported");
      case Plugin::kClearPassword:
        return Fail("the server asks for the password in clear text, which is not allowed here");
      case Plugin::kNativePassword:
      case Plugin::kCachingSha2:
      case Plugin::kEd25519:
        return Fail("the password itself is not known, and the server's plugin needs it");
    }
  }
  switch (plugin) {
    case Plugin::kNativePassword:
      return BeginNative(data);
    case Plugin::kCachingSha2:
      return BeginCachingSha2(data);
    case Plugin::kEd25519:
      return BeginEd25519(data);
    case Plugin::kClearPassword:
      return SendClearPassword();
    case Plugin::kUnknown:
      break;
  }
  return Fail("the server asks for an authentication plugin that is not supported");
}

ClientExchange::Step ClientExchange::BeginNative(Bytes data) {
  const std::optional<Nonce> nonce = ParseNonce(data);
  if (!nonce) return Fail("the server's nonce has the wrong length");
  if (secret_.kind() == LoginSecret::Kind::kPlaintext && secret_.password().empty()) {
    return Send({}, State::kDone);
  }
  std::optional<Sha1Digest> stage1 = secret_.native_stage1();
  const Sha1Digest scramble = NativeScrambleFromStage1(*stage1, *nonce);
  Wipe(stage1->data(), stage1->size());
  return Send(scramble, State::kDone);
}

ClientExchange::Step ClientExchange::BeginCachingSha2(Bytes data) {
  const std::optional<Nonce> nonce = ParseNonce(data);
  if (!nonce) return Fail("the server's nonce has the wrong length");
  nonce_ = *nonce;
  if (secret_.password().empty()) return Send({}, State::kDone);
  return Send(CachingSha2Scramble(secret_.password(), nonce_), State::kExpectVerdict);
}

ClientExchange::Step ClientExchange::BeginEd25519(Bytes data) {
  // Its nonce is binary: a zero at the end belongs to it. A 33rd byte is what proxies append.
  if (data.size() == kEd25519NonceSize + 1 && data.back() == 0)
    data = data.first(kEd25519NonceSize);
  if (data.size() != kEd25519NonceSize) return Fail("the server's nonce has the wrong length");
  return Send(SignEd25519(secret_.password(), data), State::kDone);
}

ClientExchange::Step ClientExchange::OnMoreData(Bytes data) {
  output_.clear();
  switch (state_) {
    case State::kExpectVerdict:
      if (data.size() == 1 && data[0] == kFastAuthSuccess) {
        state_ = State::kDone;
        return Step::kWait;
      }
      if (data.size() == 1 && data[0] == kPerformFullAuth) return OnFullAuthRequested();
      break;
    case State::kExpectPublicKey:
      return SendEncrypted({reinterpret_cast<const char*>(data.data()), data.size()});
    case State::kIdle:
    case State::kDone:
      break;
  }
  return Fail("the server's authentication data are not what the plugin expects");
}

ClientExchange::Step ClientExchange::OnFullAuthRequested() {
  if (options_.is_tls || options_.is_unix_socket) return SendClearPassword();
  if (!options_.public_key_pem.empty()) return SendEncrypted(options_.public_key_pem);
  if (!options_.allow_public_key_request) {
    return Fail("the server wants the password itself, which needs TLS or its public key");
  }
  static constexpr uint8_t kRequest[] = {kRequestPublicKey};
  return Send(kRequest, State::kExpectPublicKey);
}

ClientExchange::Step ClientExchange::SendClearPassword() {
  const std::string_view password = secret_.password();
  output_.reserve(password.size() + 1);  // no reallocation leaves a copy behind
  output_.assign(password.begin(), password.end());
  output_.push_back(0);
  state_ = State::kDone;
  return Step::kSend;
}

ClientExchange::Step ClientExchange::SendEncrypted(std::string_view public_key_pem) {
  const std::optional<std::vector<uint8_t>> ciphertext =
      EncryptPassword(secret_.password(), nonce_, public_key_pem);
  if (!ciphertext) return Fail("the server's public key can't be used");
  return Send(*ciphertext, State::kDone);
}

ClientExchange::Step ClientExchange::Send(Bytes bytes, State next) {
  output_.assign(bytes.begin(), bytes.end());
  state_ = next;
  return Step::kSend;
}

ClientExchange::Step ClientExchange::Fail(std::string_view why) {
  failure_ = why;
  state_ = State::kIdle;
  return Step::kFailed;
}

void ClientExchange::Forget() {
  secret_ = {};
  Wipe(output_.data(), output_.size());
  output_.clear();
  state_ = State::kIdle;
}

}  // namespace bulkhead::auth
