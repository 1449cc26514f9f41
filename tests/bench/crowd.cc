// A crowd of clients beside an incident: open loop, errors are counted and not fatal, and what was
// seen is told window by window. One thread, one epoll set. One JSON object a line on stdout.
//
// Modes:
//   query   --connections clients log in, then --rate statements a second are started, whatever the
//           answers do. Latency counts from the moment a statement was due. Where all clients are
//           busy it waits for one, or (--drop) is left out and counted as skipped.
//   login   --rate times a second: connect, log in, --query if given, COM_QUIT. Latency is from the
//           moment it was due to the last answer; each is told ("samples", microseconds).
//   once    --connections clients log in, {"ready": N} is printed; at a line on standard input each
//           sends one statement (--rate of them a second; 0: all at once) and waits for its answer.
//           With --late they connect only then. The last line: {"outcomes": [[n, sent, answered,
//           code], ...]}, times in seconds since the epoch; code 0: done, -1: connection lost, -2:
//           no answer until --seconds were over.
// `{n}` in the query is the statement's number, from --first on. query and login end when standard
// input does, or after --seconds.
#include <sys/epoll.h>
#include <time.h>

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "tests/bench/client_protocol.h"
#include "tests/bench/latency.h"
#include "tests/bench/support.h"
#include "tests/bench/transport.h"

namespace bulkhead::bench {
namespace {

constexpr std::string_view kUsage =
    "bench_crowd --mode query|login|once (--port N [--host A] | --unix PATH) [--user U]\n"
    "            [--password P] [--database D] [--connections N] [--rate R] [--query TEXT]\n"
    "            [--first N] [--window S] [--seconds S] [--drop] [--late]\n";

constexpr uint64_t kSecond = 1'000'000'000;
constexpr size_t kOpeningAtOnce = 64;
constexpr int kLost = -1;
constexpr int kUnanswered = -2;
constexpr double kLastAnswers = 5;  // seconds
constexpr size_t kMaxDue = 1'000'000;

uint64_t ReadClock(clockid_t clock) {
  timespec ts{};
  clock_gettime(clock, &ts);
  return static_cast<uint64_t>(ts.tv_sec) * kSecond + static_cast<uint64_t>(ts.tv_nsec);
}
uint64_t Now() { return ReadClock(CLOCK_MONOTONIC); }

enum class Mode : uint8_t { kQuery, kLogin, kOnce };

struct Options {
  Mode mode = Mode::kQuery;
  Address address;
  Account account;
  size_t connections = 1;
  double rate = 0;
  std::string query;
  uint64_t first = 1;
  double window = 1;
  double seconds = 0;
  bool drop = false;
  bool late = false;
};

struct Client {
  enum class State : uint8_t { kClosed, kLogin, kFree, kBusy };
  Transport transport;
  State state = State::kClosed;
  uint64_t since = 0;   // when what it is doing was due
  uint64_t number = 0;  // of its statement
  std::unique_ptr<Login> login;
  std::string login_in;
  AnswerReader reader;
  bool deprecate_eof = false;
};

struct Outcome {
  uint64_t number;
  uint64_t sent;
  uint64_t answered = 0;
  int code = kUnanswered;
};

class Crowd {
 public:
  explicit Crowd(Options options)
      : options_(std::move(options)),
        offset_(ReadClock(CLOCK_REALTIME) - Now()),
        next_number_(options_.first) {
    for (size_t i = 0; i < options_.connections; ++i)
      clients_.push_back(std::make_unique<Client>());
    epoll_event event{};
    event.events = EPOLLIN;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, STDIN_FILENO, &event);  // may be a file: then it has ended
  }

