#include "proxy/io/tls_context.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstring>
#include <memory>
#include <utility>

namespace bulkhead::io {

namespace {

// Forward secrecy and authenticated encryption, which every client that knows TLS 1.2 has.
constexpr char kServerCiphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL";
constexpr unsigned char kSessionIdContext[] = "bulkhead";
constexpr int64_t kDaySeconds = 24 * 60 * 60;
constexpr int64_t kSelfSignedDays = 3650;

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using ContextPtr = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using CertificatePtr = std::unique_ptr<X509, Deleter<X509_free>>;

// What OpenSSL has to say of the last failure; its queue is empty afterwards.
std::string OpenSslReason() {
  // The oldest entry is the cause, the newer ones say on whose behalf it was done.
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown error";
  if (ERR_SYSTEM_ERROR(code)) {
    const char* text = std::strerror(static_cast<int>(ERR_GET_REASON(code)));
    return text;
  }
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code);
}

bool Fail(const std::string& what, std::string* error) {
  *error = what + ": " + OpenSslReason();
  return false;
}

// An encrypted key is an error, not a question on the terminal.
int NoPassphrase(char*, int, int, void*) { return -1; }

ContextPtr NewContext(bool server, TlsVersion min_version, const std::string& ciphers,
                      const std::string& cipher_suites, std::string* error) {
  ERR_clear_error();
  ContextPtr context(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  if (context == nullptr) {
    (void)Fail("cannot set up TLS", error);
    return nullptr;
  }
  SSL_CTX_set_min_proto_version(
      context.get(), min_version == TlsVersion::kTls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE);
  // Idle connections give their record buffers (16 KiB each way) back.
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_default_passwd_cb(context.get(), &NoPassphrase);
  // Tickets hold the session on the client's side; a cache of ours would only take memory.
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  const char* list = !ciphers.empty() ? ciphers.c_str() : server ? kServerCiphers : nullptr;
  if (list != nullptr && SSL_CTX_set_cipher_list(context.get(), list) != 1) {
    (void)Fail("ciphers '" + std::string(list) + "'", error);
    return nullptr;
  }
  if (!cipher_suites.empty() &&
      SSL_CTX_set_ciphersuites(context.get(), cipher_suites.c_str()) != 1) {
    (void)Fail("cipher suites '" + cipher_suites + "'", error);
    return nullptr;
  }
  return context;
}

ContextPtr NewServerContext(const TlsServerOptions& options, std::string* error) {
  ContextPtr context =
      NewContext(true, options.min_version, options.ciphers, options.cipher_suites, error);
  if (context == nullptr) return nullptr;
  SSL_CTX_set_num_tickets(context.get(), 1);
  if (SSL_CTX_set_session_id_context(context.get(), kSessionIdContext,
                                     sizeof kSessionIdContext - 1) != 1) {
    (void)Fail("cannot set up TLS", error);
    return nullptr;
  }
  return context;
}

bool LoadCertificate(SSL_CTX* context, const std::string& cert_file, const std::string& key_file,
                     std::string* error) {
  if (SSL_CTX_use_certificate_chain_file(context, cert_file.c_str()) != 1) {
    return Fail("cannot use certificate '" + cert_file + "'", error);
  }
  const std::string& key = key_file.empty() ? cert_file : key_file;
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return Fail("cannot use private key '" + key + "'", error);
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    return Fail("private key '" + key + "' does not fit certificate '" + cert_file + "'", error);
  }
  return true;
}

bool AddExtension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

CertificatePtr NewCertificate(EVP_PKEY* key, const std::string& name, int64_t now_s) {
  CertificatePtr certificate(X509_new());
  uint64_t serial = 0;
  if (certificate == nullptr ||
      RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1) {
    return nullptr;
  }
  X509* x = certificate.get();
  X509_NAME* subject = X509_get_subject_name(x);
  const auto* text = reinterpret_cast<const unsigned char*>(name.c_str());
  const bool ok =
      X509_set_version(x, X509_VERSION_3) == 1 &&
      // Positive and not zero, as RFC 5280 asks.
      ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), (serial >> 1) | 1) == 1 &&
      ASN1_TIME_set(X509_getm_notBefore(x), now_s - kDaySeconds) != nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(x), now_s + kSelfSignedDays * kDaySeconds) != nullptr &&
      X509_set_pubkey(x, key) == 1 &&
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, text, -1, -1, 0) == 1 &&
      X509_set_issuer_name(x, subject) == 1 &&
      AddExtension(x, NID_subject_alt_name, "DNS:" + name) &&
      AddExtension(x, NID_basic_constraints, "critical,CA:FALSE") &&
      AddExtension(x, NID_subject_key_identifier, "hash") && X509_sign(x, key, EVP_sha256()) > 0;
  return ok ? std::move(certificate) : nullptr;
}

