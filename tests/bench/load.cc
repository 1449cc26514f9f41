// Load generator: one thread, one epoll set, many connections.
//
// Modes:
//   query         SELECT 1                             counts statements
//   rows          SELECT rows N (--rows, 1000)         counts statements
//   prepared      one COM_STMT_PREPARE, then COM_STMT_EXECUTE over and over
//   transaction   BEGIN, three SELECT 1, COMMIT        counts statements
//   connect       connect, log in, SELECT 1, COM_QUIT  counts cycles
//   idle          opens the connections, one SELECT 1 each, says "ready", holds them until its
//                 standard input ends
// With --idle N, N further connections of the idle kind are open beside the active ones.
// With --rate R, R statements (transactions, cycles) a second are started whatever the answers do;
// latency then counts from the moment the statement was due, so that a stall is seen by all that
// it delays. Without, each connection sends as soon as it has its answer.
// With --watch NAME=PID,... the CPU time these processes use in the measured window is printed
// (PID may be self).
#include <dirent.h>
#include <sys/epoll.h>
#include <time.h>

#include <array>
#include <deque>
#include <memory>
#include <vector>

#include "tests/bench/client_protocol.h"
#include "tests/bench/latency.h"
#include "tests/bench/support.h"
#include "tests/bench/transport.h"

namespace bulkhead::bench {
namespace {

constexpr std::string_view kUsage =
    "bench_load --mode query|rows|prepared|transaction|connect|idle\n"
    "           (--port N [--host A] | --unix PATH) [--user U] [--password P] [--database D]\n"
    "           [--connections N] [--idle N] [--seconds S] [--warmup S] [--rate R] [--rows N]\n"
    "           [--query TEXT] [--no-deprecate-eof] [--tls] [--watch NAME=PID,...] [--json]\n";

constexpr int kOpeningAtOnce = 64;
constexpr uint64_t kSecond = 1'000'000'000;

uint64_t Now() {
  timespec ts{};
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return static_cast<uint64_t>(ts.tv_sec) * kSecond + static_cast<uint64_t>(ts.tv_nsec);
}

// CPU time of all threads of a process, in ns. Source: proc(5), /proc/PID/task/TID/schedstat.
uint64_t CpuOf(int pid) {
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  DIR* const dir = opendir(tasks.c_str());
  if (dir == nullptr) return 0;
  uint64_t sum = 0;
  while (const dirent* entry = readdir(dir)) {
    if (entry->d_name[0] == '.') continue;
    FILE* const file = fopen((tasks + "/" + entry->d_name + "/schedstat").c_str(), "re");
    if (file == nullptr) continue;
    unsigned long long ns = 0;
    if (fscanf(file, "%llu", &ns) == 1) sum += ns;
    fclose(file);
  }
  closedir(dir);
  return sum;
}

struct Watched {
  std::string name;
  int pid = 0;
  uint64_t ns = 0;  // used up to the window's start, then within it
};

std::vector<Watched> ParseWatched(const std::string& list) {
  std::vector<Watched> result;
  for (size_t at = 0; at < list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    const std::string item = list.substr(at, comma - at);
    const size_t equals = item.find('=');
    if (equals == std::string::npos) Die("--watch wants NAME=PID");
    const std::string pid = item.substr(equals + 1);
    result.push_back(
        {.name = item.substr(0, equals), .pid = pid == "self" ? getpid() : atoi(pid.c_str())});
    at = comma + 1;
  }
  return result;
}

enum class Mode : uint8_t { kQuery, kRows, kPrepared, kTransaction, kConnect, kIdle };

Mode ParseMode(const std::string& text) {
  if (text == "query") return Mode::kQuery;
  if (text == "rows") return Mode::kRows;
  if (text == "prepared") return Mode::kPrepared;
  if (text == "transaction") return Mode::kTransaction;
  if (text == "connect") return Mode::kConnect;
  if (text == "idle") return Mode::kIdle;
  errno = 0;
  Die("unknown mode " + text);
}

struct Options {
  Mode mode = Mode::kQuery;
  std::string mode_name;
  Address address;
  Account account;
  int connections = 1;
  int idle = 0;
  double seconds = 3;
  double warmup = 0.3;
  double rate = 0;
  std::string query = "SELECT 1";
  std::string rows;
  bool json = false;
  std::vector<Watched> watched;
};

std::string Command(uint8_t code, std::string_view text) {
  std::string out;
  uint8_t sequence = 0;
  AppendPacket(&out, &sequence, Payload().Int(code, 1).Bytes(text));
  return out;
}

struct Client {
  enum class State : uint8_t { kClosed, kTls, kLogin, kSetUp, kFree, kBusy };
  Transport transport;
  State state = State::kClosed;
  bool holds = false;  // one of the idle kind
  size_t step = 0;     // of the script
  uint64_t since = 0;  // when what is measured now began, or was due
  std::unique_ptr<Login> login;
  std::string login_in;
  AnswerReader reader;
  bool deprecate_eof = false;
  std::string execute;  // the COM_STMT_EXECUTE packet, once prepared
};

class Load {
 public:
  explicit Load(Options options) : options_(std::move(options)) {
    const std::string one = Command(3, options_.query);
    switch (options_.mode) {
      case Mode::kQuery:
      case Mode::kConnect:
      case Mode::kIdle:
        script_ = {one};
        break;
      case Mode::kRows:
        script_ = {Command(3, options_.rows)};
        break;
      case Mode::kPrepared:
        script_ = {""};  // each client has its own
        break;
      case Mode::kTransaction:
        script_ = {Command(3, "BEGIN"), one, one, one, Command(3, "COMMIT")};
        break;
    }
    clients_.resize(static_cast<size_t>(options_.connections + options_.idle));
    for (size_t i = 0; i < clients_.size(); ++i) {
      clients_[i] = std::make_unique<Client>();
      clients_[i]->holds = options_.mode == Mode::kIdle || i >= ActiveCount();
    }
  }

