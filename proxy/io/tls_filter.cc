#include "proxy/io/tls_filter.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace bulkhead::io {

namespace {

// Plain bytes that go up, and records that go down, at a time: what one read brings.
constexpr size_t kPlainBuffer = EventLoop::kReadBufferSize;
constexpr size_t kSealAtOnce = 128 * 1024;
constexpr size_t kKeptCapacity = 256 * 1024;

// One buffer of each kind per thread is kept and lent to whichever filter is at work. A second
// filter that starts while the first one is (its plain bytes made somebody write) gets a new one.
thread_local std::vector<uint8_t> spare_output;
thread_local std::unique_ptr<uint8_t[]> spare_plain;

class LentOutput {
 public:
  LentOutput() { bytes_.swap(spare_output); }
  ~LentOutput() {
    bytes_.clear();
    if (bytes_.capacity() <= kKeptCapacity && bytes_.capacity() > spare_output.capacity()) {
      bytes_.swap(spare_output);
    }
  }
  LentOutput(const LentOutput&) = delete;
  LentOutput& operator=(const LentOutput&) = delete;
  std::vector<uint8_t>* get() { return &bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

class LentPlain {
 public:
  LentPlain() : bytes_(std::move(spare_plain)) {
    if (bytes_ == nullptr) bytes_ = std::make_unique_for_overwrite<uint8_t[]>(kPlainBuffer);
  }
  ~LentPlain() {
    if (spare_plain == nullptr) spare_plain = std::move(bytes_);
  }
  LentPlain(const LentPlain&) = delete;
  LentPlain& operator=(const LentPlain&) = delete;
  uint8_t* get() { return bytes_.get(); }

 private:
  std::unique_ptr<uint8_t[]> bytes_;
};

void Flush(std::vector<uint8_t>* output, FilterSink* sink) {
  if (output->empty()) return;
  sink->Down(*output);
  output->clear();
}

bool IsNumericAddress(const std::string& host) {
  in6_addr address;
  return inet_pton(AF_INET, host.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

}  // namespace

// The end of a socket that OpenSSL thinks it has: reads what the stream has just received where it
// lies, writes behind what is going to leave in one piece.
struct TlsBio {
  static int Read(BIO* bio, char* data, int size) {
    auto* filter = static_cast<TlsFilter*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (filter->input_.empty()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const size_t n = std::min(static_cast<size_t>(size), filter->input_.size());
    std::memcpy(data, filter->input_.data(), n);
    filter->input_ = filter->input_.subspan(n);
    return static_cast<int>(n);
  }

  static int Write(BIO* bio, const char* data, int size) {
    auto* filter = static_cast<TlsFilter*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (filter->output_ == nullptr) return -1;
    filter->output_->insert(filter->output_->end(), data, data + size);
    return size;
  }

  static long Control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  static const BIO_METHOD* Method() {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
      BIO_meth_set_read(made, &Read);
      BIO_meth_set_write(made, &Write);
      BIO_meth_set_ctrl(made, &Control);
      return made;
    }();
    return method;
  }
};

TlsFilter::TlsFilter(const TlsContext& context, bool server) {
  ssl_ = SSL_new(context.native());
  BIO* bio = ssl_ != nullptr ? BIO_new(TlsBio::Method()) : nullptr;
  if (bio == nullptr) {
    (void)FailWith("out of memory");
    return;
  }
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  if (server) {
    SSL_set_accept_state(ssl_);
  } else {
    SSL_set_connect_state(ssl_);
  }
}

TlsFilter::~TlsFilter() { SSL_free(ssl_); }

std::unique_ptr<TlsFilter> TlsFilter::MakeServer(const TlsContext& context) {
  return std::unique_ptr<TlsFilter>(new TlsFilter(context, true));
}

std::unique_ptr<TlsFilter> TlsFilter::MakeClient(const TlsContext& context, std::string_view host) {
  std::unique_ptr<TlsFilter> filter(new TlsFilter(context, false));
  if (filter->state_ != State::Failed) filter->SetHost(std::string(host), context.verify());
  return filter;
}

std::unique_ptr<TlsFilter> TlsFilter::MakeClient(const TlsContext::Ptr& context,
                                                 std::string_view host, TlsVerify verify) {
  std::unique_ptr<TlsFilter> filter(new TlsFilter(*context, false));
  if (filter->state_ == State::Failed) return filter;
  SSL_set_verify(filter->ssl_, verify == TlsVerify::kNone ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                 nullptr);
  filter->SetHost(std::string(host), verify);
  return filter;
}

void TlsFilter::SetHost(const std::string& host, TlsVerify verify) {
  const bool numeric = IsNumericAddress(host);
  bool ok = true;
  if (!numeric && !host.empty()) ok = SSL_set_tlsext_host_name(ssl_, host.c_str()) == 1;
  if (ok && verify == TlsVerify::kIdentity) {
    SSL_set_hostflags(ssl_, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    // An empty name would switch the check off.
    ok = !host.empty() &&
         (numeric ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), host.c_str()) == 1
                  : SSL_set1_host(ssl_, host.c_str()) == 1);
  }
  if (!ok) (void)FailWith("cannot verify the host name '" + host + "'");
}

bool TlsFilter::Start(FilterSink* sink) {
  if (state_ == State::Failed) return false;
  if (SSL_is_server(ssl_) != 0) return true;
  return Decode({}, sink);
}

bool TlsFilter::Decode(std::span<uint8_t> bytes, FilterSink* sink) {
  if (state_ == State::Failed) return false;
  if (peer_finished_) return true;
  LentOutput output;
  output_ = output.get();
  input_ = bytes;
  bool ok = state_ == State::Established || Handshake(output.get(), sink);
  if (ok && state_ == State::Established) ok = ReadRecords(output.get(), sink);
  Flush(output.get(), sink);  // of a failure: the alert that says why
  output_ = nullptr;
  input_ = {};
  return ok;
}

bool TlsFilter::Handshake(std::vector<uint8_t>* output, FilterSink* sink) {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result != 1) {
    const int error = SSL_get_error(ssl_, result);
    return error == SSL_ERROR_WANT_READ || Fail("TLS handshake", error);
  }
  state_ = State::Established;
  const std::vector<uint8_t> early = std::exchange(early_, {});
  if (!Seal(early, output, sink)) return false;
  Flush(output, sink);
  if (on_established_) std::exchange(on_established_, nullptr)();
  return true;
}

bool TlsFilter::ReadRecords(std::vector<uint8_t>* output, FilterSink* sink) {
  LentPlain plain;
  size_t filled = 0;
  bool ok = true;
  for (;;) {
    size_t n = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_, plain.get() + filled, kPlainBuffer - filled, &n);
    if (result == 1) {
      filled += n;
      if (filled == kPlainBuffer) {
        Flush(output, sink);
        sink->Up({plain.get(), filled});
        if (state_ == State::Failed) return false;  // an answer could not be encrypted
        filled = 0;
      }
      // Asking once more would only allocate the record buffer again.
      if (input_.empty() && SSL_has_pending(ssl_) == 0) break;
      continue;
    }
    const int error = SSL_get_error(ssl_, result);
    if (error == SSL_ERROR_ZERO_RETURN) {
      peer_finished_ = true;
    } else if (error != SSL_ERROR_WANT_READ) {
      ok = Fail("TLS", error);
    }
    break;
  }
  Flush(output, sink);
  if (filled > 0) sink->Up({plain.get(), filled});
  return ok;
}

bool TlsFilter::Encode(std::span<const uint8_t> bytes, FilterSink* sink) {
  if (state_ == State::Failed) return false;
  if (state_ == State::Handshake) {
    if (early_.size() + bytes.size() > kEarlyLimit) {
      return FailWith("more output than is kept before the TLS handshake is complete");
    }
    early_.insert(early_.end(), bytes.begin(), bytes.end());
    return true;
  }
  LentOutput output;
  std::vector<uint8_t>* const outer = std::exchange(output_, output.get());
  const bool ok = Seal(bytes, output.get(), sink);
  Flush(output.get(), sink);
  output_ = outer;
  return ok;
}

bool TlsFilter::Seal(std::span<const uint8_t> plain, std::vector<uint8_t>* output,
                     FilterSink* sink) {
  while (!plain.empty()) {
    size_t n = 0;
    ERR_clear_error();
    const int result = SSL_write_ex(ssl_, plain.data(), std::min(plain.size(), kSealAtOnce), &n);
    if (result != 1) return Fail("TLS", SSL_get_error(ssl_, result));
    plain = plain.subspan(n);
    if (output->size() >= kSealAtOnce) Flush(output, sink);
  }
  return true;
}

void TlsFilter::Finish(FilterSink* sink) {
  if (state_ != State::Established) return;
  LentOutput output;
  std::vector<uint8_t>* const outer = std::exchange(output_, output.get());
  ERR_clear_error();
  (void)SSL_shutdown(ssl_);
  ERR_clear_error();
  Flush(output.get(), sink);
  output_ = outer;
}

std::string_view TlsFilter::version() const { return SSL_get_version(ssl_); }

std::string_view TlsFilter::cipher() const {
  const char* name = SSL_get_cipher_name(ssl_);
  return name != nullptr ? name : "";
}

bool TlsFilter::resumed() const { return SSL_session_reused(ssl_) == 1; }

std::string TlsFilter::PeerSubject() const {
  X509* certificate = SSL_get0_peer_certificate(ssl_);
  if (certificate == nullptr) return {};
  BIO* bio = BIO_new(BIO_s_mem());
  if (bio == nullptr) return {};
  std::string subject;
  if (X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) >= 0) {
    const char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    subject.assign(data, static_cast<size_t>(size));
  }
  BIO_free(bio);
  return subject;
}

bool TlsFilter::Fail(const char* what, int ssl_error) {
  std::string error = what;
  const unsigned long code = ERR_get_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  error += ": ";
  error += reason != nullptr ? reason : "error " + std::to_string(ssl_error);
  const long verify = SSL_get_verify_result(ssl_);
  if (verify != X509_V_OK && SSL_get_verify_mode(ssl_) != SSL_VERIFY_NONE) {
    error += std::string(" (") + X509_verify_cert_error_string(verify) + ")";
  }
  ERR_clear_error();
  return FailWith(std::move(error));
}

bool TlsFilter::FailWith(std::string error) {
  state_ = State::Failed;
  early_ = {};
  if (error_.empty()) error_ = std::move(error);
  return false;
}

}  // namespace bulkhead::io