bool IsPlainHostName(std::string_view name) {
  for (char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!plain && c != '-' && c != '.' && c != '_') return false;
  }
  return !name.empty() && name.size() <= 64;  // the longest that a common name may be
}

}  // namespace

TlsContext::Ptr TlsContext::MakeServer(const TlsServerOptions& options, std::string* error) {
  ContextPtr context = NewServerContext(options, error);
  if (context == nullptr ||
      !LoadCertificate(context.get(), options.cert_file, options.key_file, error)) {
    return nullptr;
  }
  if (!options.client_ca_file.empty()) {
    const char* file = options.client_ca_file.c_str();
    STACK_OF(X509_NAME)* names = nullptr;
    if (SSL_CTX_load_verify_file(context.get(), file) != 1 ||
        (names = SSL_load_client_CA_file(file)) == nullptr) {
      (void)Fail("cannot use CA file '" + options.client_ca_file + "'", error);
      return nullptr;
    }
    SSL_CTX_set_client_CA_list(context.get(), names);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  }
  return Ptr(new TlsContext(context.release(), true, TlsVerify::kNone));
}

TlsContext::Ptr TlsContext::MakeSelfSigned(const TlsServerOptions& options,
                                           std::string_view common_name, int64_t now_s,
                                           std::string* error) {
  const std::string name(IsPlainHostName(common_name) ? common_name : "bulkhead");
  ContextPtr context = NewServerContext(options, error);
  if (context == nullptr) return nullptr;
  KeyPtr key(EVP_EC_gen("P-256"));
  CertificatePtr certificate = key != nullptr ? NewCertificate(key.get(), name, now_s) : nullptr;
  if (certificate == nullptr || SSL_CTX_use_certificate(context.get(), certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), key.get()) != 1) {
    (void)Fail("cannot make a certificate", error);
    return nullptr;
  }
  return Ptr(new TlsContext(context.release(), true, TlsVerify::kNone));
}

TlsContext::Ptr TlsContext::MakeClient(const TlsClientOptions& options, std::string* error) {
  ContextPtr context =
      NewContext(false, options.min_version, options.ciphers, options.cipher_suites, error);
  if (context == nullptr) return nullptr;
  if (!options.cert_file.empty() &&
      !LoadCertificate(context.get(), options.cert_file, options.key_file, error)) {
    return nullptr;
  }
  if (options.verify != TlsVerify::kNone) {
    const bool loaded = options.ca_file.empty()
                            ? SSL_CTX_set_default_verify_paths(context.get()) == 1
                            : SSL_CTX_load_verify_file(context.get(), options.ca_file.c_str()) == 1;
    if (!loaded) {
      (void)Fail("cannot use CA file '" + options.ca_file + "'", error);
      return nullptr;
    }
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  }
  return Ptr(new TlsContext(context.release(), false, options.verify));
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

std::string TlsContext::CertificatePem() const {
  X509* certificate = SSL_CTX_get0_certificate(context_);
  std::unique_ptr<BIO, Deleter<BIO_free>> bio(BIO_new(BIO_s_mem()));
  if (certificate == nullptr || bio == nullptr || PEM_write_bio_X509(bio.get(), certificate) != 1) {
    return {};
  }
  const char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

}  // namespace bulkhead::io