  int Run() {
    OpenAll();
    if (options_.mode == Mode::kIdle) return Hold();
    measuring_ = false;
    StartActive();
    Turn(Now() + Ns(options_.warmup));
    for (Watched& watched : options_.watched) watched.ns = CpuOf(watched.pid);
    latency_ = Latency();
    statements_ = errors_ = 0;
    const uint64_t begin = Now();
    measuring_ = true;
    Turn(begin + Ns(options_.seconds));
    const double seconds = static_cast<double>(Now() - begin) / static_cast<double>(kSecond);
    for (Watched& watched : options_.watched) watched.ns = CpuOf(watched.pid) - watched.ns;
    Print(seconds);
    return errors_ == 0 ? 0 : 1;
  }

 private:
  static uint64_t Ns(double seconds) { return static_cast<uint64_t>(seconds * 1e9); }
  [[nodiscard]] size_t ActiveCount() const { return static_cast<size_t>(options_.connections); }

  // ---- opening

  void OpenAll() {
    // In mode connect, opening is what is measured.
    const size_t first = options_.mode == Mode::kConnect ? ActiveCount() : 0;
    for (size_t opened = first; first + ready_ < clients_.size();) {
      while (opened < clients_.size() && opened - first - ready_ < kOpeningAtOnce) {
        Open(clients_[opened++].get());
      }
      Poll(1000);
      errno = 0;
      if (errors_ > 0) Die("opening connections: " + first_error_);
    }
  }

  void Open(Client* client) {
    client->transport.Adopt(Connect(options_.address));
    if (client->transport.fd() < 0) Die("connect");
    client->state = Client::State::kLogin;
    client->login = std::make_unique<Login>(&options_.account);
    client->login_in.clear();
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = client;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, client->transport.fd(), &event);
  }

  void Close(Client* client) {
    client->transport.Close();
    client->state = Client::State::kClosed;
  }

  void OnLoggedIn(Client* client) {
    client->deprecate_eof = client->login->deprecate_eof();
    client->login.reset();
    client->login_in = std::string();
    if (options_.mode == Mode::kConnect && !client->holds) {
      client->state = Client::State::kBusy;
      return SendStep(client);
    }
    client->state = Client::State::kSetUp;
    if (options_.mode == Mode::kPrepared && !client->holds) {
      client->reader.Expect(AnswerReader::Answer::kPrepared, client->deprecate_eof);
      return Send(client, Command(0x16, options_.query));
    }
    client->reader.Expect(AnswerReader::Answer::kRows, client->deprecate_eof);
    Send(client, Command(3, options_.query));
  }

  void OnSetUp(Client* client) {
    if (options_.mode == Mode::kPrepared && !client->holds) {
      std::string payload;
      for (int i = 0; i < 4; ++i) {
        payload.push_back(static_cast<char>(client->reader.statement_id() >> (8 * i)));
      }
      payload.append(std::string("\0\1\0\0\0", 5));  // no cursor, one iteration
      client->execute = Command(0x17, payload);
    }
    client->state = Client::State::kFree;
    ++ready_;
  }

  // ---- the measured part

  void StartActive() {
    if (options_.rate > 0) {
      next_due_ = Now();
      for (size_t i = 0; i < ActiveCount(); ++i) free_.push_back(clients_[i].get());
      return;
    }
    for (size_t i = 0; i < ActiveCount(); ++i) Begin(clients_[i].get(), Now());
  }

