#include "proxy/http/top_terminal.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace bulkhead::http {

namespace {

volatile sig_atomic_t g_resized = 0;
volatile sig_atomic_t g_ended = 0;

void OnSignal(int signal) {
  if (signal == SIGWINCH) {
    g_resized = 1;
  } else {
    g_ended = 1;
  }
}

void Catch(int signal) {
  struct sigaction action {};
  action.sa_handler = OnSignal;  // without SA_RESTART: poll must return
  sigaction(signal, &action, nullptr);
}

void Put(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

using Key = TopTerminal::Key;

struct KeyName {
  std::string_view bytes;
  Key key;
};
constexpr KeyName kKeys[] = {
    {"q", Key::kQuit},      {"Q", Key::kQuit},           {"\x03", Key::kQuit},
    {"k", Key::kUp},        {"\x1b[A", Key::kUp},        {"\x1bOA", Key::kUp},
    {"j", Key::kDown},      {"\x1b[B", Key::kDown},      {"\x1bOB", Key::kDown},
    {"b", Key::kPageUp},    {"\x1b[5~", Key::kPageUp},   {" ", Key::kPageDown},
    {"f", Key::kPageDown},  {"\x1b[6~", Key::kPageDown}, {"g", Key::kHome},
    {"\x1b[H", Key::kHome}, {"\x1b[1~", Key::kHome},     {"G", Key::kEnd},
    {"\x1b[F", Key::kEnd},  {"\x1b[4~", Key::kEnd}};

}  // namespace

bool TopTerminal::Open() {
  if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0) return false;
  if (tcgetattr(STDIN_FILENO, &before_) != 0) return false;
  termios raw = before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  raw.c_cc[VMIN] = 0;
  raw.c_cc[VTIME] = 0;
  if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) return false;
  for (const int signal : {SIGWINCH, SIGINT, SIGTERM, SIGHUP}) Catch(signal);
  open_ = true;
  Put("\x1b[?1049h\x1b[?25l");
  Measure();
  return true;
}

TopTerminal::~TopTerminal() {
  if (!open_) return;
  Put("\x1b[?25h\x1b[?1049l");
  tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

void TopTerminal::Measure() {
  winsize size{};
  const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
  if (!known || size.ws_col == 0 || size.ws_row < 2) return;
  width_ = size.ws_col;
  height_ = size.ws_row;
}

void TopTerminal::Draw(const std::vector<std::string>& lines) {
  std::string screen = "\x1b[H";
  for (size_t i = 0; i < lines.size() && i < height_; ++i) {
    if (i > 0) screen += "\r\n";
    screen += lines[i];
    screen += "\x1b[K";
  }
  screen += "\x1b[J";
  Put(screen);
}

// Keys that mean nothing are passed over.
TopTerminal::Key TopTerminal::TakeKey() {
  while (!typed_.empty()) {
    for (const KeyName& name : kKeys) {
      if (!std::string_view(typed_).starts_with(name.bytes)) continue;
      typed_.erase(0, name.bytes.size());
      return name.key;
    }
    typed_.erase(0, 1);
  }
  return Key::kNone;
}

TopTerminal::Key TopTerminal::Wait(std::chrono::milliseconds limit) {
  if (const Key key = TakeKey(); key != Key::kNone) return key;
  pollfd input{STDIN_FILENO, POLLIN, 0};
  const int ready = poll(&input, 1, static_cast<int>(limit.count()));
  if (g_ended != 0) return Key::kQuit;
  if (g_resized != 0) {
    g_resized = 0;
    Measure();
    return Key::kResized;
  }
  if (ready <= 0) return Key::kNone;
  char bytes[64];
  const ssize_t size = read(STDIN_FILENO, bytes, sizeof bytes);
  if (size <= 0) return Key::kQuit;  // the terminal is gone
  typed_.append(bytes, static_cast<size_t>(size));
  return TakeKey();
}

size_t TerminalWidth() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

}  // namespace bulkhead::http
