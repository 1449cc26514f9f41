#include "proxy/admin/help.h"

#include <algorithm>
#include <utility>

#include "proxy/admin/grammar.h"
#include "proxy/admin/tables.h"

namespace bulkhead::admin {

namespace {

// "DRAIN BACKEND" of "drain  backend;", with quotes taken away.
std::string Topic(std::string_view topic) {
  std::string words;
  for (const Token& token : Tokenize(topic).tokens) {
    if (!token.IsText()) continue;
    if (!words.empty()) words += ' ';
    words += Upper(token.text);
  }
  return words;
}

// Whether a statement's words or alternatives hold this one: HELP BACKENDS finds SHOW.
bool Mentions(const Statement& statement, std::string_view word) {
  const std::string_view syntax = statement.syntax;
  for (size_t at = syntax.find(word); at != std::string_view::npos;
       at = syntax.find(word, at + 1)) {
    const bool begins =
        at == 0 || std::string_view(" {[").find(syntax[at - 1]) != std::string_view::npos;
    const size_t end = at + word.size();
    const bool ends =
        end == syntax.size() || std::string_view(" }]").find(syntax[end]) != std::string_view::npos;
    if (begins && ends) return true;
  }
  return false;
}

// Broken at spaces, so that a terminal of 80 columns shows whole words; `indent` begins each line.
std::string Wrapped(std::string_view text, std::string_view indent) {
  constexpr size_t kWidth = 76;
  std::string lines;
  while (!text.empty()) {
    size_t end = text.size();
    if (indent.size() + end > kWidth) {
      end = text.rfind(' ', kWidth - indent.size());
      if (end == std::string_view::npos || end == 0) end = std::min(text.find(' '), text.size());
    }
    lines += std::string(indent) + std::string(text.substr(0, end)) + "\n";
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::vector<std::string> Row(const Statement& statement) {
  return {std::string(statement.name),
          "Syntax:\n" + Wrapped(statement.syntax, "  ") + "\n" + Wrapped(statement.help, ""),
          "  " + std::string(statement.example) + "\n"};
}

}  // namespace

HelpAnswer Help(std::string_view topic) {
  const std::string wanted = Topic(topic);
  HelpAnswer answer;
  const bool all = wanted.empty() || wanted == "CONTENTS" || wanted == "%" || wanted == "HELP ME";
  std::vector<const Statement*> found;
  for (const Statement& statement : StatementList()) {
    if (statement.name == wanted) {
      found = {&statement};
      break;
    }
    if (all || statement.name.starts_with(wanted + " ")) found.push_back(&statement);
  }
  if (found.empty()) {
    for (const Statement& statement : StatementList()) {
      if (Mentions(statement, wanted)) found.push_back(&statement);
    }
  }
  if (found.size() == 1) {
    answer.columns = {"name", "description", "example"};
    answer.rows.push_back(Row(*found.front()));
    return answer;
  }
  if (all) {
    answer.columns = {"statement", "what"};
    for (const Statement* statement : found) {
      const std::string_view help = statement->help;
      answer.rows.push_back(
          {std::string(statement->syntax), std::string(help.substr(0, help.find_first_of(".;:")))});
    }
    return answer;
  }
  if (!found.empty()) {
    answer.columns = {"name", "is_it_category"};
    for (const Statement* statement : found)
      answer.rows.push_back({std::string(statement->name), "N"});
    return answer;
  }
  std::vector<std::string_view> names;
  for (const Statement& statement : StatementList()) names.push_back(statement.name);
  std::string suggestion = Suggestion(wanted, names);
  if (suggestion.empty()) {
    // Its first word alone may be near the first word of one.
    for (const std::string_view name : names) {
      const std::string_view first = name.substr(0, name.find(' '));
      if (suggestion.empty() && !Suggestion(wanted, {first}).empty())
        suggestion = "; did you mean " + std::string(name) + "?";
    }
  }
  answer.error = StatementError{.message = "there is no statement '" + wanted + "'" + suggestion +
                                           "; HELP alone lists them"};
  return answer;
}

}  // namespace bulkhead::admin