  // Starts the script on a client.
  void Begin(Client* client, uint64_t since) {
    client->since = since;
    client->step = 0;
    if (options_.mode == Mode::kConnect) return Open(client);
    client->state = Client::State::kBusy;
    SendStep(client);
  }

  void SendStep(Client* client) {
    client->reader.Expect(AnswerReader::Answer::kRows, client->deprecate_eof);
    Send(client, client->execute.empty() ? script_[client->step] : client->execute);
  }

  void OnAnswer(Client* client) {
    const uint64_t now = Now();
    ++statements_;
    latency_.Record(now > client->since ? now - client->since : 0);
    if (++client->step < script_.size()) {
      client->since = now;
      return SendStep(client);
    }
    if (options_.mode == Mode::kConnect) {
      Send(client, Command(1, ""));
      Close(client);
    } else {
      client->state = Client::State::kFree;
    }
    if (options_.rate > 0) {
      free_.push_back(client);
    } else {
      Begin(client, now);
    }
  }

  // Runs until `end`.
  void Turn(uint64_t end) {
    for (uint64_t now = Now(); now < end; now = Now()) {
      uint64_t wake = end;
      if (options_.rate > 0) {
        const auto gap = static_cast<uint64_t>(1e9 / options_.rate);
        for (; next_due_ <= now; next_due_ += gap) due_.push_back(next_due_);
        while (!due_.empty() && !free_.empty()) {
          Client* const client = free_.front();
          free_.pop_front();
          Begin(client, due_.front());
          due_.pop_front();
        }
        wake = std::min(end, next_due_);
      }
      now = Now();
      PollNs(wake > now ? wake - now : 0);
    }
  }

  int Hold() {
    printf("ready\n");
    fflush(stdout);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0) {
      // A regular file or /dev/null can't be waited for; it has ended already.
      return 0;
    }
    while (!stdin_ended_) Poll(1000);
    if (errors_ > 0) fprintf(stderr, "%lu connections lost: %s\n", errors_, first_error_.c_str());
    return errors_ == 0 ? 0 : 1;
  }

  // ---- input and output

  void Poll(int ms) { PollNs(static_cast<uint64_t>(ms) * 1'000'000); }

  void PollNs(uint64_t ns) {
    const timespec timeout{static_cast<time_t>(ns / kSecond), static_cast<long>(ns % kSecond)};
    std::array<epoll_event, 256> events;
    const int count = epoll_pwait2(epoll_, events.data(), events.size(), &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      auto* const client = static_cast<Client*>(events[static_cast<size_t>(i)].data.ptr);
      if (client == nullptr) {
        char byte = 0;
        if (read(STDIN_FILENO, &byte, 1) <= 0) stdin_ended_ = true;
      } else if (client->transport.fd() >= 0) {
        OnReadable(client);
      }
    }
  }

  void OnReadable(Client* client) {
    if (client->state == Client::State::kTls) return OnTlsHandshake(client);
    const ssize_t size = client->transport.Receive(buffer_);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return OnLost(client, size == 0 ? "connection closed" : strerror(errno));
    std::string_view bytes(buffer_.data(), static_cast<size_t>(size));
    if (client->state == Client::State::kLogin) return OnLoginBytes(client, bytes);
    if (client->state == Client::State::kFree) return OnLost(client, "unexpected bytes");
    if (!client->reader.Consume(&bytes)) return;
    if (!bytes.empty()) return OnLost(client, "more bytes than the answer has");
    if (client->reader.failed()) Error(client->reader.error());
    if (client->state == Client::State::kSetUp) return OnSetUp(client);
    OnAnswer(client);
  }

  void OnLoginBytes(Client* client, std::string_view bytes) {
    client->login_in.append(bytes);
    while (client->login_in.size() >= 4) {
      const size_t size = ReadInt(client->login_in, 0, 3);
      if (client->login_in.size() < 4 + size) return;
      const auto sequence = static_cast<uint8_t>(client->login_in[3]);
      std::string out;
      const Login::Result result = client->login->OnPacket(
          std::string_view(client->login_in).substr(4, size), sequence, &out);
      client->login_in.erase(0, 4 + size);
      if (!out.empty()) Send(client, out);
      if (result == Login::Result::kStartTls) {
        client->state = Client::State::kTls;
        client->transport.StartTls();
        return OnTlsHandshake(client);
      }
      if (result == Login::Result::kFailed) return OnLost(client, client->login->error());
      if (result == Login::Result::kDone) return OnLoggedIn(client);
    }
  }

