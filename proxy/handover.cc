#include "proxy/handover.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proxy/io/worker.h"

extern char** environ;

namespace bulkhead {

namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr const char* kVariable = "BULKHEAD_HANDOVER_FD";
constexpr int kProtocol = 1;
constexpr int kChildFd = 3;
constexpr size_t kHeader = 4;
// The old process may be busy with its disk.
constexpr std::chrono::seconds kStoreWithin{60};

std::string Errno(const std::string& what) {
  return absl::StrCat(what, ": ", std::strerror(errno));
}

json Parsed(const std::string& text) {
  json parsed = json::parse(text, nullptr, /*allow_exceptions=*/false);
  return parsed.is_object() ? parsed : json::object();
}

bool IsTrue(const json& message, const char* key) {
  return message.contains(key) && message[key].is_boolean() && message[key].get<bool>();
}

std::string TextOf(const json& message, const char* key) {
  return message.contains(key) && message[key].is_string() ? message[key].get<std::string>() : "";
}

uint32_t NumberOf(const json& message, const char* key) {
  return message.contains(key) && message[key].is_number_unsigned() ? message[key].get<uint32_t>()
                                                                    : 0;
}

std::vector<std::string> Arguments() {
  std::ifstream in("/proc/self/cmdline");
  std::vector<std::string> arguments;
  for (std::string one; std::getline(in, one, '\0');) arguments.push_back(one);
  return arguments;
}

// Without what belongs to this process only.
std::vector<std::string> Environment() {
  std::vector<std::string> result;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string_view entry = *one;
    if (!entry.starts_with("WATCHDOG_PID=") && !entry.starts_with("LISTEN_"))
      result.emplace_back(entry);
  }
  result.push_back(absl::StrCat(kVariable, "=", kChildFd));
  return result;
}

std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Signals as after a login, no descriptor but the standard ones and the pair.
int Spawn(const std::string& program, int fd, pid_t* pid) {
  std::vector<std::string> arguments = Arguments();
  std::vector<std::string> environment = Environment();
  const std::vector<char*> argv = Pointers(&arguments);
  const std::vector<char*> envp = Pointers(&environment);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, fd, kChildFd);
  posix_spawn_file_actions_addclosefrom_np(&actions, kChildFd + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int status =
      posix_spawn(pid, program.c_str(), &actions, &attributes, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return status;
}

}  // namespace

std::string ProgramPath() {
  std::array<char, PATH_MAX> buffer{};
  const ssize_t length = readlink("/proc/self/exe", buffer.data(), buffer.size() - 1);
  std::string path(buffer.data(), length > 0 ? static_cast<size_t>(length) : 0);
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted) && access(path.c_str(), F_OK) != 0)
    path.resize(path.size() - kDeleted.size());
  return path;
}

// --- the channel
// ------------------------------------------------------------------------------------------------

HandoverChannel::~HandoverChannel() {
  if (fd_ >= 0) close(fd_);
}

int HandoverChannel::Release() {
  (void)fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
  return std::exchange(fd_, -1);
}

bool HandoverChannel::Send(const std::string& text, const std::vector<int>& fds) {
  std::string frame(kHeader, '\0');
  for (size_t i = 0; i < kHeader; ++i)
    frame[i] = static_cast<char>(text.size() >> 8 * (kHeader - 1 - i) & 0xff);
  frame += text;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kFdsAtOnce)> control{};
  size_t sent = 0;
  while (sent < frame.size()) {
    iovec part{.iov_base = frame.data() + sent, .iov_len = frame.size() - sent};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (sent == 0 && !fds.empty()) {  // they go with the first byte
      message.msg_control = control.data();
      message.msg_controllen = CMSG_SPACE(sizeof(int) * fds.size());
      cmsghdr* const header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int) * fds.size());
      std::memcpy(CMSG_DATA(header), fds.data(), sizeof(int) * fds.size());
    }
    const ssize_t count = sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    sent += static_cast<size_t>(count);
  }
  return true;
}

HandoverChannel::Got HandoverChannel::Receive(Duration within, std::string* text,
                                              std::vector<int>* fds) {
  const Clock::time_point by = Clock::now() + within;
  std::string frame;
  size_t wanted = kHeader;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kFdsAtOnce)> control{};
  while (frame.size() < wanted) {
    const auto left = std::chrono::duration_cast<Duration>(by - Clock::now()).count();
    if (left <= 0) return Got::kTimeout;
    pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
    const int count = poll(&ready, 1, static_cast<int>(std::min<int64_t>(left, INT_MAX)));
    if (count == 0) return Got::kTimeout;
    if (count < 0 && errno == EINTR) continue;
    std::array<char, 4096> bytes;
    iovec part{.iov_base = bytes.data(), .iov_len = std::min(bytes.size(), wanted - frame.size())};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = recvmsg(fd_, &message, MSG_CMSG_CLOEXEC);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return Got::kEnd;
    for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
      if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
      const size_t number = (one->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      const size_t before = fds->size();
      fds->resize(before + number);
      std::memcpy(fds->data() + before, CMSG_DATA(one), number * sizeof(int));
    }
    frame.append(bytes.data(), static_cast<size_t>(size));
    if (wanted == kHeader && frame.size() == kHeader) {
      size_t length = 0;
      for (size_t i = 0; i < kHeader; ++i) length = length << 8 | static_cast<uint8_t>(frame[i]);
      if (length > kMostMessage) return Got::kEnd;
      wanted += length;
    }
  }
  *text = frame.substr(kHeader);
  return Got::kMessage;
}

// --- the new process
// ------------------------------------------------------------------------------------------------

