#include "proxy/control/control_client.h"

#include <mysql.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <utility>

#include "absl/strings/str_cat.h"

namespace bulkhead::control {

namespace {

using routing::Duration;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr uint16_t kFirstClientError = 2000;  // errmsg.h, "CR_MIN_ERROR"
constexpr uint16_t kLastClientError = 5999;   // Connector/C has some from 5000 on
constexpr Duration kAskFirstAfter = 500ms;    // a connection that idled is looked at before use

unsigned WholeSeconds(Duration limit) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(limit).count();
  return static_cast<unsigned>(std::clamp<int64_t>(seconds, 1, 3600));
}

bool IsClientError(unsigned code) { return code >= kFirstClientError && code <= kLastClientError; }

// Once a process, before any other thread calls the library.
void InitLibrary() {
  static const int initialised = mysql_library_init(0, nullptr, nullptr);
  (void)initialised;
}

}  // namespace

// --- threads that are left behind
// -------------------------------------------------------------------------------

ClientThreads::~ClientThreads() {
  const auto until = Clock::now() + kJoinLimit;
  JoinEnded();
  while (!left_.empty() && Clock::now() < until) {
    std::this_thread::sleep_for(10ms);
    JoinEnded();
  }
  for (Left& left : left_) left.thread.detach();
}

void ClientThreads::Leave(std::thread thread, std::shared_ptr<const std::atomic<bool>> ended) {
  JoinEnded();
  left_.push_back({std::move(thread), std::move(ended)});
}

size_t ClientThreads::left() {
  JoinEnded();
  return left_.size();
}

void ClientThreads::JoinEnded() {
  std::erase_if(left_, [](Left& left) {
    if (!*left.ended) return false;
    left.thread.join();
    return true;
  });
}

// --- what the owner and the thread share
// --------------------------------------------------------------------------

struct ControlClient::Shared {
  std::mutex mutex;
  std::condition_variable wake;
  Poster post;  // empty once the client is gone
  Work work;
  std::function<void()> done;
  bool busy = false;
  bool stopping = false;
  bool cut = false;              // the work under way
  int socket = -1;               // a descriptor of our own
  bool shut = false;             // it was shut down: of no use any more
  Clock::time_point limit = {};  // of the statement under way; zero: none
  std::shared_ptr<std::atomic<bool>> ended = std::make_shared<std::atomic<bool>>(false);

  // With the mutex held.
  void ShutSocket() {
    if (socket < 0) return;
    shutdown(socket, SHUT_RDWR);
    shut = true;
  }
};

// --- the session, on the client's thread
// --------------------------------------------------------------------------

class ControlClient::Session final : public SqlSession {
 public:
  Session(const Options& options, std::shared_ptr<Shared> shared)
      : options_(options), shared_(std::move(shared)) {}
  ~Session() override { Close(); }

  SqlAnswer Open(Duration limit) override;
  SqlAnswer Run(const std::string& sql, Duration limit) override;
  const ServerVersion& version() const override { return version_; }

 private:
  SqlAnswer Connect(Duration limit, bool with_tls);
  SqlAnswer TakeLock(Duration limit);
  void SetOptions(Duration limit, bool with_tls);
  SqlAnswer Ask(const std::string& sql, Duration limit);
  SqlAnswer TakeResult();
  void Close();
  [[nodiscard]] bool WasCut() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->cut || shared_->stopping;
  }
  [[nodiscard]] bool WasShut() const {
    const std::lock_guard lock(shared_->mutex);
    return shared_->shut;
  }
  void SetLimit(Clock::time_point limit) {
    const std::lock_guard lock(shared_->mutex);
    shared_->limit = limit;
  }

  const Options options_;
  const std::shared_ptr<Shared> shared_;
  MYSQL* mysql_ = nullptr;
  bool ready_ = false;  // logged in, and the lock is ours
  ServerVersion version_;
  Clock::time_point used_ = {};
};

namespace {

SqlAnswer Failed(uint16_t code, std::string message) {
  return {.kind = SqlAnswer::Kind::kError, .code = code, .message = std::move(message)};
}

SqlAnswer FailedCut() { return Failed(0, "it was given up"); }

}  // namespace

void ControlClient::Session::Close() {
  if (mysql_ == nullptr) return;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->ShutSocket();  // the library says goodbye on it, which must not wait
    if (shared_->socket >= 0) close(std::exchange(shared_->socket, -1));
  }
  mysql_close(std::exchange(mysql_, nullptr));
  ready_ = false;
}