  void OnTlsHandshake(Client* client) {
    if (!client->transport.Handshake()) {
      if (errno != EAGAIN) OnLost(client, "TLS handshake failed");
      return;
    }
    client->state = Client::State::kLogin;
    Send(client, client->login->after_tls());
  }

  // Commands are short and sent one at a time: a socket always takes one whole.
  void Send(Client* client, const std::string& bytes) {
    if (!client->transport.Send(bytes)) Die("short write");
  }

  void Error(const std::string& what) {
    if (errors_++ == 0) first_error_ = what;
  }

  void OnLost(Client* client, const std::string& what) {
    Error(what);
    Close(client);
    if (client->holds) return;
    if (errors_ > 1000) Die("too many errors, the first: " + first_error_);
    if (measuring_ && options_.mode != Mode::kConnect) {
      Die("lost a connection in mid-measurement: " + what);
    }
    if (options_.mode == Mode::kConnect) Begin(client, Now());
  }

  void Print(double seconds) const {
    const double qps = static_cast<double>(statements_) / seconds;
    if (options_.json) {
      printf(
          "{\"mode\": \"%s\", \"connections\": %d, \"idle\": %d, \"seconds\": %.3f, "
          "\"statements\": %lu, \"errors\": %lu, \"qps\": %.1f, "
          "\"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}, "
          "\"cpu_ns\": {",
          options_.mode_name.c_str(), options_.connections, options_.idle, seconds, statements_,
          errors_, qps, latency_.QuantileUs(0.5), latency_.QuantileUs(0.99),
          latency_.QuantileUs(0.999), latency_.MaxUs());
      const char* separator = "";
      for (const Watched& watched : options_.watched) {
        printf("%s\"%s\": %lu", separator, watched.name.c_str(), watched.ns);
        separator = ", ";
      }
      printf("}}\n");
      return;
    }
    printf("%-12s %d connections, %d idle, %.1f s\n", options_.mode_name.c_str(),
           options_.connections, options_.idle, seconds);
    printf("%-12s %.0f a second (%lu in all, %lu errors)\n", "rate", qps, statements_, errors_);
    if (errors_ > 0) printf("%-12s %s\n", "first error", first_error_.c_str());
    printf("%-12s p50 %.1f us, p99 %.1f us, p99.9 %.1f us, max %.1f us\n", "latency",
           latency_.QuantileUs(0.5), latency_.QuantileUs(0.99), latency_.QuantileUs(0.999),
           latency_.MaxUs());
    for (const Watched& watched : options_.watched) {
      printf("%-12s %.2f us of CPU each\n", watched.name.c_str(),
             static_cast<double>(watched.ns) / 1e3 / static_cast<double>(statements_));
    }
  }

  Options options_;
  std::vector<std::string> script_;
  std::vector<std::unique_ptr<Client>> clients_;
  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  size_t ready_ = 0;
  bool measuring_ = false;
  bool stdin_ended_ = false;
  uint64_t next_due_ = 0;
  std::deque<uint64_t> due_;
  std::deque<Client*> free_;
  Latency latency_;
  uint64_t statements_ = 0;
  uint64_t errors_ = 0;
  std::string first_error_;
  std::array<char, 262144> buffer_;
};

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  using namespace bulkhead::bench;
  Flags flags(argc, argv, kUsage);
  Options options;
  options.mode_name = flags.Text("mode", "query");
  options.mode = ParseMode(options.mode_name);
  options.address = {.host = flags.Text("host", "127.0.0.1"),
                     .port = static_cast<int>(flags.Number("port", 3306)),
                     .path = flags.Text("unix", "")};
  options.account = {.user = flags.Text("user", "app"),
                     .password = flags.Text("password", ""),
                     .database = flags.Text("database", ""),
                     .deprecate_eof = !flags.Switch("no-deprecate-eof"),
                     .tls = flags.Switch("tls")};
  options.connections = static_cast<int>(flags.Number("connections", 1));
  options.idle = static_cast<int>(flags.Number("idle", 0));
  options.seconds = flags.Number("seconds", 3);
  options.warmup = flags.Number("warmup", 0.3);
  options.rate = flags.Number("rate", 0);
  options.query = flags.Text("query", "SELECT 1");
  options.rows = "SELECT rows " + std::to_string(static_cast<int>(flags.Number("rows", 1000)));
  options.json = flags.Switch("json");
  options.watched = ParseWatched(flags.Text("watch", ""));
  flags.RefuseUnknown();
  RaiseFileLimit();
  return std::make_unique<Load>(std::move(options))->Run();
}
