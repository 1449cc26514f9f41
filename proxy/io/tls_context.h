// Certificates, keys and rules of TLS for one listener or one group of backends.
//
// Purpose: made once from options, checked whole, then shared: every connection's TlsFilter keeps a
// reference. Thread: immutable, any.
// Limits: TLS 1.2 and later only. Renegotiation and TLS compression are off. Servers issue session
// tickets (stateless), so that a client may resume with any worker of this context.
// Errors: nullptr and a text that names the file and what OpenSSL says of it.
// Source: OpenSSL 3.0 manual pages SSL_CTX_new, SSL_CTX_set_mode, SSL_CTX_set_tlsext_ticket_key_cb;
// MySQL 8.0 Reference Manual, "Creating SSL and RSA Certificates and Keys" (automatic certificate).
#ifndef BULKHEAD_PROXY_IO_TLS_CONTEXT_H_
#define BULKHEAD_PROXY_IO_TLS_CONTEXT_H_

#include <openssl/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace bulkhead::io {

enum class TlsVersion : uint8_t { kTls12, kTls13 };

// What a client checks of the server's certificate.
enum class TlsVerify : uint8_t {
  kNone,      // encrypts only ("required")
  kCa,        // chain up to a known CA ("verify_ca")
  kIdentity,  // and the host name or address ("verify_identity")
};

struct TlsServerOptions {
  std::string cert_file{};  // PEM, with intermediate certificates behind it
  std::string key_file{};   // PEM; empty: the key is in cert_file
  // PEM: client certificates are asked for and must be signed by these. Empty: not asked for.
  std::string client_ca_file{};
  TlsVersion min_version = TlsVersion::kTls12;
  std::string ciphers{};        // TLS 1.2, OpenSSL's syntax; empty: ECDHE with AEAD
  std::string cipher_suites{};  // TLS 1.3; empty: OpenSSL's default
};

struct TlsClientOptions {
  TlsVerify verify = TlsVerify::kNone;
  std::string ca_file{};    // PEM; empty: the system's CAs, where something is verified at all
  std::string cert_file{};  // client certificate, if any
  std::string key_file{};
  TlsVersion min_version = TlsVersion::kTls12;
  std::string ciphers{};
  std::string cipher_suites{};
};

class TlsContext {
 public:
  using Ptr = std::shared_ptr<const TlsContext>;

  [[nodiscard]] static Ptr MakeServer(const TlsServerOptions& options, std::string* error);
  // A server with a certificate made now, kept in memory, valid from `now_s - 1 day` (Unix time)
  // for ten years. Enough for clients that encrypt without verifying. A file of a CA etc. is
  // ignored.
  [[nodiscard]] static Ptr MakeSelfSigned(const TlsServerOptions& options,
                                          std::string_view common_name, int64_t now_s,
                                          std::string* error);
  [[nodiscard]] static Ptr MakeClient(const TlsClientOptions& options, std::string* error);

  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  [[nodiscard]] bool is_server() const { return server_; }
  [[nodiscard]] TlsVerify verify() const { return verify_; }
  [[nodiscard]] SSL_CTX* native() const { return context_; }
  // The server's own certificate in PEM, as clients see it; empty for clients.
  [[nodiscard]] std::string CertificatePem() const;

 private:
  TlsContext(SSL_CTX* context, bool server, TlsVerify verify)
      : context_(context), server_(server), verify_(verify) {}

  SSL_CTX* context_;
  bool server_;
  TlsVerify verify_;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_TLS_CONTEXT_H_