  int Run() {
    if (options_.mode != Mode::kLogin && !options_.late) OpenAll();
    printf("{\"ready\": %zu}\n", free_.size());
    fflush(stdout);
    if (options_.mode == Mode::kOnce) return RunOnce();
    const uint64_t begin = Now();
    uint64_t window_end = begin + Ns(options_.window);
    window_began_ = begin;
    next_due_ = begin;
    if (options_.mode == Mode::kLogin) {
      for (auto& client : clients_) free_.push_back(client.get());
    }
    while (!stdin_ended_ && (options_.seconds == 0 || Now() - begin < Ns(options_.seconds))) {
      Turn(window_end);
      if (Now() < window_end) continue;
      PrintWindow();
      window_end += Ns(options_.window);
    }
    // What was sent gets its answer counted: the last window tells of all.
    const uint64_t patience = Now() + Ns(kLastAnswers);
    while (free_.size() < clients_.size() && Now() < patience) Poll(Ns(0.01));
    PrintWindow();
    return 0;
  }

 private:
  static uint64_t Ns(double seconds) { return static_cast<uint64_t>(seconds * 1e9); }
  [[nodiscard]] double Seconds(uint64_t monotonic) const {
    return static_cast<double>(monotonic + offset_) / 1e9;
  }

  void OpenAll() {
    size_t opened = 0;
    while (free_.size() < clients_.size()) {
      while (opened < clients_.size() && opened - free_.size() < kOpeningAtOnce)
        Open(clients_[opened++].get());
      Poll(kSecond);
      errno = 0;
      if (!errors_.empty()) Die("opening connections: " + first_error_);
    }
  }

  int RunOnce() {
    while (lines_ == 0 && !stdin_ended_) Poll(kSecond);
    const uint64_t begin = Now();
    next_due_ = begin;
    size_t started = 0;
    if (options_.late) {
      for (auto& client : clients_) free_.push_back(client.get());
    }
    const size_t all = free_.size();
    outcomes_.reserve(all);
    while (answered_ < all && Now() - begin < Ns(options_.seconds)) {
      while (started < all && next_due_ <= Now()) {
        Client* const client = free_.front();
        free_.pop_front();
        client->number = next_number_++;
        outcomes_.push_back({.number = client->number, .sent = Now()});
        ++started;
        if (options_.rate > 0) next_due_ += Ns(1 / options_.rate);
        options_.late ? Open(client) : SendStatement(client);
      }
      Poll(started < all ? Ns(0.001) : Ns(0.05));
    }
    PrintOutcomes();
    return 0;
  }

  void Turn(uint64_t end) {
    const uint64_t gap = Ns(1 / options_.rate);
    for (uint64_t now = Now(); now < end && !stdin_ended_; now = Now()) {
      for (; next_due_ <= now; next_due_ += gap) {
        if ((options_.drop && free_.size() <= due_.size()) || due_.size() >= kMaxDue) {
          ++skipped_;
        } else {
          due_.push_back(next_due_);
        }
      }
      while (!due_.empty() && !free_.empty()) {
        Client* const client = free_.front();
        free_.pop_front();
        client->since = due_.front();
        due_.pop_front();
        client->number = next_number_++;
        client->state == Client::State::kClosed ? Open(client) : SendStatement(client);
      }
      const uint64_t wake = std::min(end, next_due_);
      now = Now();
      Poll(wake > now ? wake - now : 0);
    }
  }

  // ---- one client

  void Open(Client* client) {
    client->transport.Adopt(Connect(options_.address));
    if (client->transport.fd() < 0) return OnLost(client, strerror(errno));
    client->state = Client::State::kLogin;
    client->login = std::make_unique<Login>(&options_.account);
    client->login_in.clear();
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = client;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, client->transport.fd(), &event);
  }

  void OnLoggedIn(Client* client) {
    client->deprecate_eof = client->login->deprecate_eof();
    client->login.reset();
    client->login_in = std::string();
    if (client->number != 0 && !options_.query.empty()) return SendStatement(client);
    if (client->number != 0) return OnDone(client, 0);
    client->state = Client::State::kFree;
    free_.push_back(client);
  }

