// Prepared statements: texts whose placeholders are replaced by literals when they are executed.

#include <utility>

#include "proxy/admin/admin_session.h"
#include "proxy/admin/parameter_text.h"
#include "proxy/admin/text_scan.h"
#include "proxy/wire/execute_messages.h"

namespace bulkhead::admin {

namespace {

constexpr uint16_t kErrTooManyPrepared = 1461;
constexpr uint16_t kErrTooManyParameters = 1390;
constexpr uint16_t kErrUnknownPrepared = 1243;
constexpr uint16_t kErrMalformed = 1835;

StatementError UnknownPrepared(uint32_t id) {
  return {.code = kErrUnknownPrepared,
          .message = "there is no prepared statement " + std::to_string(id)};
}

// The bytes of a parameter that came by COM_STMT_SEND_LONG_DATA.
wire::Parameter LongParameter(const std::string& data) {
  wire::Parameter parameter;
  parameter.type.type = wire::ColumnType::kVarString;
  parameter.value = data;
  return parameter;
}

}  // namespace

AdminSession::Prepared* AdminSession::Find(uint32_t id) {
  auto it = prepared_.find(id == wire::kLastPreparedStatement ? last_prepared_ : id);
  return it == prepared_.end() ? nullptr : &it->second;
}

// Nothing is run: of SQL its columns are asked for, and what is wrong already is said.
void AdminSession::OnPrepare(std::span<const uint8_t> payload) {
  std::string_view text;
  if (wire::DecodeStatementPrepare(payload, &text) != wire::DecodeError::kNone) {
    SendError({.code = kErrMalformed, .message = "malformed packet"});
    return;
  }
  if (prepared_.size() >= kMostPrepared) {
    SendError({.code = kErrTooManyPrepared,
               .message = "a connection may have " + std::to_string(kMostPrepared) +
                          " prepared statements"});
    return;
  }
  auto prepared = std::make_unique<Prepared>();
  prepared->text = text.substr(0, kMaxStatement + 1);  // one that is longer is refused by the lexer
  prepared->placeholders = FindPlaceholders(prepared->text);
  if (prepared->placeholders.size() > kMaxTokens) {
    SendError({.code = kErrTooManyParameters, .message = "too many placeholders"});
    return;
  }
  const std::vector<std::string> nulls(prepared->placeholders.size(), "NULL");
  ParsedStatement parsed =
      ParseStatement(FillPlaceholders(prepared->text, prepared->placeholders, nulls));
  const auto* error = std::get_if<StatementError>(&parsed.meaning);
  // With NULL in a place that wants a name or a number it may look wrong and not be.
  if (error != nullptr && prepared->placeholders.empty()) {
    SendError(*error);
    return;
  }
  preparing_ = std::move(prepared);
  if (auto* query = std::get_if<ReadQuery>(&parsed.meaning); query != nullptr) {
    state_ = State::ExpectLayout;
    shell_->Run(std::make_shared<SqlWork>(
        SqlWork{.kind = SqlWork::Kind::kDescribe, .sql = std::move(query->sql)}));
    return;
  }
  FinishPrepare({});
}

void AdminSession::FinishPrepare(const std::vector<ResultTable::ResultColumn>& columns) {
  const uint32_t id = ++last_prepared_;
  const size_t parameters = preparing_->placeholders.size();
  prepared_[id] = std::move(*preparing_);
  preparing_.reset();
  SendPacket([&](wire::ByteWriter* writer) {
    wire::EncodePrepareOk({.statement_id = id,
                           .columns = static_cast<uint16_t>(columns.size()),
                           .parameters = static_cast<uint16_t>(parameters)},
                          login_.capabilities, writer);
  });
  const bool ends = (login_.capabilities & wire::kClientDeprecateEof) == 0;
  for (size_t i = 0; i < parameters; ++i) {
    SendPacket([&](wire::ByteWriter* writer) {
      wire::EncodeColumnDefinition(wire::TextColumn("?"), login_.capabilities, writer);
    });
  }
  if (parameters > 0 && ends) SendEof();
  for (const ResultTable::ResultColumn& column : columns) {
    SendPacket([&](wire::ByteWriter* writer) {
      wire::EncodeColumnDefinition(DefinitionOf(column), login_.capabilities, writer);
    });
  }
  if (!columns.empty() && ends) SendEof();
}

void AdminSession::OnExecute(std::span<const uint8_t> payload) {
  uint32_t id = 0;
  if (wire::DecodeStatementId(payload, &id) != wire::DecodeError::kNone) {
    SendError({.code = kErrMalformed, .message = "malformed packet"});
    return;
  }
  Prepared* prepared = Find(id);
  if (prepared == nullptr) {
    SendError(UnknownPrepared(id));
    return;
  }
  StatementError error;
  std::optional<std::string> text = TextOf(payload, prepared, &error);
  prepared->long_data.clear();
  prepared->long_bytes = 0;
  prepared->long_overflow = false;
  if (!text.has_value()) {
    SendError(error);
    return;
  }
  BeginText(*std::move(text), false, true);
}

std::optional<std::string> AdminSession::TextOf(std::span<const uint8_t> payload,
                                                Prepared* prepared, StatementError* error) {
  *error = {.code = kErrMalformed, .message = "malformed packet"};
  const size_t count = prepared->placeholders.size();
  wire::StatementExecute execute;
  if (wire::DecodeStatementExecute(payload, login_.capabilities, count, &execute) !=
      wire::DecodeError::kNone)
    return std::nullopt;
  if (execute.types_bound &&
      wire::DecodeParameterTypes(execute.types.Of(payload), login_.capabilities, count,
                                 &prepared->types) != wire::DecodeError::kNone)
    return std::nullopt;
  if (prepared->types.size() != count) return std::nullopt;
  if (prepared->long_overflow) {
    *error = {.code = 1153, .message = "the parameters are longer than a statement may be"};
    return std::nullopt;
  }
  std::vector<wire::Parameter> parameters;
  const auto is_long = [&](size_t i) { return prepared->long_data.contains(i); };
  if (wire::DecodeParameters(payload, execute, prepared->types, is_long, &parameters) !=
      wire::DecodeError::kNone)
    return std::nullopt;
  std::vector<std::string> literals;
  for (size_t i = 0; i < count; ++i) {
    std::optional<std::string> literal =
        ParameterText(is_long(i) ? LongParameter(prepared->long_data.at(i)) : parameters[i]);
    if (!literal.has_value()) {
      *error = {.code = 1210,
                .message = "the value of placeholder " + std::to_string(i + 1) +
                           " can't be part of a statement"};
      return std::nullopt;
    }
    literals.push_back(*std::move(literal));
  }
  return FillPlaceholders(prepared->text, prepared->placeholders, literals);
}

// Never answered; what is wrong is said by the execute.
void AdminSession::OnLongData(std::span<const uint8_t> payload) {
  wire::StatementSendLongData data;
  if (wire::DecodeStatementSendLongData(payload, &data) != wire::DecodeError::kNone) return;
  Prepared* prepared = Find(data.statement_id);
  if (prepared == nullptr || data.parameter >= prepared->placeholders.size()) return;
  if (prepared->long_bytes + data.data.size() > kMostLongData) {
    prepared->long_overflow = true;
    return;
  }
  prepared->long_bytes += data.data.size();
  prepared->long_data[data.parameter] += data.data;
}

void AdminSession::OnStatementReset(std::span<const uint8_t> payload) {
  uint32_t id = 0;
  if (wire::DecodeStatementReset(payload, &id) != wire::DecodeError::kNone) {
    SendError({.code = kErrMalformed, .message = "malformed packet"});
    return;
  }
  Prepared* prepared = Find(id);
  if (prepared == nullptr) {
    SendError(UnknownPrepared(id));
    return;
  }
  prepared->long_data.clear();
  prepared->long_bytes = 0;
  prepared->long_overflow = false;
  SendOk();
}

}  // namespace bulkhead::admin
