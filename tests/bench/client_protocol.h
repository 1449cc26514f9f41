// The client's side of the MySQL protocol as the load generator needs it: log in, and find the end
// of each answer by walking packet headers.
#ifndef BULKHEAD_TESTS_BENCH_CLIENT_PROTOCOL_H_
#define BULKHEAD_TESTS_BENCH_CLIENT_PROTOCOL_H_

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "tests/bench/support.h"

namespace bulkhead::bench {

struct Account {
  std::string user;
  std::string password;
  std::string database;
  bool deprecate_eof = true;
  bool tls = false;
};

inline std::string Digest(const EVP_MD* type, std::string_view a, std::string_view b = {}) {
  std::string out(static_cast<size_t>(EVP_MD_get_size(type)), '\0');
  EVP_MD_CTX* const context = EVP_MD_CTX_new();
  EVP_DigestInit_ex(context, type, nullptr);
  EVP_DigestUpdate(context, a.data(), a.size());
  EVP_DigestUpdate(context, b.data(), b.size());
  EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(out.data()), nullptr);
  EVP_MD_CTX_free(context);
  return out;
}

// What the client answers to the nonce, for mysql_native_password and caching_sha2_password.
inline std::string Scramble(std::string_view plugin, const std::string& password,
                            std::string_view nonce) {
  if (password.empty()) return "";
  const bool sha2 = plugin == "caching_sha2_password";
  const EVP_MD* const type = sha2 ? EVP_sha256() : EVP_sha1();
  std::string once = Digest(type, password);
  const std::string twice = Digest(type, once);
  const std::string mask = sha2 ? Digest(type, twice, nonce) : Digest(type, nonce, twice);
  for (size_t i = 0; i < once.size(); ++i) once[i] = static_cast<char>(once[i] ^ mask[i]);
  return once;
}

// From the greeting to the first OK. Give it whole packets, send what it gives back.
class Login {
 public:
  enum class Result : uint8_t { kContinue, kStartTls, kDone, kFailed };

  explicit Login(const Account* account) : account_(account) {}

  // `*out` gets the packet to send, if any. After kStartTls: after_tls() is to be sent next.
  Result OnPacket(std::string_view payload, uint8_t sequence, std::string* out) {
    if (payload.empty()) return Fail("empty packet");
    const auto first = static_cast<uint8_t>(payload[0]);
    if (first == 0xff) return Fail(payload.size() > 9 ? payload.substr(9) : payload.substr(1));
    uint8_t next = static_cast<uint8_t>(sequence + 1);
    if (!greeted_) {
      greeted_ = true;
      return Greeting(payload, next, out);
    }
    if (first == 0x00) return Result::kDone;
    if (first == 0xfe) {
      const size_t end = payload.find('\0');
      if (end == std::string_view::npos) return Fail("old authentication method");
      plugin_ = payload.substr(1, end - 1);
      nonce_ = payload.substr(end + 1, 20);
      AppendPacket(out, &next, Payload().Bytes(Scramble(plugin_, account_->password, nonce_)));
      return Result::kContinue;
    }
    if (first == 0x01 && payload.size() >= 2 && payload[1] == 3) return Result::kContinue;
    return Fail("asked for full authentication, which this program doesn't know");
  }
  [[nodiscard]] const std::string& after_tls() const { return after_tls_; }
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] bool deprecate_eof() const { return deprecate_eof_; }

 private:
  Result Fail(std::string_view why) {
    error_ = why;
    return Result::kFailed;
  }

  Result Greeting(std::string_view payload, uint8_t next, std::string* out) {
    const size_t end = payload.find('\0', 1);
    if (payload[0] != 10 || end == std::string_view::npos || payload.size() < end + 1 + 4 + 40) {
      return Fail("not a greeting");
    }
    size_t at = end + 5;
    nonce_ = payload.substr(at, 8);
    at += 9;
    const auto server =
        static_cast<uint32_t>(ReadInt(payload, at, 2) | ReadInt(payload, at + 5, 2) << 16);
    at += 18;
    nonce_ += payload.substr(at, 12);
    at += 13;
    if ((server & kPluginAuth) != 0 && at < payload.size()) {
      plugin_ = payload.substr(at, payload.find('\0', at) - at);
    }
    const uint32_t wanted = kLongPassword | kLongFlag | kProtocol41 | kTransactions |
                            kSecureConnection | kMultiResults | kPsMultiResults | kPluginAuth |
                            (account_->database.empty() ? 0u : kConnectWithDb) |
                            (account_->deprecate_eof ? kDeprecateEof : 0u) |
                            (account_->tls ? kSsl : 0u);
    if (account_->tls && (server & kSsl) == 0) return Fail("the server has no TLS");
    const uint32_t agreed = wanted & server;
    deprecate_eof_ = (agreed & kDeprecateEof) != 0;
    const std::string scramble = Scramble(plugin_, account_->password, nonce_);
    const Payload head =
        Payload().Int(agreed, 4).Int(1 << 24, 4).Int(45, 1).Bytes(std::string(23, '\0'));
    if (account_->tls) AppendPacket(out, &next, head);
    Payload response = head;
    response.Bytes(account_->user).Zero().LengthEncoded(scramble);
    if ((agreed & kConnectWithDb) != 0) response.Bytes(account_->database).Zero();
    if ((agreed & kPluginAuth) != 0) response.Bytes(plugin_).Zero();
    AppendPacket(account_->tls ? &after_tls_ : out, &next, response);
    return account_->tls ? Result::kStartTls : Result::kContinue;
  }

  const Account* account_;
  bool greeted_ = false;
  bool deprecate_eof_ = false;
  std::string plugin_ = "mysql_native_password";
  std::string nonce_;
  std::string after_tls_;
  std::string error_;
};

