#include "proxy/admin/statement.h"

#include <algorithm>
#include <utility>

#include "proxy/admin/tables.h"

namespace bulkhead::admin {

namespace {

constexpr size_t kMostLogged = 1024;

bool BeginsQuery(const Token& token) {
  return token.Is("SELECT") || token.Is("WITH") || token.Is("VALUES") || token.IsSign('(');
}

StatementMeaning MakeShow(const MatchResult& match) {
  const bool full = match.Has("FULL");
  const Table& table = *FindTable(Lower(match.parts[full ? 2 : 1].text));
  std::string sql = "SELECT " + ShowColumns(table, full) + " FROM " + std::string(table.name);
  std::string condition;
  if (match.Has("LIKE")) {
    condition =
        std::string(table.columns.front().name) + " LIKE " + SqlLiteral(match.After("LIKE").text);
  }
  if (match.Has("WHERE")) {
    condition += (condition.empty() ? "(" : " AND (") + match.After("WHERE").text + "\n)";
  }
  if (!condition.empty()) sql += " WHERE " + condition;
  return ReadQuery{std::move(sql)};
}

StatementMeaning MakeDescribe(const MatchResult& match) {
  const Matched& name = match.parts[1];
  const size_t dot = name.text.rfind('.');
  const std::string table = Lower(dot == std::string::npos ? name.text : name.text.substr(dot + 1));
  if (FindTable(table) != nullptr) {
    return ReadQuery{
        "SELECT column_name AS Field, column_type AS Type, column_comment AS Comment "
        "FROM information_schema.columns WHERE table_schema = 'bulkhead' AND "
        "table_name = " +
        SqlLiteral(table) + " ORDER BY ordinal_position"};
  }
  return StatementError{
      .code = 1146,
      .message = "there is no table '" + name.text + "'" + Suggestion(table, TableNames()),
      .position = name.position};
}

StatementMeaning MakeMeaning(const MatchResult& match) {
  switch (match.statement->verb) {
    case Verb::kShow:
      return MakeShow(match);
    case Verb::kDescribe:
      return MakeDescribe(match);
    case Verb::kExplainRoute:
      return ExplainRoute{match.After("TENANT").text, match.TextAfter("FOR")};
    case Verb::kHelp:
      return GetHelp{match.parts.size() > 1 ? match.parts[1].text : std::string()};
    default:
      return MakeCommand(match);
  }
}

bool IsSecretWord(const Token& token) {
  if (token.kind != TokenKind::kWord && token.kind != TokenKind::kName) return false;
  const std::string word = Lower(token.text);
  return word.find("password") != std::string::npos || word.find("secret") != std::string::npos ||
         word.find("token") != std::string::npos || word == "key" || word.ends_with("_key") ||
         word.ends_with(".key") || word == "identified";
}

// With the literals behind secret words replaced, and those that are statements with such words
// themselves (EXPLAIN ROUTE ... FOR 'CREATE USER ...'). `inside`: this is one of those.
std::string WithoutSecrets(std::string_view statement, bool inside = false) {
  const TokenList list = Tokenize(statement);
  if (list.error.has_value()) {
    // Where it can't be read, nobody knows where a secret ends.
    const std::string lower = Lower(statement);
    for (const std::string_view word : {"password", "secret", "token", "identified", "key"}) {
      const size_t at = lower.find(word);
      if (at != std::string::npos) return std::string(statement.substr(0, at)) + "***";
    }
    return std::string(statement);
  }
  std::string result;
  size_t copied = 0;
  bool secret = false;
  for (const Token& token : list.tokens) {
    const bool value = token.kind == TokenKind::kString ||
                       (token.kind == TokenKind::kWord && !token.Is("BY") && !token.Is("AS") &&
                        !token.Is("WITH") && !token.Is("TO"));
    const bool holds_secret = !inside && token.kind == TokenKind::kString &&
                              token.text.find(' ') != std::string::npos &&
                              WithoutSecrets(token.text, true) != token.text;
    if ((secret && value) || holds_secret) {
      result += statement.substr(copied, token.begin - copied);
      result += "'***'";
      copied = token.end;
      secret = IsSecretWord(token);
      continue;
    }
    if (IsSecretWord(token)) secret = true;
  }
  result += statement.substr(copied);
  return result;
}

}  // namespace

ParsedStatement ParseStatement(std::string_view text) {
  const TokenList tokens = Tokenize(text);
  if (tokens.error.has_value()) {
    StatementError error = *tokens.error;
    error.message = "syntax error" + NearText(text, error.position) + ": " + error.message;
    return {std::move(error)};
  }
  if (BeginsQuery(tokens.tokens.front())) return {ReadQuery{std::string(text)}};
  if (std::optional<StatementMeaning> meaning = ClientStatement(tokens); meaning.has_value())
    return {*std::move(meaning)};
  MatchResult match = MatchStatement(text, tokens);
  if (match.statement == nullptr) return {std::move(match.error)};
  StatementMeaning meaning = MakeMeaning(match);
  const bool changes =
      match.statement->changes && std::holds_alternative<control::OperatorCommand>(meaning);
  return {std::move(meaning), changes};
}

std::string SqlLiteral(std::string_view text) {
  std::string literal = "'";
  for (const char c : text) {
    if (c == '\0') continue;  // SQLite's texts end there
    if (c == '\'' || c == '\\') literal += c;
    literal += c;
  }
  return literal + "'";
}

std::string ForLog(std::string_view statement) {
  std::string clean = WithoutSecrets(statement.substr(0, kMaxStatement));
  const bool cut = clean.size() > kMostLogged;
  if (cut) clean.resize(kMostLogged);
  std::string result;
  for (const char c : clean) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f') {
      if (result.empty() || result.back() != ' ') result += ' ';
    } else {
      result += c;
    }
  }
  return cut ? result + "..." : result;
}

}  // namespace bulkhead::admin