  void SendStatement(Client* client) {
    std::string text = options_.query;
    for (size_t at = text.find("{n}"); at != std::string::npos; at = text.find("{n}", at))
      text.replace(at, 3, std::to_string(client->number));
    std::string packet;
    uint8_t sequence = 0;
    AppendPacket(&packet, &sequence, Payload().Int(3, 1).Bytes(text));
    client->state = Client::State::kBusy;
    client->reader.Expect(AnswerReader::Answer::kRows, client->deprecate_eof);
    if (!client->transport.Send(packet)) Die("short write");
  }

  void OnReadable(Client* client) {
    const ssize_t size = client->transport.Receive(buffer_);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return OnLost(client, size == 0 ? "connection closed" : strerror(errno));
    std::string_view bytes(buffer_.data(), static_cast<size_t>(size));
    if (client->state == Client::State::kLogin) return OnLoginBytes(client, bytes);
    if (client->state == Client::State::kFree) return OnLost(client, "unexpected bytes");
    if (!client->reader.Consume(&bytes)) return;
    if (!bytes.empty()) return OnLost(client, "more bytes than the answer has");
    OnDone(client, client->reader.failed() ? client->reader.error_code() : 0);
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
      if (!out.empty() && !client->transport.Send(out)) Die("short write");
      if (result == Login::Result::kFailed) return OnLost(client, client->login->error());
      if (result == Login::Result::kDone) return OnLoggedIn(client);
    }
  }

  // The statement (or the login, where that is all) was answered.
  void OnDone(Client* client, int code) {
    const uint64_t now = Now();
    if (code != 0) Error(code, client->reader.error());
    Record(*client, now, code);
    client->state = Client::State::kFree;
    if (options_.mode == Mode::kLogin) {
      const std::string quit("\1\0\0\0\1", 5);
      (void)client->transport.Send(quit);
      Close(client);
    }
    if (options_.mode != Mode::kOnce) free_.push_back(client);
  }

  void OnLost(Client* client, const std::string& what) {
    const bool was_busy = client->number != 0 && client->state != Client::State::kFree;
    if (client->state == Client::State::kFree && options_.mode == Mode::kQuery) {
      // Idle, and in the queue of free clients: it logs in again with its next statement.
      Error(kLost, what);
      return Close(client);
    }
    Error(kLost, what);
    Close(client);
    if (was_busy) Record(*client, Now(), kLost);
    if (options_.mode != Mode::kOnce && was_busy) free_.push_back(client);
  }

  void Close(Client* client) {
    client->transport.Close();
    client->state = Client::State::kClosed;
  }

  void Record(const Client& client, uint64_t now, int code) {
    if (options_.mode == Mode::kOnce) {
      ++answered_;
      Outcome& outcome = outcomes_[client.number - options_.first];
      outcome.answered = now;
      outcome.code = code;
      return;
    }
    if (code != 0) return;  // counted apart
    const uint64_t took = now > client.since ? now - client.since : 0;
    latency_.Record(took);
    if (options_.mode == Mode::kLogin) samples_.push_back(static_cast<uint32_t>(took / 1000));
  }

  void Error(int code, const std::string& what) {
    if (errors_.empty()) first_error_ = what;
    ++errors_[code];
  }

  void Poll(uint64_t ns) {
    const timespec timeout{static_cast<time_t>(ns / kSecond), static_cast<long>(ns % kSecond)};
    std::array<epoll_event, 256> events;
    const int count = epoll_pwait2(epoll_, events.data(), events.size(), &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
      auto* const client = static_cast<Client*>(events[static_cast<size_t>(i)].data.ptr);
      if (client == nullptr) {
        char bytes[64];
        const ssize_t size = read(STDIN_FILENO, bytes, sizeof bytes);
        if (size > 0) ++lines_;
        if (size <= 0) {
          stdin_ended_ = true;
          epoll_ctl(epoll_, EPOLL_CTL_DEL, STDIN_FILENO, nullptr);
        }
      } else if (client->transport.fd() >= 0) {
        OnReadable(client);
      }
    }
  }

  // ---- what is told

  static std::string Quoted(const std::string& text) {
    std::string out;
    for (const char c : text) {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(static_cast<unsigned char>(c) < ' ' ? ' ' : c);
    }
    return '"' + out + '"';
  }

  void PrintWindow() {
    const uint64_t now = Now();
    printf("{\"at\": %.6f, \"until\": %.6f, \"done\": %lu, \"p50\": %.1f, \"p99\": %.1f, ",
           Seconds(window_began_), Seconds(now), latency_.count(), latency_.QuantileUs(0.5),
           latency_.QuantileUs(0.99));
    printf("\"max\": %.1f, \"skipped\": %lu, \"late\": %zu, \"errors\": {", latency_.MaxUs(),
           skipped_, due_.size());
    const char* separator = "";
    for (const auto& [code, count] : errors_) {
      printf("%s\"%d\": %lu", separator, code, count);
      separator = ", ";
    }
    printf("}, \"first_error\": %s, \"samples\": [", Quoted(first_error_).c_str());
    separator = "";
    for (const uint32_t sample : samples_) {
      printf("%s%u", separator, sample);
      separator = ", ";
    }
    printf("]}\n");
    fflush(stdout);
    latency_ = Latency();
    errors_.clear();
    first_error_.clear();
    samples_.clear();
    skipped_ = 0;
    window_began_ = now;
  }

  void PrintOutcomes() {
    printf("{\"first_error\": %s, \"outcomes\": [", Quoted(first_error_).c_str());
    const char* separator = "";
    for (const Outcome& outcome : outcomes_) {
      printf("%s[%lu, %.6f, %.6f, %d]", separator, outcome.number, Seconds(outcome.sent),
             outcome.answered == 0 ? 0 : Seconds(outcome.answered), outcome.code);
      separator = ", ";
    }
    printf("]}\n");
    fflush(stdout);
  }

  const Options options_;
  const uint64_t offset_;  // from the monotonic clock to the time of day
  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  std::vector<std::unique_ptr<Client>> clients_;
  std::deque<Client*> free_;
  std::deque<uint64_t> due_;
  uint64_t next_due_ = 0;
  uint64_t next_number_;
  uint64_t window_began_ = 0;
  Latency latency_;
  std::vector<uint32_t> samples_;
  std::map<int, uint64_t> errors_;
  std::string first_error_;
  uint64_t skipped_ = 0;
  std::vector<Outcome> outcomes_;
  size_t answered_ = 0;
  int lines_ = 0;
  bool stdin_ended_ = false;
  std::array<char, 65536> buffer_;
};

