// The list of all admin statements: what the grammar takes, what HELP and the documentation say,
// what the tests try.
//
// Purpose: one list. The parser is made from `syntax` itself, so that help can't differ from it.
// docs/OPERATIONS.md holds StatementTable(), and a test compares them.
// Notation: WORD a keyword, <x> a value, [x] may be left out (those in a row come in any order),
// {x | y} one of them, {x | y}... one or more of them, each once.
// Thread: constants; any.
#ifndef BULKHEAD_PROXY_ADMIN_STATEMENT_LIST_H_
#define BULKHEAD_PROXY_ADMIN_STATEMENT_LIST_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead::admin {

enum class Verb : uint8_t {
  kShow,
  kSelect,
  kDescribe,
  kExplainRoute,
  kHelp,
  kHoldShard,
  kHoldTenant,
  kRejectShard,
  kRejectTenant,
  kReleaseShard,
  kReleaseTenant,
  kMarkBackend,
  kDrainBackend,
  kDisableBackend,
  kEnableBackend,
  kSwitchover,
  kFailover,
  kCancelOperation,
  kCreateBackend,
  kAlterBackend,
  kDropBackend,
  kCreateShard,
  kAlterShard,
  kDropShard,
  kCreateTenant,
  kAlterTenant,
  kDropTenant,
  kAssignTenant,
  kAssignSlots,
  kKill,
  kLimitTenant,
  kSet,
  kReloadConfig,
  kShutdown,
  kDrillHang,
};

struct Statement {
  Verb verb;
  std::string_view name;  // what HELP calls it: its leading keywords
  std::string_view syntax;
  std::string_view help;
  std::string_view example;
  // A wrong form, and what its error says.
  std::string_view mistake;
  std::string_view complaint;
  bool changes = true;  // refused to read_only users
};

[[nodiscard]] std::span<const Statement> StatementList();
[[nodiscard]] const Statement& StatementOf(Verb verb);
// The table of docs/OPERATIONS.md, in Markdown.
[[nodiscard]] std::string StatementTable();

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_STATEMENT_LIST_H_
