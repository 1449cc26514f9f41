#include "proxy/admin/grammar.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "proxy/admin/values.h"
#include "proxy/config/option_list.h"
#include "proxy/config/values.h"

namespace bulkhead::admin {

namespace {

// --- the notation
// --------------------------------------------------------------------------------

struct Node {
  enum class Kind : uint8_t { kKeyword, kSign, kValue, kSequence, kOptional, kChoice, kRepeat };
  Kind kind = Kind::kSequence;
  std::string text;  // of a keyword or sign; the kind of a value
  std::vector<Node> children;
};

class NotationReader {
 public:
  explicit NotationReader(std::string_view notation) : rest_(notation) {}
  Node Sequence() {
    Node sequence;
    while (true) {
      const std::string_view word = Peek();
      if (word.empty() || word == "]" || word == "}" || word == "|") return sequence;
      sequence.children.push_back(Element());
    }
  }

 private:
  std::string_view Peek() {
    while (rest_.starts_with(' ')) rest_.remove_prefix(1);
    if (rest_.empty()) return {};
    if (rest_.starts_with("...")) return rest_.substr(0, 3);
    if (std::string_view("[]{}|=").find(rest_[0]) != std::string_view::npos)
      return rest_.substr(0, 1);
    if (rest_[0] == '<') return rest_.substr(0, rest_.find('>') + 1);
    return rest_.substr(0, rest_.find_first_of(" []{}|=."));
  }
  std::string_view Take() {
    const std::string_view word = Peek();
    rest_.remove_prefix(word.size());
    return word;
  }
  Node Element() {
    const std::string_view word = Take();
    Node node;
    if (word == "[") {
      node.kind = Node::Kind::kOptional;
      node.children.push_back(Sequence());
      Take();
    } else if (word == "{") {
      node.kind = Node::Kind::kChoice;
      do node.children.push_back(Sequence());
      while (Take() == "|");
      if (Peek() == "...") {
        Take();
        node.kind = Node::Kind::kRepeat;
      }
    } else if (word[0] == '<') {
      node.kind = Node::Kind::kValue;
      node.text = word.substr(1, word.size() - 2);
    } else {
      node.kind = word == "=" ? Node::Kind::kSign : Node::Kind::kKeyword;
      node.text = word;
    }
    return node;
  }

  std::string_view rest_;
};

struct Pattern {
  const Statement* statement;
  Node root;
  std::vector<std::string> keywords;
};

void CollectKeywords(const Node& node, std::vector<std::string>* keywords) {
  if (node.kind == Node::Kind::kKeyword) keywords->push_back(node.text);
  for (const Node& child : node.children) CollectKeywords(child, keywords);
}

const std::vector<Pattern>& Patterns() {
  static const auto* const patterns = [] {
    auto* all = new std::vector<Pattern>();
    for (const Statement& statement : StatementList()) {
      Pattern pattern{&statement, NotationReader(statement.syntax).Sequence(), {}};
      CollectKeywords(pattern.root, &pattern.keywords);
      all->push_back(std::move(pattern));
    }
    return all;
  }();
  return *patterns;
}

bool TakesRest(std::string_view kind) {
  return kind == "query" || kind == "condition" || kind == "topic";
}

// --- matching
// --------------------------------------------------------------------------------------

class Matcher {
 public:
  Matcher(std::string_view text, const std::vector<Token>& tokens) : text_(text), tokens_(tokens) {}

  MatchResult Run() {
    if (tokens_.front().kind == TokenKind::kEnd) {
      return Failed({.code = 1065, .message = "the statement is empty"});
    }
    // Statements that share their first words are told apart by the first that differs.
    std::vector<const Pattern*> candidates;
    for (const Pattern& pattern : Patterns()) candidates.push_back(&pattern);
    size_t depth = 0;
    while (candidates.size() > 1 || depth == 0) {
      std::vector<const Pattern*> next = WithKeyword(candidates, depth);
      if (next.empty()) {
        // One of them may go on with something else than a keyword.
        for (const Pattern* pattern : candidates) {
          if (LeadingKeyword(*pattern, depth) == nullptr) next = {pattern};
        }
        if (next.empty()) return Failed(ExpectedError(depth));
        candidates = std::move(next);
        break;
      }
      candidates = std::move(next);
      ++depth;
    }
    return Match(*candidates.front());
  }

 private:
  static const std::string* LeadingKeyword(const Pattern& pattern, size_t depth) {
    if (depth >= pattern.root.children.size()) return nullptr;
    const Node& node = pattern.root.children[depth];
    return node.kind == Node::Kind::kKeyword ? &node.text : nullptr;
  }

  std::vector<const Pattern*> WithKeyword(const std::vector<const Pattern*>& candidates,
                                          size_t depth) {
    std::vector<const Pattern*> next;
    const Token& token = tokens_[std::min(depth, tokens_.size() - 1)];
    at_ = std::min(depth, tokens_.size() - 1);
    for (const Pattern* pattern : candidates) {
      const std::string* keyword = LeadingKeyword(*pattern, depth);
      if (keyword == nullptr) continue;
      Expect(*keyword);
      if (token.Is(*keyword)) next.push_back(pattern);
    }
    return next;
  }