// Finds the end of one answer in a stream of bytes. Looks at packet headers and at the first bytes
// of a packet only, so that large results cost little.
class AnswerReader {
 public:
  enum class Answer : uint8_t { kRows, kPrepared };

  void Expect(Answer answer, bool deprecate_eof) {
    phase_ = answer == Answer::kRows ? Phase::kFirst : Phase::kPrepareOk;
    deprecate_eof_ = deprecate_eof;
    head_size_ = 0;
    skip_ = 0;
    failed_ = false;
  }

  // Consumes what belongs to the answer; true once it is whole.
  bool Consume(std::string_view* bytes) {
    while (!bytes->empty()) {
      if (skip_ > 0) {
        const size_t size = std::min<size_t>(skip_, bytes->size());
        bytes->remove_prefix(size);
        skip_ -= size;
        if (skip_ > 0) return false;
        if (phase_ == Phase::kDone) return true;
        continue;
      }
      // Header and as much of the payload as is looked at, at most kHead bytes in all.
      const size_t wanted = head_size_ < 4 ? 4 : 4 + std::min<size_t>(PayloadSize(), kHead - 4);
      const size_t size = std::min(wanted - head_size_, bytes->size());
      memcpy(head_.data() + head_size_, bytes->data(), size);
      head_size_ += size;
      bytes->remove_prefix(size);
      if (head_size_ < 4 || head_size_ < 4 + std::min<size_t>(PayloadSize(), kHead - 4)) continue;
      skip_ = PayloadSize() - (head_size_ - 4);
      const size_t payload_size = PayloadSize();
      const size_t looked_at = head_size_ - 4;
      head_size_ = 0;
      OnPacket(std::string_view(head_.data() + 4, looked_at), payload_size);
      if (phase_ == Phase::kDone && skip_ == 0) return true;
    }
    return false;
  }

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] int error_code() const { return error_code_; }
  [[nodiscard]] uint32_t statement_id() const { return statement_id_; }

 private:
  enum class Phase : uint8_t { kFirst, kColumns, kRows, kPrepareOk, kPrepareRest, kDone };
  static constexpr size_t kHead = 64;

  [[nodiscard]] size_t PayloadSize() const {
    return ReadInt(std::string_view(head_.data(), 4), 0, 3);
  }

  void Fail(std::string_view payload) {
    failed_ = true;
    error_ = payload.substr(std::min<size_t>(payload.size(), 3));
    error_code_ = payload.size() < 3 ? 0 : static_cast<int>(ReadInt(payload, 1, 2));
    phase_ = Phase::kDone;
  }

  void OnPacket(std::string_view payload, size_t size) {
    const auto first = static_cast<uint8_t>(payload.empty() ? 0 : payload[0]);
    if (first == 0xff && phase_ != Phase::kColumns) return Fail(payload);
    switch (phase_) {
      case Phase::kFirst:
        if (first == 0x00 || first == 0xfe) {
          phase_ = Phase::kDone;
        } else {
          left_ = first + (deprecate_eof_ ? 0u : 1u);  // columns (fewer than 251), then EOF
          phase_ = Phase::kColumns;
        }
        break;
      case Phase::kColumns:
        if (--left_ == 0) phase_ = Phase::kRows;
        break;
      case Phase::kRows:
        if (first == 0xfe && size < (deprecate_eof_ ? 0xffffffu : 9u)) phase_ = Phase::kDone;
        break;
      case Phase::kPrepareOk: {
        if (payload.size() < 9) return Fail("xxxshort answer to prepare");
        statement_id_ = static_cast<uint32_t>(ReadInt(payload, 1, 4));
        const uint64_t columns = ReadInt(payload, 5, 2);
        const uint64_t parameters = ReadInt(payload, 7, 2);
        const uint64_t ends =
            deprecate_eof_ ? 0 : (columns > 0 ? 1u : 0u) + (parameters > 0 ? 1u : 0u);
        left_ = static_cast<uint32_t>(columns + parameters + ends);
        phase_ = left_ == 0 ? Phase::kDone : Phase::kPrepareRest;
        break;
      }
      case Phase::kPrepareRest:
        if (--left_ == 0) phase_ = Phase::kDone;
        break;
      case Phase::kDone:
        break;
    }
  }

  Phase phase_ = Phase::kDone;
  bool deprecate_eof_ = false;
  bool failed_ = false;
  uint32_t left_ = 0;
  uint32_t statement_id_ = 0;
  size_t skip_ = 0;
  size_t head_size_ = 0;
  std::array<char, kHead> head_;
  std::string error_;
  int error_code_ = 0;
};

}  // namespace bulkhead::bench

#endif  // BULKHEAD_TESTS_BENCH_CLIENT_PROTOCOL_H_
