#include "proxy/admin/client_lines.h"

#include <histedit.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cwchar>
#include <string_view>
#include <utility>

namespace bulkhead::admin {

namespace {

constexpr int kMostHistory = 1000;

char Folded(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

bool StartsWithFolded(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), text.begin(),
                    [](char a, char b) { return Folded(a) == Folded(b); });
}

}  // namespace

struct LineEditor::Impl {
  EditLine* editor = nullptr;
  History* history = nullptr;
  HistEvent event{};
  std::string file;
  std::string prompt;
  std::vector<std::string> words;
  sigset_t waiting{};  // the signals that stay blocked while it waits for a key
};

namespace {

LineEditor::Impl* ImplOf(EditLine* editor) {
  void* data = nullptr;
  el_get(editor, EL_CLIENTDATA, &data);
  return static_cast<LineEditor::Impl*>(data);
}

char* Prompt(EditLine* editor) { return ImplOf(editor)->prompt.data(); }

// Ctrl-C comes through while it waits and at no other time: one that comes before the terminal is
// set up, when libedit does not read yet, is not lost.
int ReadCharacter(EditLine* editor, wchar_t* character) {
  std::mbstate_t state{};
  while (true) {
    pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
    if (ppoll(&input, 1, nullptr, &ImplOf(editor)->waiting) < 0) return -1;
    char byte = 0;
    const ssize_t size = read(STDIN_FILENO, &byte, 1);
    if (size <= 0) return static_cast<int>(size);
    const size_t used = std::mbrtowc(character, &byte, 1, &state);
    if (used == static_cast<size_t>(-1)) {
      state = {};  // no character of this terminal's encoding
    } else if (used != static_cast<size_t>(-2)) {
      return 1;
    }
  }
}

// What all of them begin with, beyond the first `size` characters.
std::string CommonRest(const std::vector<std::string>& found, size_t size) {
  std::string common = found.front();
  for (const std::string& word : found) {
    size_t same = size;
    while (same < common.size() && same < word.size() && Folded(common[same]) == Folded(word[same]))
      ++same;
    common.resize(same);
  }
  return common.substr(size);
}

unsigned char Complete(EditLine* editor, int /*key*/) {
  const LineInfo* line = el_line(editor);
  const char* begin = line->cursor;
  while (begin > line->buffer &&
         std::string_view(" ,()'\"`=;").find(begin[-1]) == std::string_view::npos)
    --begin;
  const std::string_view prefix(begin, static_cast<size_t>(line->cursor - begin));
  std::vector<std::string> found;
  for (const std::string& word : ImplOf(editor)->words) {
    if (StartsWithFolded(word, prefix)) found.push_back(word);
  }
  if (prefix.empty() || found.empty()) return CC_ERROR;
  std::string rest = CommonRest(found, prefix.size());
  if (found.size() == 1) rest += ' ';
  if (!rest.empty()) return el_insertstr(editor, rest.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  std::fputc('\n', stdout);
  for (const std::string& word : found) std::printf("%s  ", word.c_str());
  std::fputc('\n', stdout);
  return CC_REDISPLAY;
}

}  // namespace

LineEditor::LineEditor(std::string history_file, std::vector<std::string> words)
    : impl_(std::make_unique<Impl>()) {
  impl_->file = std::move(history_file);
  impl_->words = std::move(words);
  impl_->history = history_init();
  history(impl_->history, &impl_->event, H_SETSIZE, kMostHistory);
  history(impl_->history, &impl_->event, H_SETUNIQUE, 1);
  if (!impl_->file.empty()) history(impl_->history, &impl_->event, H_LOAD, impl_->file.c_str());
  std::setlocale(LC_CTYPE, "");
  impl_->editor = el_init("bulkhead", stdin, stdout, stderr);
  el_set(impl_->editor, EL_CLIENTDATA, impl_.get());
  el_set(impl_->editor, EL_PROMPT, &Prompt);
  el_set(impl_->editor, EL_EDITOR, "emacs");
  el_set(impl_->editor, EL_SIGNAL, 0);
  el_set(impl_->editor, EL_GETCFN, &ReadCharacter);
  el_set(impl_->editor, EL_HIST, history, impl_->history);
  el_set(impl_->editor, EL_ADDFN, "bulkhead-complete", "completes a word", &Complete);
  el_set(impl_->editor, EL_BIND, "\t", "bulkhead-complete", nullptr);
}

LineEditor::~LineEditor() {
  if (!impl_->file.empty()) {
    const mode_t before = umask(0077);
    history(impl_->history, &impl_->event, H_SAVE, impl_->file.c_str());
    umask(before);
  }
  el_end(impl_->editor);
  history_end(impl_->history);
}

LineEditor::Outcome LineEditor::Read(const std::string& prompt, std::string* line) {
  impl_->prompt = prompt;
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, &impl_->waiting);
  int size = 0;
  errno = 0;
  const char* text = el_gets(impl_->editor, &size);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &impl_->waiting, nullptr);
  if (text == nullptr || size < 0) {
    if (error != EINTR) return Outcome::kEnd;
    el_reset(impl_->editor);
    return Outcome::kInterrupted;
  }
  if (size == 0) return Outcome::kEnd;
  line->assign(text, static_cast<size_t>(size));
  while (!line->empty() && (line->back() == '\n' || line->back() == '\r')) line->pop_back();
  return Outcome::kLine;
}

void LineEditor::AddHistory(const std::string& statement) {
  history(impl_->history, &impl_->event, H_ENTER, statement.c_str());
}

}  // namespace bulkhead::admin
