// TLS as a filter of a stream, server or client side.
//
// Purpose: handshake, decryption and encryption with OpenSSL, which reads the stream's bytes where
// they lie and whose records leave in few writes: one per Encode, and one per Decode at most for
// what the handshake answers.
// Thread: the loop's.
// Use: a server writes nothing more in plain, pushes the filter, then gives the bytes that came
// right behind the SSLRequest to Stream::Reinject: they are the client's hello.
// Limits: before the handshake is complete at most kEarlyLimit plain bytes are kept. An idle
// established connection costs 20 KiB at most (a test measures it). Renegotiation is refused.
// Errors: error() has the text of OpenSSL or of the certificate check; the alert that tells the
// peer is sent before Decode returns false. The peer's close_notify ends nothing by itself: what
// comes after it is ignored, the socket's end follows. Source: OpenSSL 3.0 manual pages SSL_read,
// SSL_write, BIO_meth_new, SSL_set1_host; RFC 8446.
#ifndef BULKHEAD_PROXY_IO_TLS_FILTER_H_
#define BULKHEAD_PROXY_IO_TLS_FILTER_H_

#include <openssl/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/io/stream.h"
#include "proxy/io/tls_context.h"

namespace bulkhead::io {

class TlsFilter : public StreamFilter {
 public:
  static constexpr size_t kEarlyLimit = 64 * 1024;

  // Called once when the handshake is complete, before the first plain byte goes up. May write to
  // and drop the stream.
  using EstablishedCallback = std::function<void()>;

  [[nodiscard]] static std::unique_ptr<TlsFilter> MakeServer(const TlsContext& context);
  [[nodiscard]] static std::unique_ptr<TlsFilter> MakeServer(const TlsContext::Ptr& context) {
    return MakeServer(*context);
  }
  // The context need not outlive the filter. `host`: the name or numeric address that the user
  // asked for; sent as SNI if it is a name, and checked if the context says so.
  [[nodiscard]] static std::unique_ptr<TlsFilter> MakeClient(const TlsContext& context,
                                                             std::string_view host);
  [[nodiscard]] static std::unique_ptr<TlsFilter> MakeClient(const TlsContext::Ptr& context,
                                                             std::string_view host) {
    return MakeClient(*context, host);
  }
  // As above; this connection's own `verify` counts, not the context's.
  [[nodiscard]] static std::unique_ptr<TlsFilter> MakeClient(const TlsContext::Ptr& context,
                                                             std::string_view host,
                                                             TlsVerify verify);
  ~TlsFilter() override;

  void set_on_established(EstablishedCallback callback) { on_established_ = std::move(callback); }

  [[nodiscard]] bool Start(FilterSink* sink) override;
  [[nodiscard]] bool Decode(std::span<uint8_t> bytes, FilterSink* sink) override;
  [[nodiscard]] bool Encode(std::span<const uint8_t> bytes, FilterSink* sink) override;
  void Finish(FilterSink* sink) override;
  [[nodiscard]] std::string error() const override { return error_; }

  [[nodiscard]] bool established() const { return state_ == State::Established; }
  [[nodiscard]] std::string_view version() const;  // "TLSv1.3"
  [[nodiscard]] std::string_view cipher() const;   // "TLS_AES_256_GCM_SHA384"
  // A ticket of an earlier connection was taken.
  [[nodiscard]] bool resumed() const;
  [[nodiscard]] SSL* native() const { return ssl_; }
  // Subject of the peer's certificate as RFC 2253 text; "" where it has shown none.
  [[nodiscard]] std::string PeerSubject() const;

 private:
  friend struct TlsBio;
  enum class State : uint8_t { Handshake, Established, Failed };

  TlsFilter(const TlsContext& context, bool server);
  void SetHost(const std::string& host, TlsVerify verify);
  bool Handshake(std::vector<uint8_t>* output, FilterSink* sink);
  bool ReadRecords(std::vector<uint8_t>* output, FilterSink* sink);
  bool Seal(std::span<const uint8_t> plain, std::vector<uint8_t>* output, FilterSink* sink);
  bool Fail(const char* what, int ssl_error);
  bool FailWith(std::string error);

  SSL* ssl_ = nullptr;
  State state_ = State::Handshake;
  bool peer_finished_ = false;
  std::span<const uint8_t> input_;          // what OpenSSL reads; only inside Decode
  std::vector<uint8_t>* output_ = nullptr;  // where OpenSSL writes; only inside a call
  std::vector<uint8_t> early_;              // plain bytes from before the handshake's end
  EstablishedCallback on_established_;
  std::string error_;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_TLS_FILTER_H_