  MatchResult Match(const Pattern& pattern) {
    at_ = 0;
    pattern_ = &pattern;
    if (!MatchSequence(pattern.root)) {
      if (hard_error_.has_value()) return Failed(*hard_error_);
      return Failed(ExpectedError(furthest_));
    }
    if (tokens_[at_].kind != TokenKind::kEnd) {
      Expect("the end");
      return Failed(ExpectedError(at_));
    }
    MatchResult result;
    result.statement = pattern.statement;
    result.parts = std::move(parts_);
    return result;
  }

  bool MatchSequence(const Node& sequence) {
    const std::vector<Node>& children = sequence.children;
    for (size_t i = 0; i < children.size();) {
      if (children[i].kind != Node::Kind::kOptional) {
        if (!MatchNode(children[i])) return false;
        ++i;
        continue;
      }
      size_t end = i;
      while (end < children.size() && children[end].kind == Node::Kind::kOptional) ++end;
      std::vector<const Node*> options;
      for (; i < end; ++i) options.push_back(&children[i].children.front());
      if (!MatchSome(options)) return false;
    }
    return true;
  }

  // Any of them, in any order, each once.
  bool MatchSome(std::vector<const Node*> options) {
    while (!options.empty()) {
      const size_t chosen = Choose(options);
      if (chosen == options.size()) break;
      if (!MatchSequence(*options[chosen])) return false;
      options.erase(options.begin() + static_cast<ptrdiff_t>(chosen));
    }
    return !hard_error_.has_value();
  }

  // The one that begins here; where several begin with the same keyword, their second one decides.
  size_t Choose(const std::vector<const Node*>& options) {
    std::vector<size_t> starting;
    for (size_t i = 0; i < options.size(); ++i) {
      if (Starts(*options[i])) starting.push_back(i);
    }
    if (starting.empty()) return options.size();
    size_t chosen = starting.front();
    if (starting.size() == 1) return chosen;
    ++at_;
    for (const size_t i : starting) {
      const Node& second = options[i]->children[1];
      Expect(second.text);
      if (tokens_[at_].Is(second.text)) chosen = i;
    }
    --at_;
    return chosen;
  }

  bool MatchNode(const Node& node) {
    switch (node.kind) {
      case Node::Kind::kKeyword:
        return MatchKeyword(node);
      case Node::Kind::kSign:
        Expect(node.text);
        if (!tokens_[at_].IsSign(node.text[0])) return false;
        ++at_;
        return true;
      case Node::Kind::kValue:
        return MatchValue(node.text);
      case Node::Kind::kSequence:
      case Node::Kind::kOptional:
        return MatchSequence(node);
      case Node::Kind::kChoice:
        for (const Node& child : node.children) {
          if (Starts(child)) return MatchSequence(child);
        }
        return false;
      case Node::Kind::kRepeat: {
        const size_t begin = at_;
        std::vector<const Node*> options;
        for (const Node& child : node.children) options.push_back(&child);
        return MatchSome(std::move(options)) && at_ > begin;
      }
    }
    return false;
  }

  bool MatchKeyword(const Node& node) {
    Expect(node.text);
    if (!tokens_[at_].Is(node.text)) return false;
    parts_.push_back({.is_keyword = true, .text = node.text, .position = tokens_[at_].begin});
    ++at_;
    return true;
  }

  // Whether a sequence can begin with the present token.
  bool Starts(const Node& sequence) {
    const Node& first = sequence.children.front();
    switch (first.kind) {
      case Node::Kind::kKeyword:
        Expect(first.text);
        return tokens_[at_].Is(first.text);
      case Node::Kind::kValue:
        Expect("<" + first.text + ">");
        return IsValue(first.text, tokens_[at_]);
      case Node::Kind::kChoice: {
        bool starts = false;  // asks each: all of them were expected
        for (const Node& child : first.children) starts |= Starts(child);
        return starts;
      }
      default:
        return Starts(first);
    }
  }

  // A keyword of the statement itself is no name unless it is quoted.
  [[nodiscard]] bool IsValue(std::string_view kind, const Token& token) const {
    if (TakesRest(kind)) return token.kind != TokenKind::kEnd;
    if (kind == "backends" && token.IsSign('(')) return true;
    if (!token.IsText()) return false;
    if (token.kind != TokenKind::kWord) return true;
    const std::string upper = Upper(token.text);
    return std::find(pattern_->keywords.begin(), pattern_->keywords.end(), upper) ==
           pattern_->keywords.end();
  }

  bool MatchValue(const std::string& kind) {
    const Token& token = tokens_[at_];
    Expect("<" + kind + ">");
    if (!IsValue(kind, token)) return false;
    if (TakesRest(kind)) {
      const size_t end = tokens_.back().end;
      parts_.push_back({.text = std::string(text_.substr(token.begin, end - token.begin)),
                        .position = token.begin});
      at_ = tokens_.size() - 1;
      return true;
    }
    if (kind == "backends") return MatchList();
    if (!Check(kind, token)) return false;
    parts_.push_back({.text = token.text, .position = token.begin});
    ++at_;
    return true;
  }