void ControlClient::Session::SetOptions(Duration limit, bool with_tls) {
  const unsigned connect = WholeSeconds(std::min(limit, options_.connect_limit));
  // The limits that count are shorter: this is what remains if nobody ticks.
  const unsigned backstop = 3600;
  const unsigned tcp = MYSQL_PROTOCOL_TCP;
  mysql_options(mysql_, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
  mysql_options(mysql_, MYSQL_OPT_READ_TIMEOUT, &backstop);
  mysql_options(mysql_, MYSQL_OPT_WRITE_TIMEOUT, &backstop);
  mysql_options(mysql_, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  if (!options_.address.is_unix()) mysql_options(mysql_, MYSQL_OPT_PROTOCOL, &tcp);
  const auto file = [](const std::string& name) { return name.empty() ? nullptr : name.c_str(); };
  const bool verify = options_.tls_mode == routing::BackendTls::kVerify;
#ifdef LIBMARIADB
  const my_bool enforce = with_tls ? 1 : 0;
  const my_bool check = verify ? 1 : 0;
  mysql_options(mysql_, MYSQL_OPT_SSL_ENFORCE, &enforce);
  mysql_options(mysql_, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &check);
#else
  const unsigned mode =
      verify ? SSL_MODE_VERIFY_IDENTITY : (with_tls ? SSL_MODE_REQUIRED : SSL_MODE_DISABLED);
  const bool get_key = true;
  mysql_options(mysql_, MYSQL_OPT_SSL_MODE, &mode);
  mysql_options(mysql_, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &get_key);
#endif
  if (!with_tls) return;
  mysql_options(mysql_, MYSQL_OPT_SSL_KEY, file(options_.tls.key));
  mysql_options(mysql_, MYSQL_OPT_SSL_CERT, file(options_.tls.cert));
  if (options_.tls.ca != "system") mysql_options(mysql_, MYSQL_OPT_SSL_CA, file(options_.tls.ca));
}

SqlAnswer ControlClient::Session::Connect(Duration limit, bool with_tls) {
  Close();
  mysql_ = mysql_init(nullptr);
  if (mysql_ == nullptr) return Failed(0, "out of memory");
  SetOptions(limit, with_tls);
  const routing::Address& address = options_.address;
  const MYSQL* connected =
      mysql_real_connect(mysql_, address.is_unix() ? nullptr : address.host.c_str(),
                         options_.user.c_str(), options_.password.c_str(), nullptr, address.port,
                         address.is_unix() ? address.socket_path.c_str() : nullptr, 0);
  if (connected == nullptr) {
    SqlAnswer failed = Failed(static_cast<uint16_t>(mysql_errno(mysql_)), mysql_error(mysql_));
    Close();
    return failed;
  }
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->socket = dup(mysql_->net.fd);
    shared_->shut = false;
  }
  version_ = ParseServerVersion(mysql_get_server_info(mysql_));
  used_ = Clock::now();
  return {};
}

SqlAnswer ControlClient::Session::Open(Duration limit) {
  const auto until = Clock::now() + limit;
  if (WasCut()) return FailedCut();
  if (ready_ && !WasShut()) {
    if (Clock::now() - used_ < kAskFirstAfter || Ask("DO 0", limit).ok()) return {};
  }
  using Mode = routing::BackendTls;
  constexpr uint16_t kTlsFailed = 2026;  // CR_SSL_CONNECTION_ERROR
  const Mode mode = options_.tls_mode;
  SqlAnswer answer = Connect(limit, mode != Mode::kDisabled && !options_.address.is_unix());
  if (!answer.ok() && answer.code == kTlsFailed && mode == Mode::kPreferred && !WasCut())
    answer = Connect(until - Clock::now(), false);
  if (!answer.ok()) return answer;
  answer = TakeLock(until - Clock::now());
  if (!answer.ok()) {
    Close();
    return Failed(answer.code, std::move(answer.message));
  }
  ready_ = true;
  return {};
}

// What the server makes of our texts is the same everywhere; then, whoever has our lock must go.
SqlAnswer ControlClient::Session::TakeLock(Duration limit) {
  constexpr Duration kAgainAfter = 1s;
  const auto until = Clock::now() + limit;
  SqlAnswer answer =
      Ask(absl::StrCat("SET SESSION sql_mode = '', autocommit = 1, wait_timeout = 86400",
                       version_.mariadb ? ", max_statement_time = 0" : ""),
          limit);
  if (!answer.ok()) return answer;
  const std::string lock = SqlQuoted(options_.lock);
  while (true) {
    answer = Ask(absl::StrCat("SELECT GET_LOCK(", lock, ", 0)"), until - Clock::now());
    if (!answer.ok() || answer.Cell(0, 0) == "1") return answer;
    const SqlAnswer holder =
        Ask(absl::StrCat("SELECT IS_USED_LOCK(", lock, ")"), until - Clock::now());
    if (!holder.ok()) return holder;
    const std::string id = holder.Cell(0, 0);
    if (!id.empty()) (void)Ask("KILL " + id, until - Clock::now());
    const auto wait = std::min<Duration>(kAgainAfter, until - Clock::now());
    if (wait <= Duration::zero()) {
      return Failed(
          0, "what an earlier connection of this router (" + id + ") runs there has not ended yet");
    }
    const auto seconds = std::chrono::duration<double>(wait).count();
    answer = Ask(absl::StrCat("SELECT GET_LOCK(", lock, ", ", seconds, ")"), wait + 500ms);
    if (!answer.ok() || answer.Cell(0, 0) == "1") return answer;
  }
}

SqlAnswer ControlClient::Session::Run(const std::string& sql, Duration limit) {
  const auto until = Clock::now() + limit;
  if (SqlAnswer open = Open(limit); !open.ok()) return open;
  return Ask(sql, std::max<Duration>(until - Clock::now(), 1ms));
}

SqlAnswer ControlClient::Session::Ask(const std::string& sql, Duration limit) {
  if (mysql_ == nullptr) return Failed(0, "there is no connection");
  if (limit <= Duration::zero()) return Failed(0, "there was no time left to ask");
  if (WasCut()) return FailedCut();
  SetLimit(Clock::now() + limit);
  const bool sent = mysql_real_query(mysql_, sql.data(), sql.size()) == 0;
  SqlAnswer answer = sent ? TakeResult() : SqlAnswer{};
  const unsigned code = mysql_errno(mysql_);
  SetLimit({});
  used_ = Clock::now();
  if (!answer.ok()) Close();
  if (!answer.ok() || code == 0) return answer;
  answer = Failed(static_cast<uint16_t>(code), mysql_error(mysql_));
  if (IsClientError(code)) {
    answer.kind = SqlAnswer::Kind::kLost;
    answer.message = "no answer (" + answer.message + ")";
    Close();
  }
  return answer;
}

SqlAnswer ControlClient::Session::TakeResult() {
  SqlAnswer answer;
  MYSQL_RES* result = mysql_use_result(mysql_);
  if (result == nullptr) return answer;
  const unsigned columns = mysql_num_fields(result);
  for (unsigned i = 0; i < columns; ++i)
    answer.columns.emplace_back(mysql_fetch_field_direct(result, i)->name);
  size_t bytes = 0;
  while (MYSQL_ROW row = mysql_fetch_row(result)) {
    const unsigned long* const lengths = mysql_fetch_lengths(result);  // NOLINT(google-runtime-int)
    SqlAnswer::Row& cells = answer.rows.emplace_back();
    for (unsigned i = 0; i < columns; ++i) {
      bytes += lengths[i] + sizeof(SqlAnswer::Row);
      cells.push_back(row[i] == nullptr
                          ? std::nullopt
                          : std::optional<std::string>(std::in_place, row[i], lengths[i]));
    }
    if (bytes <= kMostBytes) continue;
    answer = Failed(0, "its answer is longer than is taken");
    const std::lock_guard lock(shared_->mutex);
    shared_->ShutSocket();
    break;
  }
  mysql_free_result(result);  // reads on until the end: of a socket that was shut down, at once
  return answer;
}

// --- the client
// ------------------------------------------------------------------------------------------------

ControlClient::ControlClient(Options options, Poster post, ClientThreads* threads)
    : shared_(std::make_shared<Shared>()), threads_(threads) {
  InitLibrary();
  shared_->post = std::move(post);
  thread_ = std::thread([shared = shared_, options = std::move(options)] {
    mysql_thread_init();
    Serve(shared, options);
    mysql_thread_end();
    *shared->ended = true;
  });
}

ControlClient::~ControlClient() {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->stopping = true;
    shared_->post = nullptr;
    shared_->ShutSocket();
  }
  shared_->wake.notify_one();
  threads_->Leave(std::move(thread_), shared_->ended);
}

void ControlClient::Serve(const std::shared_ptr<Shared>& shared, const Options& options) {
  Session session(options, shared);
  std::unique_lock lock(shared->mutex);
  while (true) {
    shared->wake.wait(lock, [&] { return shared->stopping || shared->work != nullptr; });
    if (shared->stopping) return;
    const Work work = std::exchange(shared->work, nullptr);
    lock.unlock();
    work(&session);
    lock.lock();
    shared->busy = false;
    std::function<void()> done = std::exchange(shared->done, nullptr);
    if (shared->post) shared->post(std::move(done));
  }
}

void ControlClient::Start(Work work, std::function<void()> done) {
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->work = std::move(work);
    shared_->done = std::move(done);
    shared_->busy = true;
    shared_->cut = false;
  }
  shared_->wake.notify_one();
}

bool ControlClient::busy() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->busy;
}

void ControlClient::Cut() {
  const std::lock_guard lock(shared_->mutex);
  if (!shared_->busy) return;
  shared_->cut = true;
  shared_->ShutSocket();
}

void ControlClient::Tick() {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->limit != Clock::time_point{} && Clock::now() >= shared_->limit)
    shared_->ShutSocket();
}

}  // namespace bulkhead::control