Mode ParseMode(const std::string& text) {
  if (text == "query") return Mode::kQuery;
  if (text == "login") return Mode::kLogin;
  if (text == "once") return Mode::kOnce;
  errno = 0;
  Die("unknown mode " + text);
}

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  using namespace bulkhead::bench;
  Flags flags(argc, argv, kUsage);
  Options options;
  options.mode = ParseMode(flags.Text("mode", "query"));
  options.address = {.host = flags.Text("host", "127.0.0.1"),
                     .port = static_cast<int>(flags.Number("port", 3306)),
                     .path = flags.Text("unix", "")};
  options.account = {.user = flags.Text("user", "app"),
                     .password = flags.Text("password", ""),
                     .database = flags.Text("database", "")};
  options.connections = static_cast<size_t>(flags.Number("connections", 1));
  options.rate = flags.Number("rate", 0);
  options.query = flags.Text("query", "");
  options.first = static_cast<uint64_t>(flags.Number("first", 1));
  options.window = flags.Number("window", 1);
  options.seconds = flags.Number("seconds", options.mode == Mode::kOnce ? 60 : 0);
  options.drop = flags.Switch("drop");
  options.late = flags.Switch("late");
  flags.RefuseUnknown();
  errno = 0;
  if (options.mode != Mode::kOnce && options.rate <= 0) Die("--rate is needed");
  if (options.mode != Mode::kLogin && options.query.empty()) Die("--query is needed");
  RaiseFileLimit();
  return std::make_unique<Crowd>(std::move(options))->Run();
}
