// The terminal of `bulkhead top`: raw keys, the alternate screen, its size, and everything put
// back.
//
// Purpose: a screen that is drawn whole, and keys with a time limit. Thread: one. Errors: where
// standard input or output is no terminal, Open is false and nothing was changed.
// Source: termios(3), console_codes(4), tty_ioctl(4).
#ifndef BULKHEAD_PROXY_HTTP_TOP_TERMINAL_H_
#define BULKHEAD_PROXY_HTTP_TOP_TERMINAL_H_

#include <termios.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace bulkhead::http {

class TopTerminal {
 public:
  enum class Key { kNone, kQuit, kUp, kDown, kPageUp, kPageDown, kHome, kEnd, kResized };

  TopTerminal() = default;
  ~TopTerminal();
  TopTerminal(const TopTerminal&) = delete;
  TopTerminal& operator=(const TopTerminal&) = delete;

  [[nodiscard]] bool Open();
  [[nodiscard]] size_t width() const { return width_; }
  [[nodiscard]] size_t height() const { return height_; }
  void Draw(const std::vector<std::string>& lines);
  // The next key, or kNone after that time. SIGINT and SIGTERM are kQuit.
  [[nodiscard]] Key Wait(std::chrono::milliseconds limit);

 private:
  void Measure();
  [[nodiscard]] Key TakeKey();

  bool open_ = false;
  std::string typed_;  // and not taken yet
  termios before_{};
  size_t width_ = 80;
  size_t height_ = 24;
};

// Of standard output, if it is a terminal, or 0.
[[nodiscard]] size_t TerminalWidth();

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_TOP_TERMINAL_H_
