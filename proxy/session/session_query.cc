// SQL texts: what a statement sets and leaves behind, and where it goes.

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "proxy/session/session.h"
#include "proxy/wire/capabilities.h"
#include "proxy/wire/result_set.h"

namespace bulkhead::session {

namespace {

using sql::Assignment;
using sql::StatementKind;

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](unsigned char x, unsigned char y) {
           return std::tolower(x) == std::tolower(y);
         });
}

// Anywhere in the text, also inside a string: used only where a false yes is the careful answer.
bool Mentions(std::string_view text, std::string_view word) {
  return std::search(text.begin(), text.end(), word.begin(), word.end(),
                     [](unsigned char x, unsigned char y) {
                       return std::tolower(x) == std::tolower(y);
                     }) != text.end();
}

std::string_view AsText(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

const sql::LexerMode& Session::lexer_mode() {
  const ReadingDefaults* defaults = context_->states->defaults().Of(target_.backend);
  if (lexer_mode_of_ != state_vector_ || lexer_defaults_ != defaults) {
    static const ReadingDefaults kNone;
    const auto& [sql_mode, charset] = defaults == nullptr ? kNone : *defaults;
    lexer_mode_ = LexerModeOf(*state_vector_, context_->server_family, context_->server_version,
                              sql_mode, charset);
    lexer_mode_of_ = state_vector_;
    lexer_defaults_ = defaults;
  }
  return lexer_mode_;
}

// The command was read before anything was known of this connection's server, which reads texts in
// another way: read and routed once more. True: that was done.
bool Session::ReadAgain(std::span<uint8_t> head) {
  const bool is_text =
      request_.command == wire::Command::kQuery || request_.command == wire::Command::kStmtPrepare;
  if (!is_text || request_.uses_schema || request_.read_again) return false;
  const sql::LexerMode before = lexer_mode_;
  if (lexer_mode() == before) return false;
  std::vector<uint8_t> kept(head.begin(), head.end());  // `head` may be held_ itself
  held_ = {};
  effects_.reset();
  request_.flags = 0;
  request_.statement_id = 0;
  request_.pin_before.reset();
  request_.pin_is_new = false;
  request_.read_again = true;
  state_ = State::ExpectCommand;
  EndRelease(/*answered=*/false);  // it may belong to another shard
  KeepOrGiveBack();
  Dispatch(kept);
  return true;
}

void Session::OnQuery(std::span<uint8_t> head) {
  const std::span<const uint8_t> payload =
      std::span<const uint8_t>(head).subspan(wire::kFrameHeaderSize);
  std::string_view text;
  const bool truncated = IsLong();
  if ((login_.capabilities & wire::kClientQueryAttributes) != 0) {
    size_t offset = 0;
    if (wire::FindQueryText(payload, login_.capabilities, &offset) != wire::DecodeError::kNone) {
      // MySQL, the only one with attributes, keeps the session.
      AnswerError(
          MakeError(wire::ClientError::kMalformedPacket, "Malformed communication packet."));
      return;
    }
    text = AsText(payload.subspan(offset));
  } else {
    text = AsText(payload.subspan(1));
  }
  const sql::StatementInfo info = sql::Analyze(text, lexer_mode(), truncated);
  request_.grammar = ResponseGrammar::kQuery;
  request_.kind = info.kind;
  request_.flags = info.flags;
  if (info.kind == StatementKind::kBegin) NoteBegin(info, text);
  if (std::optional<RouterError> error = RefuseMultiStatement(info); error.has_value()) {
    AnswerError(*error);
    return;
  }
  if (info.kind == StatementKind::kUse && !info.Has(sql::kMultiStatement)) {
    OnUseSchema(info.schema_name, head);
    return;
  }
  if (info.kind == StatementKind::kKill) {
    if (info.kill_id_is_literal) {
      OnKill(info.kill_id, info.kill_query_only);
    } else {
      AnswerError(MakeError(wire::ClientError::kNotSupportedYet, kKillAlone));
    }
    return;
  }
  if (!info.assignments.empty() && HandleTenantAssignment(info)) return;
  if (info.Has(sql::kReadsWarnings) && AnswerDiagnosticsLocally(info)) return;
  if (info.Has(sql::kReadsConnectionId | sql::kReadsRowCount | sql::kReadsFoundRows) &&
      AnswerNumberLocally(info, text)) {
    return;
  }
  if (info.kind != StatementKind::kSet && info.Has(sql::kWritesUserVariable) &&
      Mentions(text, "@tenant")) {
    AnswerError(MakeError(
        wire::ClientError::kTenantChangeRefused,
        "@tenant is set by SET @tenant = 'name' alone, with a literal or a bound parameter"));
    return;
  }
  CollectEffects(info, text);
  RouteText(info, head);
}

// What would reach the server past the router's own understanding of it: a KILL of a thread that
// may serve another tenant, and a USE of a schema that has another name there.
std::optional<RouterError> Session::RefuseMultiStatement(const sql::StatementInfo& info) const {
  if (!info.Has(sql::kMultiStatement)) return std::nullopt;
  const auto has = [&](StatementKind kind) {
    return info.kind == kind || (info.later_kinds & 1u << static_cast<uint32_t>(kind)) != 0;
  };
  if (has(StatementKind::kKill)) return MakeError(wire::ClientError::kNotSupportedYet, kKillAlone);
  if (!has(StatementKind::kUse) || tenant().empty()) return std::nullopt;
  const routing::LookupResult where = context_->topology->FindTenant(tenant());
  for (const std::string& schema : info.schemas) {
    if (!routing::PhysicalDatabase(*context_->rules, tenant(), where, schema).mapped) continue;
    return MakeError(wire::ClientError::kTenantChangeRefused,
                     "USE stands alone in its statement where schemas have other names on the "
                     "backends (physical_database)");
  }
  return std::nullopt;
}

// A plain BEGIN can be said again where its connection goes before anything was done in it.
void Session::NoteBegin(const sql::StatementInfo& info, std::string_view text) {
  const bool plain = !info.Has(sql::kConsistentSnapshot | sql::kMultiStatement) && !IsLong() &&
                     !pins_.HoldsState();
  begin_text_.assign(plain ? text : std::string_view());
}

// DDL, and what may run some that is not seen here: stored code and prepared text.
bool Session::MayMakeTables(const sql::StatementInfo& info) {
  return std::ranges::any_of(
      std::array{StatementKind::kDdl, StatementKind::kCall, StatementKind::kExecuteText},
      [&](StatementKind kind) {
        return info.kind == kind || (info.later_kinds & 1u << static_cast<uint32_t>(kind)) != 0;
      });
}

// Where the text goes, by its tenant; refused where the tenant is missing, unknown or another's.
void Session::RouteText(const sql::StatementInfo& info, std::span<uint8_t> head) {
  hint_tenant_.assign(info.tenant_hint);
  RouteTarget target;
  std::optional<std::string> hint_schema;
  if (std::optional<RouterError> error =
          tenant_.Resolve(*context_, login_, info, InTransaction(), &target, &hint_schema);
      error.has_value()) {
    AnswerError(*error);
    return;
  }
  wanted_ = hint_schema.has_value() ? context_->states->WithSchema(state_vector_, *hint_schema)
                                    : state_vector_;
  request_.unknown_tables = info.kind == StatementKind::kDml && !TablesKnown(target, info);
  request_.may_make_tables = MayMakeTables(info);
  request_.for_tenant = !target.any_backend;
  Place(target, head);
}

// `SET @tenant = 'acme'` alone is the router's own. True: answered.
bool Session::HandleTenantAssignment(const sql::StatementInfo& info) {
  const Assignment* found = nullptr;
  for (const Assignment& assignment : info.assignments) {
    if (assignment.target == Assignment::Target::kUserVariable && assignment.name == "tenant")
      found = &assignment;
  }
  if (found == nullptr) return false;
  std::string tenant;
  const bool literal = found->value_kind == Assignment::Value::kString
                           ? sql::DecodeStringLiteral(found->value, lexer_mode(), &tenant)
                           : found->value_kind == Assignment::Value::kNull;
  if (!literal || info.assignments.size() > 1 || info.Has(sql::kMultiStatement)) {
    AnswerError(MakeError(wire::ClientError::kTenantChangeRefused,
                          literal ? "SET @tenant must stand alone in its statement"
                                  : "@tenant takes a string literal, a bound parameter or NULL"));
    return true;
  }
  ChangeTenant(tenant);
  return true;
}

void Session::ChangeTenant(const std::string& tenant) {
  if (std::optional<RouterError> error =
          tenant_.SetVariable(*context_, login_, tenant, pins_.HoldsState());
      error.has_value()) {
    AnswerError(*error);
    return;
  }
  state_vector_ = context_->states->WithSchema(state_vector_, tenant_.PhysicalSchema(*context_));
  AnswerOk();
}

// The reason to keep the connection after this text, if there is one that is known from the text
// alone.
std::optional<Pin> Session::PinOf(const sql::StatementInfo& info) {
  if (info.Has(sql::kMultiStatement)) return Pin::kMultiStatement;
  if (info.Has(sql::kWritesUserVariable)) return Pin::kUserVariable;
  if (info.Has(sql::kUnknownFunction)) return Pin::kRoutine;
  switch (info.kind) {
    case StatementKind::kCall:
      return Pin::kRoutine;
    case StatementKind::kExecuteText:
      return Pin::kTextPrepare;
    case StatementKind::kXa:
      return Pin::kXa;
    case StatementKind::kOther:
      return Pin::kUnknownStatement;
    case StatementKind::kEmpty:
    case StatementKind::kSelect:
    case StatementKind::kDml:
    case StatementKind::kDdl:
    case StatementKind::kBegin:
    case StatementKind::kCommit:
    case StatementKind::kRollback:
    case StatementKind::kSavepoint:
    case StatementKind::kSet:
    case StatementKind::kUse:
    case StatementKind::kShow:
    case StatementKind::kKill:
    case StatementKind::kDo:
    case StatementKind::kPrepareText:
    case StatementKind::kDeallocateText:
    case StatementKind::kLockTables:
    case StatementKind::kUnlockTables:
    case StatementKind::kHandler:
    case StatementKind::kAdmin:
      return std::nullopt;
  }
  return std::nullopt;
}

// What the statement changes if the server says OK.
void Session::CollectEffects(const sql::StatementInfo& info, std::string_view text) {
  request_.pin_before = PinOf(info);
  Effects effects;
  bool any = false;
  const auto pin_on_ok = [&](Pin pin) { effects.pin = pin, any = true; };
  if (info.Has(sql::kCreatesTempTable)) pin_on_ok(Pin::kTemporaryTable);
  if (info.Has(sql::kUsesLockFunction) || info.kind == StatementKind::kLockTables)
    pin_on_ok(Pin::kLock);
  if (info.kind == StatementKind::kPrepareText) pin_on_ok(Pin::kTextPrepare);
  if (info.kind == StatementKind::kHandler) pin_on_ok(Pin::kHandler);
  if (info.kind == StatementKind::kUnlockTables) effects.unlocks_tables = true, any = true;
  if (info.kind == StatementKind::kSet || !info.assignments.empty()) {
    any = true;
    const SetEffect set =
        ApplySet(state_vector_, info, lexer_mode(), context_->server_family, context_->states);
    if (set.kind != SetEffect::Kind::kNothing && set.state != state_vector_)
      effects.state = set.state;
    if (set.kind == SetEffect::Kind::kPin) effects.pin = set.pin;
    effects.last_insert_id = set.last_insert_id;
    if (info.kind == StatementKind::kSet && info.assignments.size() > 1)
      effects.pin_on_error = Pin::kFailedSet;
  }
  if (info.Has(sql::kUsesLockFunction | sql::kCreatesTempTable | sql::kDropsTempTable)) {
    any = true;
    CollectLockEffects(info, text, &effects);
  }
  if (any) effects_ = std::make_unique<Effects>(std::move(effects));
}

// What ends a pin: all named locks given back, and each temporary table dropped that was made.
void Session::CollectLockEffects(const sql::StatementInfo& info, std::string_view text,
                                 Effects* effects) {
  if (info.Has(sql::kUsesLockFunction)) {
    effects->locks = std::make_unique<sql::LockCalls>(sql::FindLockCalls(text, lexer_mode()));
    // MySQL's locking service: RELEASE_ALL_LOCKS() leaves its locks.
    if (Mentions(text, "service_")) effects->pin = Pin::kRoutine;
    // An error may come behind a call that has taken its lock.
    if (effects->locks->calls.size() != 1) effects->pin_on_error = Pin::kLock;
  }
  if (!info.Has(sql::kCreatesTempTable | sql::kDropsTempTable)) return;
  // IF [NOT] EXISTS and OR REPLACE leave open what was there before.
  if (Mentions(text, "EXISTS") || Mentions(text, "REPLACE") || info.Has(sql::kMultiStatement)) {
    effects->uncounted_temporary_tables = true;
  } else if (info.Has(sql::kCreatesTempTable)) {
    effects->temporary_tables = 1;
  } else {
    effects->temporary_tables = -1 - static_cast<int>(std::count(text.begin(), text.end(), ','));
  }
}

// SELECT CONNECTION_ID() has the id that the client was given at login, and ROW_COUNT() and
// FOUND_ROWS() are known here where the connection that knows them went to another session. True:
// answered.
bool Session::AnswerNumberLocally(const sql::StatementInfo& info, std::string_view text) {
  const bool lost = link_ == nullptr || link_is_new_;
  std::string_view expression = text;
  constexpr std::string_view kSelect = "SELECT ";
  const bool bare = expression.size() > kSelect.size() &&
                    EqualsIgnoreCase(expression.substr(0, kSelect.size()), kSelect);
  if (bare) expression.remove_prefix(kSelect.size());
  while (!expression.empty() &&
         (expression.back() == ';' || expression.back() == ' ' || expression.back() == '\n')) {
    expression.remove_suffix(1);
  }
  std::optional<std::string> value;
  bool is_unsigned = true;
  if (bare && EqualsIgnoreCase(expression, "CONNECTION_ID()")) {
    value = std::to_string(login_.connection_id);
  } else if (bare && lost && EqualsIgnoreCase(expression, "ROW_COUNT()")) {
    value = std::to_string(row_count_);
    is_unsigned = false;
  } else if (bare && lost && found_rows_.has_value() &&
             EqualsIgnoreCase(expression, "FOUND_ROWS()")) {
    value = std::to_string(*found_rows_);
    is_unsigned = false;
  }
  if (!value.has_value()) {
    if (!lost || !info.Has(sql::kReadsRowCount | sql::kReadsFoundRows)) return false;
    AnswerErrorAndClose(MakeError(wire::ClientError::kStateLost), Outcome::kStateLost);
    return true;
  }
  std::vector<uint8_t>& out = context_->scratch;
  out.clear();
  wire::ResultSetWriter writer(&out, static_cast<uint8_t>(request_.last_sequence + 1),
                               login_.capabilities, status_);
  wire::ColumnDefinition column = wire::NumberColumn(expression, is_unsigned);
  column.collation = wire::kCollationBinary;
  writer.Begin({column});
  writer.Row({std::string_view(*value)});
  writer.End();
  shell_->SendToClient(out);
  row_count_ = -1;
  found_rows_ = 1;
  FinishCommand(Outcome::kOk);
  return true;
}

// SHOW WARNINGS and the like after the connection that knows them went to another session. True:
// answered.
bool Session::AnswerDiagnosticsLocally(const sql::StatementInfo& info) {
  if (link_ != nullptr) return false;
  if (!info.Has(sql::kShowWarningsExactly)) {
    if (saved_ == nullptr) return false;  // a connection without warnings will say the same
    AnswerErrorAndClose(MakeError(wire::ClientError::kStateLost), Outcome::kStateLost);
    return true;
  }
  if (saved_ != nullptr) {
    shell_->SendToClient(saved_->warnings);
  } else {
    std::vector<uint8_t>& out = context_->scratch;
    out.clear();
    wire::ResultSetWriter writer(&out, static_cast<uint8_t>(request_.last_sequence + 1),
                                 login_.capabilities, status_);
    writer.Begin(
        {wire::TextColumn("Level"), wire::NumberColumn("Code", true), wire::TextColumn("Message")});
    writer.End();
    shell_->SendToClient(out);
  }
  FinishCommand(Outcome::kOk);
  return true;
}

// USE and COM_INIT_DB: the schema may name the tenant, and may stand for a physical one.
void Session::OnUseSchema(std::string_view schema, std::span<uint8_t> head) {
  TenantBinding changed = tenant_;
  std::string physical;
  RouteTarget target;
  if (std::optional<RouterError> error =
          changed.UseSchema(*context_, login_, schema, pins_.HoldsState(), &physical, &target);
      error.has_value()) {
    AnswerError(*error);
    return;
  }
  auto effects = std::make_unique<Effects>();
  effects->state = context_->states->WithSchema(state_vector_, physical);
  effects->tenant = std::move(changed);
  effects_ = std::move(effects);
  wanted_ = state_vector_;
  request_.uses_schema = true;
  request_.for_tenant = !target.any_backend;
  if (request_.command == wire::Command::kInitDb) request_.grammar = ResponseGrammar::kSimple;
  if (physical == schema) {
    Place(target, head);
    return;
  }
  // The server is asked for the physical name; its answer is the same for both forms of the
  // command.
  std::vector<uint8_t> rewritten;
  wire::PacketWriter writer(&rewritten, 0);
  writer.Append([&](wire::ByteWriter* out) {
    out->WriteU8(static_cast<uint8_t>(wire::Command::kInitDb));
    out->WriteText(physical);
  });
  request_.grammar = ResponseGrammar::kSimple;
  Place(target, rewritten);
}

void Session::OnKill(uint64_t id, bool query_only) {
  state_ = State::ExpectKill;
  shell_->Kill(id, query_only);
}

void Session::OnKillDone(bool found, uint64_t id) {
  state_ = State::ExpectCommand;
  if (found) {
    AnswerOk();
  } else {
    AnswerError(
        MakeError(wire::ClientError::kNoSuchThread, "Unknown thread id: " + std::to_string(id)));
  }
}

}  // namespace bulkhead::session