  bool MatchList() {
    Matched list;
    list.position = tokens_[at_].begin;
    const bool brackets = tokens_[at_].IsSign('(');
    if (brackets) ++at_;
    while (true) {
      const Token& token = tokens_[at_];
      Expect("<backend>");
      if (!IsValue("backend", token) || !Check("backend", token)) return false;
      list.list.push_back(token.text);
      ++at_;
      if (!tokens_[at_].IsSign(',')) break;
      ++at_;
    }
    if (brackets) {
      Expect(")");
      if (!tokens_[at_].IsSign(')')) return false;
      ++at_;
    }
    parts_.push_back(std::move(list));
    return true;
  }

  bool Check(std::string_view kind, const Token& token) {
    std::string problem = ValueProblem(kind, token);
    if (problem.empty()) return true;
    hard_error_ = StatementError{
        .code = 1210,
        .message = problem + NearText(text_, token.begin) + SuggestionFor(token),
        .position = token.begin,
    };
    return false;
  }

  void Expect(std::string_view what) {
    if (at_ < furthest_) return;
    if (at_ > furthest_) expected_.clear();
    furthest_ = at_;
    if (std::find(expected_.begin(), expected_.end(), what) == expected_.end())
      expected_.emplace_back(what);
  }

  StatementError ExpectedError(size_t at) {
    const Token& token = tokens_[std::min(at, tokens_.size() - 1)];
    const size_t position = token.kind == TokenKind::kEnd ? text_.size() : token.begin;
    std::string message = "syntax error" + NearText(text_, position) + ": ";
    if (at == 0) {
      message += "no statement begins so";
    } else {
      message += "expected ";
      for (size_t i = 0; i < expected_.size(); ++i) {
        if (i > 0) message += i + 1 == expected_.size() ? " or " : ", ";
        message += expected_[i];
      }
    }
    message += SuggestionFor(token);
    if (at == 0) message += "; HELP lists the statements";
    return {.message = std::move(message), .position = position};
  }

  // Of what was expected in its place.
  [[nodiscard]] std::string SuggestionFor(const Token& token) const {
    if (token.kind != TokenKind::kWord) return {};
    return Suggestion(Upper(token.text), {expected_.begin(), expected_.end()});
  }

  static MatchResult Failed(StatementError error) {
    MatchResult result;
    result.error = std::move(error);
    return result;
  }

  const std::string_view text_;
  const std::vector<Token>& tokens_;
  const Pattern* pattern_ = nullptr;
  size_t at_ = 0;
  size_t furthest_ = 0;
  std::vector<std::string> expected_;
  std::optional<StatementError> hard_error_;
  std::vector<Matched> parts_;
};

}  // namespace

std::string Suggestion(std::string_view word, const std::vector<std::string_view>& known) {
  const std::string_view nearest = config::NearestKey(word, known);
  return nearest.empty() ? "" : "; did you mean " + std::string(nearest) + "?";
}

std::string ValueProblem(std::string_view kind, const Token& token) {
  const std::string quoted = "'" + token.text + "'";
  if (token.text.empty() && kind != "value" && kind != "pattern") return "a name can't be empty";
  if (kind == "duration" && !ParseDuration(token.text).has_value())
    return quoted + " is no duration: write '30s', '500ms', '5m' or seconds";
  if (kind == "number" && !config::ParseNumber(token.text).has_value())
    return quoted + " is no whole number";
  if (kind == "size" && !ParseSize(token.text).has_value())
    return quoted + " is no size: write '64MiB' or bytes";
  if (kind == "slots" && !ParseSlots(token.text).has_value())
    return quoted + " is no range of slots: write 0..1023, at most 4095";
  if (kind == "address" && !ParseAddress(token.text).has_value())
    return quoted + " is no address: write 'host:port' or 'unix:/path'";
  if (kind == "tenant") return TenantProblem(token.text);
  return {};
}

bool BeginsStatement(const Token& word) {
  return std::any_of(StatementList().begin(), StatementList().end(), [&](const Statement& s) {
    return word.Is(s.syntax.substr(0, s.syntax.find(' ')));
  });
}

const Matched* MatchResult::Find(std::string_view keyword) const {
  for (const Matched& part : parts) {
    if (part.is_keyword && part.text == keyword) return &part;
  }
  return nullptr;
}

const Matched& MatchResult::After(std::string_view keyword) const {
  static const Matched kNothing;
  const Matched* found = Find(keyword);
  if (found == nullptr || found == &parts.back()) return kNothing;
  return found[1];
}

std::optional<std::string> MatchResult::TextAfter(std::string_view keyword) const {
  if (!Has(keyword)) return std::nullopt;
  return After(keyword).text;
}

MatchResult MatchStatement(std::string_view text, const TokenList& tokens) {
  return Matcher(text, tokens.tokens).Run();
}

}  // namespace bulkhead::admin
