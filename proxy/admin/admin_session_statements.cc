// The statements of a text, one after the other: what each is, who may, and its answer.

#include <algorithm>
#include <type_traits>
#include <utility>

#include "proxy/admin/admin_session.h"
#include "proxy/admin/error_state.h"
#include "proxy/admin/help.h"
#include "proxy/admin/text_scan.h"
#include "proxy/control/operators.h"

namespace bulkhead::admin {

namespace {

constexpr size_t kWriteAtOnce = 256 * 1024;

// How long a command that waits may take.
uint64_t ExpectedNs(const control::OperatorCommand& command) {
  return std::visit(
      [](const auto& one) -> uint64_t {
        using T = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<T, control::DrillHang>) {
          return static_cast<uint64_t>(one.lasting.count());
        } else if constexpr (requires { one.timeout; }) {
          return static_cast<uint64_t>(one.timeout.count());
        } else {
          return 0;
        }
      },
      command);
}

std::shared_ptr<const ResultTable> TableOf(const std::vector<std::string>& columns,
                                           const std::vector<std::vector<std::string>>& rows) {
  auto table = std::make_shared<ResultTable>();
  for (const std::string& column : columns) table->columns.push_back({.name = column});
  for (const std::vector<std::string>& row : rows) table->AddRow(row);
  return table;
}

}  // namespace

void AdminSession::BeginText(std::string text, bool several, bool binary) {
  text_ = {.text = std::move(text), .several = several, .binary = binary};
  state_ = State::Running;
  RunOn();
}

void AdminSession::RunOn() {
  while (state_ == State::Running && !shell_->OutputFull()) {
    if (sender_ != nullptr) {
      WriteRows();
    } else if (TakeStatement()) {
      Perform();
    } else {
      state_ = State::ExpectCommand;
      text_ = {};
    }
  }
}

// What remains behind the present statement, comments apart.
bool AdminSession::MoreFollows() const {
  return text_.several && text_.next < text_.text.size() &&
         !IsBlank(std::string_view(text_.text).substr(text_.next));
}

// False: there are no more. A text without any statement is one that is empty.
bool AdminSession::TakeStatement() {
  const bool first = text_.next == 0;
  if (!first && !MoreFollows()) return false;
  const size_t begin = text_.next;
  const size_t end = text_.several ? EndOfStatement(text_.text, begin) : text_.text.size();
  text_.statement = text_.text.substr(begin, end - begin);
  text_.next = std::max<size_t>(end + 1, 1);
  text_.started_ns = shell_->NowNs();
  text_.expected_ns = 0;
  return true;
}

// What follows in the text is not run.
void AdminSession::EndText() { text_.next = std::max<size_t>(text_.text.size(), 1); }

void AdminSession::Perform() {
  ParsedStatement parsed = ParseStatement(text_.statement);
  if (!std::holds_alternative<ShowWarnings>(parsed.meaning)) notes_.clear();
  statement_warnings_ = 0;
  if (parsed.changes && login_.read_only) {
    AnswerError({.code = 1227,
                 .message = "user '" + login_.user +
                            "' is read_only: this needs an admin user who may change things"});
    return;
  }
  std::visit(
      [this](auto&& meaning) {
        using T = std::decay_t<decltype(meaning)>;
        if constexpr (std::is_same_v<T, StatementError>) {
          AnswerError(meaning);
        } else if constexpr (std::is_same_v<T, control::OperatorCommand>) {
          PerformCommand(std::move(meaning));
        } else if constexpr (std::is_same_v<T, ReadQuery>) {
          StartWork(std::make_shared<SqlWork>(
              SqlWork{.kind = SqlWork::Kind::kRun, .sql = std::move(meaning.sql)}));
        } else if constexpr (std::is_same_v<T, ExplainRoute>) {
          StartWork(std::make_shared<SqlWork>(
              SqlWork{.kind = SqlWork::Kind::kExplain, .explain = std::move(meaning)}));
        } else if constexpr (std::is_same_v<T, GetHelp>) {
          PerformHelp(meaning.topic);
        } else if constexpr (std::is_same_v<T, KillConnection>) {
          PerformKill(meaning);
        } else if constexpr (std::is_same_v<T, ShowWarnings>) {
          PerformWarnings();
        } else if constexpr (std::is_same_v<T, UseSchema>) {
          PerformUse(meaning.name);
        } else {
          static_assert(std::is_same_v<T, Accepted>);
          AnswerOk();
        }
      },
      std::move(parsed.meaning));
}

// --- commands
// ----------------------------------------------------------------------------------------------

void AdminSession::PerformCommand(control::OperatorCommand command) {
  text_.expected_ns = ExpectedNs(command);
  state_ = State::ExpectReply;
  shell_->Submit(std::move(command), Record({}));
}

void AdminSession::OnReply(const control::OperatorReply& reply) {
  if (state_ != State::ExpectReply) return;
  state_ = State::Running;
  for (const std::string& note : reply.notes) Warn("Note", reply.code, note);
  if (!reply.ok) {
    Warn("Error", reply.code, reply.message);
    EndText();
    SendError({.code = reply.code, .message = reply.message});
  } else if (!reply.columns.empty()) {
    Warn("Note", 0, reply.message);
    SendTable(TableOf(reply.columns, reply.rows));
  } else {
    SendOk(reply.message);
  }
  RunOn();
  Pump();
}

