#include "proxy/admin/admin_client.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "proxy/admin/client_lines.h"
#include "proxy/admin/statement_list.h"
#include "proxy/admin/tables.h"
#include "proxy/admin/text_scan.h"
#include "proxy/admin/tokens.h"

namespace bulkhead::admin {

namespace {

constexpr std::string_view kPrompt = "bulkhead> ";
constexpr std::string_view kGoesOn = "       -> ";

constexpr std::string_view kWelcome =
    "Statements end with ; (or \\G for one line a cell). HELP; lists them, HELP DRAIN; tells of "
    "one,\n"
    "SHOW BACKENDS; is a good start. Tab completes. Ctrl-C cancels what waits, \\q leaves.\n";

std::string Trimmed(std::string_view text) {
  const auto is_space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return std::string(text);
}

bool Leaves(std::string_view line) {
  const std::string word = Lower(Trimmed(line));
  return word == "\\q" || word == "quit" || word == "exit" || word == "quit;" || word == "exit;";
}

bool AsksForHelp(std::string_view line) {
  const std::string word = Lower(Trimmed(line));
  return word == "help" || word == "?" || word == "\\h" || word == "\\?";
}

std::string HistoryFile() {
  const char* home = std::getenv("HOME");
  return home == nullptr || *home == '\0' ? "" : std::string(home) + "/.bulkhead_history";
}

}  // namespace

std::vector<StatementBuffer::Complete> StatementBuffer::AddLine(std::string_view line) {
  text_ += line;
  text_ += '\n';
  std::vector<Complete> complete;
  while (true) {
    const size_t end = EndOfStatement(text_, 0);
    // \G stands outside of strings only at the end of a line.
    const std::string whole = Trimmed(std::string_view(text_).substr(0, end));
    const bool vertical = end == text_.size() && whole.ends_with("\\G");
    if (end == text_.size() && !vertical) break;
    const std::string statement = vertical ? Trimmed(whole.substr(0, whole.size() - 2)) : whole;
    if (!IsBlank(statement)) complete.push_back({statement, vertical});
    text_.erase(0, vertical ? text_.size() : end + 1);
  }
  if (IsBlank(text_)) text_.clear();
  return complete;
}

std::vector<StatementBuffer::Complete> StatementBuffer::TakeRest() {
  const std::string rest = Trimmed(text_);
  text_.clear();
  if (IsBlank(rest)) return {};
  return {{rest, false}};
}

AdminClient::AdminClient(ClientRunner::Setup setup) : setup_(setup), runner_(std::move(setup)) {}

ExitCode AdminClient::RunAll(const std::vector<StatementBuffer::Complete>& statements) {
  for (const StatementBuffer::Complete& one : statements) {
    if (const ExitCode code = runner_.Run(one.statement, one.vertical); code != ExitCode::kOk)
      return code;
  }
  return ExitCode::kOk;
}

ExitCode AdminClient::RunStatements(const std::vector<std::string>& texts) {
  if (const ExitCode code = runner_.Connect(); code != ExitCode::kOk) return code;
  for (const std::string& text : texts) {
    StatementBuffer buffer;
    std::vector<StatementBuffer::Complete> statements = buffer.AddLine(text);
    for (StatementBuffer::Complete& rest : buffer.TakeRest()) statements.push_back(std::move(rest));
    if (const ExitCode code = RunAll(statements); code != ExitCode::kOk) return code;
  }
  return ExitCode::kOk;
}

ExitCode AdminClient::RunPipe(std::istream& in) {
  if (const ExitCode code = runner_.Connect(); code != ExitCode::kOk) return code;
  StatementBuffer buffer;
  std::string line;
  while (std::getline(in, line)) {
    if (const ExitCode code = RunAll(buffer.AddLine(line)); code != ExitCode::kOk) return code;
  }
  return RunAll(buffer.TakeRest());
}

// Keywords, tables, columns, and the names of what there is.
std::vector<std::string> AdminClient::Words() {
  std::vector<std::string> words;
  for (const Statement& statement : StatementList()) {
    for (const Token& token : Tokenize(statement.syntax).tokens) {
      if (token.kind == TokenKind::kWord && token.text == Upper(token.text))
        words.push_back(token.text);
    }
  }
  for (const Table& table : TableList()) {
    words.emplace_back(table.name);
    for (const Column& column : table.columns) words.emplace_back(column.name);
  }
  for (const char* table : {"backends", "shards"}) {
    for (std::string& name : runner_.Column("SELECT name FROM " + std::string(table)))
      words.push_back(std::move(name));
  }
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

ExitCode AdminClient::RunTerminal() {
  if (const ExitCode code = runner_.Connect(); code != ExitCode::kOk) return code;
  std::ostream& out = *setup_.out;
  out << "Bulkhead's admin listener (" << runner_.link().server_version() << "), connection "
      << runner_.link().id() << (runner_.link().encrypted() ? ", encrypted" : "") << ".\n"
      << kWelcome;
  LineEditor editor(HistoryFile(), Words());
  StatementBuffer buffer;
  std::string line;
  while (true) {
    out << std::flush;
    switch (editor.Read(std::string(buffer.empty() ? kPrompt : kGoesOn), &line)) {
      case LineEditor::Outcome::kEnd:
        out << '\n';
        return ExitCode::kOk;
      case LineEditor::Outcome::kInterrupted:
        buffer.Clear();
        out << "^C\n";
        continue;
      case LineEditor::Outcome::kLine:
        break;
    }
    if (buffer.empty() && Leaves(line)) return ExitCode::kOk;
    if (buffer.empty() && AsksForHelp(line)) line = "HELP;";
    for (const StatementBuffer::Complete& one : buffer.AddLine(line)) {
      if (!HoldsSecret(one.statement))
        editor.AddHistory(one.statement + (one.vertical ? "\\G" : ";"));
      (void)runner_.Run(one.statement, one.vertical);
    }
  }
}

}  // namespace bulkhead::admin