std::unique_ptr<Inheritance> Inheritance::FromEnvironment() {
  const char* const value = std::getenv(kVariable);
  int fd = -1;
  const bool given = value != nullptr && absl::SimpleAtoi(value, &fd) && fd > STDERR_FILENO;
  unsetenv(kVariable);
  if (!given || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return nullptr;
  return std::make_unique<Inheritance>(fd);
}

std::string Inheritance::Receive(GivenSockets* sockets) {
  constexpr HandoverChannel::Duration kWithin = std::chrono::seconds(10);
  std::string text;
  std::vector<int> fds;
  std::string error;
  size_t wanted = 1;
  for (size_t seen = 0; seen < wanted && error.empty();) {
    fds.clear();
    if (channel_.Receive(kWithin, &text, &fds) != HandoverChannel::Got::kMessage)
      return "the process that hands over says nothing";
    const json message = Parsed(text);
    if (NumberOf(message, "protocol") != kProtocol) {
      error = "the process that hands over is of another version, which speaks otherwise: restart";
    }
    process_ = NumberOf(message, "process") % io::Worker::kMaxProcesses;
    pid_ = static_cast<pid_t>(NumberOf(message, "pid"));
    wanted = NumberOf(message, "sockets");
    const json list = message.contains("list") ? message["list"] : json::array();
    for (size_t i = 0; i < fds.size(); ++i) {
      const json one = i < list.size() && list[i].is_object() ? list[i] : json::object();
      const std::string wrong = sockets->Add(fds[i], TextOf(one, "name"), IsTrue(one, "keep"));
      if (error.empty()) error = wrong;
    }
    seen += fds.size();
    if (fds.empty() && wanted > seen && error.empty())
      error = "the process that hands over did not give all its sockets";
  }
  return error;
}

bool Inheritance::AwaitStore() {
  std::string text;
  std::vector<int> fds;
  return channel_.Send(R"({"ready":true})") &&
         channel_.Receive(kStoreWithin, &text, &fds) == HandoverChannel::Got::kMessage &&
         IsTrue(Parsed(text), "go");
}

bool Inheritance::Taken() { return channel_.Send(R"({"taken":true})"); }

void Inheritance::Failed(const std::string& why) {
  const json message = {{"failed", why.substr(0, 2000)}};
  (void)channel_.Send(message.dump(-1, ' ', false, json::error_handler_t::replace));
}

// --- the old process
// ------------------------------------------------------------------------------------------------

Bequest::~Bequest() {
  if (!taken_) End();
}

void Bequest::End() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  (void)waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

std::string Bequest::Start(const Hello& hello) {
  const std::string program = ProgramPath();
  if (access(program.c_str(), X_OK) != 0) return Errno("no program to start: " + program);
  std::array<int, 2> pair{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0)
    return Errno("socketpair");
  channel_ = std::make_unique<HandoverChannel>(pair[0]);
  // Spawning closes the number that the child's end gets there: it must be another one here.
  const int child = fcntl(pair[1], F_DUPFD_CLOEXEC, kChildFd + 1);
  close(pair[1]);
  if (child < 0) return Errno("no descriptor");
  const int status = Spawn(program, child, &pid_);
  close(child);
  if (status != 0) {
    pid_ = 0;
    return absl::StrCat(program, " can't be started: ", std::strerror(status));
  }
  size_t sent = 0;
  do {
    std::vector<int> fds;
    json list = json::array();
    for (; sent < hello.sockets.size() && fds.size() < HandoverChannel::kFdsAtOnce; ++sent) {
      const GivenSocket& socket = hello.sockets[sent];
      fds.push_back(socket.fd);
      list.push_back({{"name", socket.name}, {"keep", socket.keep_file}});
    }
    const json message = {{"protocol", kProtocol},
                          {"process", hello.process},
                          {"pid", getpid()},
                          {"sockets", hello.sockets.size()},
                          {"list", list}};
    if (!channel_->Send(message.dump(), fds)) return EndWords();
  } while (sent < hello.sockets.size());
  return {};
}

std::string Bequest::AwaitReady(HandoverChannel::Duration within) { return Await("ready", within); }

std::string Bequest::Go(HandoverChannel::Duration within) {
  if (!channel_->Send(R"({"go":true})")) return EndWords();
  std::string error = Await("taken", within);
  taken_ = error.empty();
  return error;
}

std::string Bequest::Await(const char* word, HandoverChannel::Duration within) {
  std::string text;
  std::vector<int> fds;
  const HandoverChannel::Got got = channel_->Receive(within, &text, &fds);
  if (got == HandoverChannel::Got::kTimeout)
    return absl::StrCat("it is not ", word, " within ", within.count(), " ms");
  if (got == HandoverChannel::Got::kEnd) return EndWords();
  const json message = Parsed(text);
  if (IsTrue(message, word)) return {};
  const std::string failed = TextOf(message, "failed");
  return failed.empty() ? "it says what is not understood" : failed;
}

// It is about to end, or as good as over.
std::string Bequest::EndWords() {
  int status = 0;
  pid_t ended = 0;
  const timespec pause{.tv_sec = 0, .tv_nsec = 10'000'000};
  for (int i = 0; i < 200 && ended == 0; ++i) {
    ended = waitpid(pid_, &status, WNOHANG);
    if (ended == 0) nanosleep(&pause, nullptr);
  }
  if (ended == 0) {
    kill(pid_, SIGKILL);
    ended = waitpid(pid_, &status, 0);
  }
  pid_ = 0;
  if (ended < 0) return Errno("waitpid");
  if (WIFEXITED(status)) return absl::StrCat("it ended with exit code ", WEXITSTATUS(status));
  return absl::StrCat("it was ended by signal ", WTERMSIG(status));
}

int Bequest::Release() { return channel_->Release(); }

}  // namespace bulkhead