// In thousandths of a percent of the longest that it may take: "Progress Reporting" in the MariaDB
// documentation.
void AdminSession::OnProgress(const std::string& words) {
  constexpr uint64_t kWhole = 100'000;
  if (state_ != State::ExpectReply || shell_->OutputFull() ||
      (login_.capabilities & wire::kMariadbClientProgress) == 0)
    return;
  const uint64_t took_ns = shell_->NowNs() - text_.started_ns;
  uint64_t done = 0;
  if (text_.expected_ns > 0)
    done = std::min<uint64_t>(took_ns / (text_.expected_ns / kWhole + 1), kWhole - 1);
  SendPacket([&](wire::ByteWriter* writer) {
    wire::EncodeProgressReport({.stage = 1,
                                .max_stage = 1,
                                .progress = static_cast<uint32_t>(done),
                                .info = std::string_view(words).substr(0, 250)},
                               writer);
  });
}

// --- what is known here
// -----------------------------------------------------------------------------------

void AdminSession::PerformHelp(const std::string& topic) {
  const HelpAnswer answer = Help(topic);
  if (answer.error.has_value()) {
    AnswerError(*answer.error);
  } else {
    AnswerTable(TableOf(answer.columns, answer.rows));
  }
}

void AdminSession::PerformKill(const KillConnection& kill) {
  if (kill.id == login_.connection_id) {
    AnswerError({.code = 1317, .message = "this connection killed itself"});
    if (kill.query_only) return;
    state_ = State::Closed;
    shell_->Close();
    return;
  }
  switch (shell_->Kill(kill.id, kill.query_only)) {
    case AdminShell::KillAnswer::kDone:
      AnswerOk(kill.query_only ? "what it ran is given up" : "the connection is closed");
      return;
    case AdminShell::KillAnswer::kNotFound:
      AnswerError({.code = 1094,
                   .message = "the admin listener has no connection " + std::to_string(kill.id) +
                              "; a client's session is killed by KILL SESSION " +
                              std::to_string(kill.id)});
      return;
    case AdminShell::KillAnswer::kNotAllowed:
      AnswerError(
          {.code = 1095, .message = "a read_only user may kill connections of its own only"});
      return;
  }
}

void AdminSession::PerformWarnings() {
  auto table = std::make_shared<ResultTable>();
  table->columns = {{"Level"}, {"Code", ColumnKind::kNumber}, {"Message"}};
  for (const Note& note : notes_)
    table->AddRow({note.level, std::to_string(note.code), note.message});
  AnswerTable(std::move(table));
}

void AdminSession::PerformUse(const std::string& schema) {
  if (EqualsIgnoringCase(schema, "bulkhead") || EqualsIgnoringCase(schema, "information_schema")) {
    login_.schema = Lower(schema);
    AnswerOk();
    return;
  }
  AnswerError({.code = 1049,
               .message = "there is no database '" + schema.substr(0, 64) +
                          "' here, only bulkhead and information_schema"});
}

// --- SQL
// ------------------------------------------------------------------------------------------------

void AdminSession::StartWork(std::shared_ptr<SqlWork> work) {
  state_ = State::ExpectWork;
  shell_->Run(std::move(work));
}

void AdminSession::OnWorkDone(const SqlWork& work) {
  if (state_ == State::ExpectLayout) {
    state_ = State::ExpectCommand;
    if (work.error.has_value()) {
      preparing_.reset();
      SendError(*work.error);
    } else {
      FinishPrepare(work.table->columns);
    }
    Pump();
    return;
  }
  if (state_ != State::ExpectWork) return;
  state_ = State::Running;
  for (const std::string& warning : work.warnings) Warn("Warning", 1105, warning);
  if (work.error.has_value()) {
    AnswerError(*work.error);
  } else {
    AnswerTable(work.table);
  }
  RunOn();
  Pump();
}

// --- answers
// -------------------------------------------------------------------------------------------------

void AdminSession::Warn(const char* level, uint16_t code, std::string message) {
  if (notes_.size() >= kMostNotes || message.empty()) return;
  notes_.push_back({level, code, std::move(message)});
  statement_warnings_ = static_cast<uint16_t>(notes_.size());
}

void AdminSession::AnswerOk(std::string_view info) {
  AuditStatement("ok");
  SendOk(info);
}

// An error ends the text.
void AdminSession::AnswerError(const StatementError& error) {
  EndText();
  Warn("Error", error.code, error.message);
  AuditStatement(ErrorOutcome(error.code, error.message, ForLog(text_.statement)));
  SendError(error);
}

void AdminSession::AnswerTable(std::shared_ptr<const ResultTable> table) {
  AuditStatement(std::to_string(table->rows()) + (table->rows() == 1 ? " row" : " rows"));
  SendTable(std::move(table));
}

void AdminSession::SendTable(std::shared_ptr<const ResultTable> table) {
  const ResultSender::Form form{.binary = text_.binary,
                                .capabilities = login_.capabilities,
                                .status = status(),
                                .warnings = statement_warnings_};
  sender_ = std::make_unique<ResultSender>(std::move(table), form, sequence_);
}

void AdminSession::WriteRows() {
  wire::ByteBuffer out;
  const bool all = sender_->Write(kWriteAtOnce, &out);
  sequence_ = sender_->sequence();
  if (all) sender_.reset();
  shell_->Send(out);
}

AuditRecord AdminSession::Record(std::string outcome) const {
  return {.user = login_.user,
          .address = login_.address,
          .connection = login_.connection_id,
          .statement = ForLog(text_.statement),
          .outcome = std::move(outcome),
          .took_ms = (shell_->NowNs() - text_.started_ns) / 1'000'000};
}

void AdminSession::AuditStatement(std::string outcome) {
  shell_->Audit(Record(std::move(outcome)));
}

}  // namespace bulkhead::admin
