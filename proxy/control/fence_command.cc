#include "proxy/control/fence_command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace bulkhead::control {

namespace {

using Clock = std::chrono::steady_clock;
using routing::Duration;
using namespace std::chrono_literals;

// The command's output end of a pipe, started with it; the pid or -errno.
pid_t Spawn(const std::vector<std::string>& command, int output) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> arguments;
  for (const std::string& argument : command)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  pid_t pid = 0;
  const int error =
      posix_spawn(&pid, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error == 0 ? pid : -error;
}

// Reads what is there; false at the end.
bool ReadSome(int fd, std::string* output) {
  char buffer[1024];
  const ssize_t got = read(fd, buffer, sizeof buffer);
  if (got <= 0) return got < 0 && errno == EINTR;
  output->append(buffer, static_cast<size_t>(got));
  if (output->size() > kMostFenceOutput) output->erase(0, output->size() - kMostFenceOutput);
  return true;
}

std::string Printable(const std::string& output) {
  std::string text;
  for (const char c : output) {
    const bool space = static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
    if (!space) {
      text += c;
    } else if (!text.empty() && text.back() != ' ') {
      text += ' ';
    }
  }
  return text;
}

std::string HowItEnded(int status) {
  if (WIFEXITED(status)) return absl::StrCat("exit code ", WEXITSTATUS(status));
  if (WIFSIGNALED(status)) return absl::StrCat("ended by signal ", WTERMSIG(status));
  return "ended in an unknown way";
}

// Until it has ended, or the limit; what it prints is taken meanwhile. True: it has ended.
bool WaitFor(pid_t pid, int output, Clock::time_point until, std::string* text, int* status) {
  bool open = true;
  while (true) {
    const pid_t ended = waitpid(pid, status, WNOHANG);
    if (ended == pid || (ended < 0 && errno != EINTR)) {
      // What it left in the pipe; children that still hold it are not waited for.
      pollfd rest{.fd = output, .events = POLLIN, .revents = 0};
      while (open && poll(&rest, 1, 0) > 0) open = ReadSome(output, text);
      return ended == pid;
    }
    if (Clock::now() >= until) return false;
    if (open) {
      pollfd wait{.fd = output, .events = POLLIN, .revents = 0};
      if (poll(&wait, 1, 20) > 0) open = ReadSome(output, text);
    } else {
      std::this_thread::sleep_for(20ms);
    }
  }
}

}  // namespace

FenceResult RunFence(const std::vector<std::string>& command, Duration limit) {
  FenceResult result;
  int ends[2];
  if (command.empty() || pipe2(ends, O_CLOEXEC) != 0) {
    result.why = command.empty() ? "there is no command" : std::strerror(errno);
    return result;
  }
  const pid_t pid = Spawn(command, ends[1]);
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    result.why = command[0] + " can't be started: " + std::strerror(-pid);
    return result;
  }
  int status = 0;
  const bool ended = WaitFor(pid, ends[0], Clock::now() + limit, &result.output, &status);
  if (!ended) {
    kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    result.why = absl::StrCat("killed: it had not ended after ",
                              std::chrono::duration<double>(limit).count(), " s");
  } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    result.why = HowItEnded(status);
  } else {
    result.confirmed = true;
  }
  close(ends[0]);
  result.output = Printable(result.output);
  return result;
}

std::vector<std::string> FilledIn(const std::vector<std::string>& command,
                                  const std::string& backend, const routing::Address& address,
                                  const std::string& shard) {
  std::vector<std::string> filled;
  filled.reserve(command.size());
  for (const std::string& argument : command) {
    filled.push_back(absl::StrReplaceAll(
        argument, {{"{backend}", backend},
                   {"{host}", address.is_unix() ? address.socket_path : address.host},
                   {"{port}", absl::StrCat(address.port)},
                   {"{shard}", shard}}));
  }
  return filled;
}

}  // namespace bulkhead::control
