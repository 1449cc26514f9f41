#include "proxy/http/http_server.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>

#include "proxy/http/listen_socket.h"
#include "proxy/log/log.h"

namespace bulkhead::http {

namespace {

// Signals are for the main thread: threads made while this lives never receive any.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

std::string_view Header(MHD_Connection* connection, const char* name) {
  const char* const value = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

MHD_Result AddQuery(void* out, MHD_ValueKind, const char* key, const char* value) {
  (*static_cast<Request*>(out)).query[key] = value == nullptr ? "" : value;
  return MHD_YES;
}

}  // namespace

struct HttpServer::Impl {
  // A stream under way; freed by libmicrohttpd with its response.
  struct OpenStream {
    Impl* server;
    MHD_Connection* connection;
    std::unique_ptr<Stream> source;
    std::string pending{};
    size_t taken = 0;
    bool suspended = false;
  };

  Options options;
  Pages pages;
  MHD_Daemon* daemon = nullptr;
  ListenSocket socket;  // the daemon closes it

  std::mutex words_mutex;     // held for nothing else: the library may speak inside any call
  std::string library_words;  // what it said last

  std::mutex mutex;  // of all below
  std::set<OpenStream*> streams;
  uint64_t wakes = 0;
  bool stopping = false;
  int quiesced_fd = -1;  // the listening socket, once it is not accepted from any more

  std::array<std::atomic<uint64_t>, 6> answers{};
  std::atomic<uint64_t> streams_refused{0};

  ~Impl() {
    if (daemon == nullptr) return;
    {
      const std::lock_guard lock(mutex);
      stopping = true;
      ResumeAll();
    }
    // Else the library would shut the socket down, also for another process that has it.
    Quiesce();
    MHD_stop_daemon(daemon);
    if (quiesced_fd >= 0) close(quiesced_fd);
  }

  // Its threads stop looking at the socket by and by: it is closed after them.
  void Quiesce() {
    if (quiesced_fd < 0) quiesced_fd = MHD_quiesce_daemon(daemon);
  }

  void ResumeAll() {  // with the mutex
    for (OpenStream* stream : streams) {
      if (std::exchange(stream->suspended, false)) MHD_resume_connection(stream->connection);
    }
  }

  [[nodiscard]] bool MayRead(MHD_Connection* connection) const;
  [[nodiscard]] Response Find(Request* request) const;
  MHD_Result Answer(MHD_Connection* connection, const char* url, std::string_view method);
  MHD_Result Send(MHD_Connection* connection, Response response);
  MHD_Result Refuse(MHD_Connection* connection, int status, std::string body,
                    std::vector<std::pair<std::string, std::string>> headers);
  MHD_Response* MakeStream(MHD_Connection* connection, std::unique_ptr<Stream> source);

  [[nodiscard]] std::string StartDaemon();

  static MHD_Result OnRequest(void* self, MHD_Connection* connection, const char* url,
                              const char* method, const char* version, const char* body,
                              size_t* body_size, void** seen);
  static void OnLibraryLog(void* self, const char* format, va_list arguments);
  static ssize_t ReadStream(void* self, uint64_t position, char* out, size_t max);
  static void FreeStream(void* self);
};

// --- streams
// -----------------------------------------------------------------------------------------------

MHD_Response* HttpServer::Impl::MakeStream(MHD_Connection* connection,
                                           std::unique_ptr<Stream> source) {
  auto open = std::make_unique<OpenStream>(OpenStream{this, connection, std::move(source)});
  {
    const std::lock_guard lock(mutex);
    if (streams.size() >= options.max_streams) return nullptr;
    streams.insert(open.get());
  }
  OpenStream* const raw = open.release();
  constexpr size_t kBlock = 32 * 1024;
  MHD_Response* const response = MHD_create_response_from_callback(
      MHD_SIZE_UNKNOWN, kBlock, &Impl::ReadStream, raw, &Impl::FreeStream);
  if (response == nullptr) FreeStream(raw);
  return response;
}

// Called when the client takes bytes. Without any, the connection sleeps until WakeStreams.
ssize_t HttpServer::Impl::ReadStream(void* self, uint64_t, char* out, size_t max) {
  auto* const stream = static_cast<OpenStream*>(self);
  Impl* const server = stream->server;
  while (stream->taken == stream->pending.size()) {
    uint64_t wakes = 0;
    {
      const std::lock_guard lock(server->mutex);
      if (server->stopping) return MHD_CONTENT_READER_END_OF_STREAM;
      wakes = server->wakes;
    }
    std::optional<std::string> next = stream->source->Next();
    if (!next.has_value()) return MHD_CONTENT_READER_END_OF_STREAM;
    stream->pending = std::move(*next);
    stream->taken = 0;
    if (!stream->pending.empty()) break;
    const std::lock_guard lock(server->mutex);
    if (server->stopping) return MHD_CONTENT_READER_END_OF_STREAM;
    if (server->wakes != wakes) continue;  // woken since it was asked
    stream->suspended = true;
    MHD_suspend_connection(stream->connection);
    return 0;
  }
  const size_t size = std::min(max, stream->pending.size() - stream->taken);
  stream->pending.copy(out, size, stream->taken);
  stream->taken += size;
  return static_cast<ssize_t>(size);
}

void HttpServer::Impl::FreeStream(void* self) {
  auto* const stream = static_cast<OpenStream*>(self);
  {
    const std::lock_guard lock(stream->server->mutex);
    stream->server->streams.erase(stream);
  }
  delete stream;
}

void HttpServer::Impl::OnLibraryLog(void* self, const char* format, va_list arguments) {
  std::array<char, 512> text;
  std::vsnprintf(text.data(), text.size(), format, arguments);
  std::string words = text.data();
  while (!words.empty() && words.back() == '\n') words.pop_back();
  {
    auto* const server = static_cast<Impl*>(self);
    const std::lock_guard lock(server->words_mutex);
    server->library_words = words;
  }
  log::Debug(log::event::kHttp, {{"what", words}}, "http: " + words);
}

// --- requests
// ----------------------------------------------------------------------------------------------

bool HttpServer::Impl::MayRead(MHD_Connection* connection) const {
  char* password = nullptr;
  char* const user = MHD_basic_auth_get_username_password(connection, &password);
  const bool given = user != nullptr && password != nullptr;
  const bool may = given && options.check_login(user, password);
  if (given && !may) {
    const MHD_ConnectionInfo* const info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const std::string address = info == nullptr ? "?" : HostText(info->client_addr);
    log::Warn(log::event::kHttpLogin, {{"address", address}, {"user", user}},
              absl::StrCat("http: login of '", user, "' from ", address, " refused"));
  }
  if (password != nullptr) explicit_bzero(password, std::strlen(password));
  MHD_free(user);
  MHD_free(password);
  return may;
}

Response HttpServer::Impl::Find(Request* request) const {
  if (const auto page = pages.find(request->path); page != pages.end())
    return page->second(*request);
  for (size_t slash = request->path.rfind('/'); slash != std::string::npos && slash > 0;
       slash = request->path.rfind('/', slash - 1)) {
    const auto page = pages.find(request->path.substr(0, slash) + "/*");
    if (page == pages.end()) continue;
    request->rest = request->path.substr(slash + 1);
    return page->second(*request);
  }
  return {.status = 404, .body = "not found\n"};
}

MHD_Result HttpServer::Impl::Send(MHD_Connection* connection, Response response) {
  MHD_Response* made = nullptr;
  const int status = response.status;
  if (response.stream != nullptr) {
    made = MakeStream(connection, std::move(response.stream));
    if (made == nullptr) {
      streams_refused.fetch_add(1, std::memory_order_relaxed);
      return Refuse(connection, 503, "too many pages follow the fleet live: ask now and then\n",
                    {{"Retry-After", "10"}});
    }
  } else if (response.shared_body != nullptr) {
    auto* const held = new std::shared_ptr<const std::string>(std::move(response.shared_body));
    made = MHD_create_response_from_buffer_with_free_callback_cls(
        (*held)->size(), const_cast<char*>((*held)->data()),
        [](void* held) { delete static_cast<std::shared_ptr<const std::string>*>(held); }, held);
  } else {
    auto* const held = new std::string(std::move(response.body));
    made = MHD_create_response_from_buffer_with_free_callback_cls(
        held->size(), held->data(), [](void* held) { delete static_cast<std::string*>(held); },
        held);
  }
  if (made == nullptr) return MHD_NO;
  const auto add = [&](const std::string& name, const std::string& value) {
    (void)MHD_add_response_header(made, name.c_str(), value.c_str());
  };
  add("Content-Type", response.content_type);
  add("X-Content-Type-Options", "nosniff");
  add("X-Frame-Options", "DENY");
  add("Referrer-Policy", "no-referrer");
  add("Content-Security-Policy",
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
      "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
  bool cached = false;
  for (const auto& [name, value] : response.headers) {
    add(name, value);
    cached = cached || name == "Cache-Control";
  }
  if (!cached) add("Cache-Control", "no-store");
  add("Connection", "close");
  answers[static_cast<size_t>(status / 100) % answers.size()].fetch_add(1,
                                                                        std::memory_order_relaxed);
  const MHD_Result result = MHD_queue_response(connection, static_cast<unsigned>(status), made);
  MHD_destroy_response(made);
  return result;
}

MHD_Result HttpServer::Impl::Refuse(MHD_Connection* connection, int status, std::string body,
                                    std::vector<std::pair<std::string, std::string>> headers) {
  Response response;
  response.status = status;
  response.body = std::move(body);
  response.headers = std::move(headers);
  return Send(connection, std::move(response));
}

MHD_Result HttpServer::Impl::Answer(MHD_Connection* connection, const char* url,
                                    std::string_view method) {
  if (method != "GET" && method != "HEAD")
    return Refuse(connection, 405, "only GET and HEAD\n", {{"Allow", "GET, HEAD"}});
  if (options.check_login != nullptr) {
    if (!MayRead(connection)) {
      return Refuse(connection, 401, "this needs the password of one of admin_users\n",
                    {{"WWW-Authenticate", "Basic realm=\"bulkhead\", charset=\"UTF-8\""}});
    }
  } else if (!IsLocalHostHeader(Header(connection, "Host"))) {
    return Refuse(connection, 403,
                  "the Host header must be an address or localhost: a proxy in front must set it\n",
                  {});
  }
  Request request;
  request.path = url;
  request.if_none_match = Header(connection, "If-None-Match");
  (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, &AddQuery, &request);
  return Send(connection, Find(&request));
}

// libmicrohttpd calls this once with the head alone, and once more when the body, if any, has come.
// Bodies are not read: what may have one is answered at once, and its connection closed.
MHD_Result HttpServer::Impl::OnRequest(void* self, MHD_Connection* connection, const char* url,
                                       const char* method, const char*, const char*, size_t*,
                                       void** seen) {
  static int mark = 0;
  const std::string_view name = method;
  if (*seen == nullptr && (name == "GET" || name == "HEAD")) {
    *seen = &mark;
    return MHD_YES;
  }
  return static_cast<Impl*>(self)->Answer(connection, url, name);
}

// --- life
// ---------------------------------------------------------------------------------------------

std::string HttpServer::Impl::StartDaemon() {
  // Not epoll: there the library's quiesce and its own thread may both take the socket out of the
  // set, and the second one ends the process ("Failed to remove listen FD from epoll set").
  unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
  if (socket.is_ipv6) flags |= MHD_USE_IPv6;
  std::vector<MHD_OptionItem> more;
  const auto add = [&more](MHD_OPTION option, intptr_t number, const void* pointer = nullptr) {
    more.push_back({option, number, const_cast<void*>(pointer)});
  };
  const std::string versions = options.tls.has_value() && options.tls->only_13
                                   ? "+VERS-TLS1.3"
                                   : "+VERS-TLS1.3:+VERS-TLS1.2";
  const std::string priorities = "NORMAL:-VERS-ALL:" + versions + ":%SERVER_PRECEDENCE";
  if (options.tls.has_value()) {
    flags |= MHD_USE_TLS;
    add(MHD_OPTION_HTTPS_MEM_CERT, 0, options.tls->cert_pem.c_str());
    add(MHD_OPTION_HTTPS_MEM_KEY, 0, options.tls->key_pem.c_str());
    add(MHD_OPTION_HTTPS_PRIORITIES, 0, priorities.c_str());
  }
  add(MHD_OPTION_LISTEN_SOCKET, socket.fd);
  add(MHD_OPTION_THREAD_POOL_SIZE, options.threads);
  add(MHD_OPTION_CONNECTION_LIMIT, options.max_connections);
  if (!IsLoopback(options.host))
    add(MHD_OPTION_PER_IP_CONNECTION_LIMIT, std::max<intptr_t>(options.max_connections / 2, 2));
  add(MHD_OPTION_CONNECTION_TIMEOUT, options.io_timeout.count());
  add(MHD_OPTION_CONNECTION_MEMORY_LIMIT, kMaxHead);
  add(MHD_OPTION_STRICT_FOR_CLIENT, 1);
  add(MHD_OPTION_END, 0);
  const SignalsBlocked blocked;
  // The logger comes first: it is told what is wrong with the other options.
  daemon = MHD_start_daemon(flags, 0, nullptr, nullptr, &Impl::OnRequest, this,
                            MHD_OPTION_EXTERNAL_LOGGER, &Impl::OnLibraryLog, this, MHD_OPTION_ARRAY,
                            more.data(), MHD_OPTION_END);
  if (daemon != nullptr) return {};
  close(socket.fd);
  const std::lock_guard lock(words_mutex);
  return "the HTTP library can't start: " + library_words;
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() = default;

uint16_t HttpServer::port() const { return impl_->socket.port; }

void HttpServer::WakeStreams() {
  const std::lock_guard lock(impl_->mutex);
  ++impl_->wakes;
  impl_->ResumeAll();
}

int HttpServer::CopySocket() const { return fcntl(impl_->socket.fd, F_DUPFD_CLOEXEC, 0); }

HttpServer::Counts HttpServer::counts() const {
  Counts counts;
  for (size_t i = 0; i < counts.answers.size(); ++i)
    counts.answers[i] = impl_->answers[i].load(std::memory_order_relaxed);
  counts.streams_refused = impl_->streams_refused.load(std::memory_order_relaxed);
  const std::lock_guard lock(impl_->mutex);
  counts.streams = impl_->streams.size();
  return counts;
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(Options options, Pages pages) {
  const absl::StatusOr<ListenSocket> socket =
      options.listen_fd >= 0 ? ListenOn(options.listen_fd) : Listen(options.host, options.port);
  if (!socket.ok()) return socket.status();
  return StartOn(*socket, std::move(options), std::move(pages));
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Successor(Options options, Pages pages) {
  ListenSocket socket = impl_->socket;
  socket.fd = fcntl(impl_->socket.fd, F_DUPFD_CLOEXEC, 0);
  if (socket.fd < 0)
    return absl::UnavailableError(absl::StrCat("no descriptor: ", std::strerror(errno)));
  options.host = impl_->options.host;
  absl::StatusOr<std::unique_ptr<HttpServer>> next =
      StartOn(socket, std::move(options), std::move(pages));
  if (!next.ok()) return next;
  impl_->socket.fd = -1;
  impl_->Quiesce();
  return next;
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::StartOn(const ListenSocket& socket,
                                                                Options options, Pages pages) {
  if (!IsLoopback(options.host) && (!options.tls.has_value() || options.check_login == nullptr)) {
    close(socket.fd);
    return absl::InvalidArgumentError(absl::StrCat(
        options.host, " is no loopback address, so that TLS and passwords are needed"));
  }
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->pages = std::move(pages);
  impl->socket = socket;
  const std::string error = impl->StartDaemon();
  if (impl->options.tls.has_value())
    explicit_bzero(impl->options.tls->key_pem.data(), impl->options.tls->key_pem.size());
  if (!error.empty()) return absl::UnavailableError(error);
  // Not make_unique: the constructor is private.
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

}  // namespace bulkhead::http
