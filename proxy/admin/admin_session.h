// One logged-in operator: takes the commands of a MySQL client in order and answers them.
//
// Purpose: the server's side of the protocol after the login, over statements (statement.h), SQL
// (sql_work.h) and commands for the control thread (operator_commands.h). Bytes come in by OnBytes;
// what is to be done goes out through AdminShell. No socket, no thread in here.
// Thread: the admin thread's. Units: bytes, nanoseconds.
// Limits: a packet of kMaxPacket, a statement of kMaxStatement (tokens.h), kMostPrepared prepared
// statements with kMostLongData bytes of long data each, kMostNotes warnings. Rows are written only
// as far as the client takes them. What a client sends ahead stays in the input, which the shell
// stops filling at wants_bytes().
// Errors: MySQL's codes where there is one; 1227 where a read_only user may not; 9420 to 9423 of
// operators.h. A packet that is no packet ends the connection (1153, 1156), one that is no command
// does not (1047, 1835).
// Several statements in one text are taken where the client has agreed on CLIENT_MULTI_STATEMENTS,
// one after the other, up to the first that fails. A prepared statement is its text: placeholders
// are replaced by literals when it is executed.
// Sources: dev.mysql.com page_protocol_command_phase and its pages; MariaDB "2 - Text Protocol", "3
// - Binary Protocol", "Progress Reporting".
#ifndef BULKHEAD_PROXY_ADMIN_ADMIN_SESSION_H_
#define BULKHEAD_PROXY_ADMIN_ADMIN_SESSION_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "proxy/admin/audit.h"
#include "proxy/admin/result_sender.h"
#include "proxy/admin/sql_work.h"
#include "proxy/admin/statement.h"
#include "proxy/control/operator_commands.h"
#include "proxy/wire/capabilities.h"
#include "proxy/wire/commands.h"
#include "proxy/wire/responses.h"

namespace bulkhead::admin {

// Who logged in, and what was agreed.
struct AdminLogin {
  uint32_t connection_id = 0;
  wire::Capabilities capabilities = 0;
  std::string user{}, address{}, schema{};
  bool read_only = false;
};

class AdminShell {
 public:
  virtual ~AdminShell() = default;
  virtual void Send(std::span<const uint8_t> bytes) = 0;
  // OnWritable comes once it is not full any more.
  [[nodiscard]] virtual bool OutputFull() const = 0;
  // Once what was sent has left. The session is called no more.
  virtual void Close() = 0;
  [[nodiscard]] virtual uint64_t NowNs() const = 0;
  // On a thread of its own; OnWorkDone is the answer.
  virtual void Run(std::shared_ptr<SqlWork> work) = 0;
  // Ends the work that was given to Run early; OnWorkDone comes all the same.
  virtual void InterruptWork() = 0;
  // OnProgress any number of times, then OnReply. The reply is audited by the shell: the session
  // may be gone by then.
  virtual void Submit(control::OperatorCommand command, AuditRecord audit) = 0;
  // Gives up what was submitted; OnReply comes all the same.
  virtual void CancelSubmitted() = 0;
  enum class KillAnswer : uint8_t { kDone, kNotFound, kNotAllowed };
  // Another connection of the listener.
  [[nodiscard]] virtual KillAnswer Kill(uint64_t id, bool query_only) = 0;
  // For COM_STATISTICS.
  [[nodiscard]] virtual std::string Statistics() = 0;
  // The login machine takes over; then OnUserChanged, or nothing more.
  virtual void ChangeUser(std::span<const uint8_t> payload, uint8_t sequence) = 0;
  virtual void Audit(AuditRecord record) = 0;
};

class AdminSession {
 public:
  static constexpr size_t kMaxPacket = size_t{1} << 20;
  static constexpr size_t kMostAhead = 64 * 1024;
  static constexpr size_t kMostPrepared = 1000;
  static constexpr size_t kMostLongData = 64 * 1024;
  static constexpr size_t kMostNotes = 64;

  AdminSession(AdminShell* shell, AdminLogin login);

  void OnBytes(std::span<const uint8_t> bytes);
  [[nodiscard]] bool wants_bytes() const { return !busy() || input_.size() < kMostAhead; }
  void OnWritable();
  void OnWorkDone(const SqlWork& work);
  void OnProgress(const std::string& words);
  void OnReply(const control::OperatorReply& reply);
  void OnUserChanged(AdminLogin login);
  // KILL of another connection; true: the connection is to be closed.
  [[nodiscard]] bool BeKilled(bool query_only);
  // What runs is given up; nothing is sent any more.
  void OnClientGone();

  [[nodiscard]] bool busy() const { return state_ != State::ExpectCommand; }
  [[nodiscard]] const AdminLogin& login() const { return login_; }
  // What was read and not taken: the login machine's, after ChangeUser.
  [[nodiscard]] std::vector<uint8_t> TakeInput() { return std::move(input_); }

 private:
  enum class State : uint8_t {
    ExpectCommand,
    Running,       // of the text under way the next statement may be taken, or rows be sent
    ExpectWork,    // SQL on a query thread
    ExpectReply,   // a command on the control thread
    ExpectLayout,  // of a statement that is being prepared, on a query thread
    ExpectLogin,
    Closed,
  };
  struct Text {
    std::string text;
    size_t next = 0;  // where the next statement begins
    bool several = false;
    bool binary = false;  // rows in the binary protocol
    std::string statement{};
    uint64_t started_ns = 0;
    uint64_t expected_ns = 0;  // of a command that waits, at most; 0: not known
  };
  struct Note {
    const char* level;
    uint16_t code;
    std::string message;
  };
  struct Prepared {
    std::string text;
    std::vector<size_t> placeholders{};
    std::vector<wire::ParameterType> types{};  // as bound last
    std::map<size_t, std::string> long_data{};
    size_t long_bytes = 0;
    bool long_overflow = false;
  };

  // admin_session.cc
  void Pump();
  void OnCommand(std::span<const uint8_t> payload);
  void OnFieldList(std::span<const uint8_t> payload);
  void OnSetOption(std::span<const uint8_t> payload);
  void OnInitDb(std::span<const uint8_t> payload);
  void ResetState();
  void EndBadly(uint16_t code, std::string_view message);
  void SendPacket(absl::FunctionRef<void(wire::ByteWriter*)> encode);
  void SendOk(std::string_view info = {});
  void SendError(const StatementError& error);
  void SendEof();

  // admin_session_statements.cc
  void BeginText(std::string text, bool several, bool binary);
  void RunOn();
  [[nodiscard]] bool TakeStatement();
  [[nodiscard]] bool MoreFollows() const;
  void EndText();
  void Perform();
  void PerformCommand(control::OperatorCommand command);
  void PerformHelp(const std::string& topic);
  void PerformKill(const KillConnection& kill);
  void PerformWarnings();
  void PerformUse(const std::string& schema);
  void StartWork(std::shared_ptr<SqlWork> work);
  void AnswerOk(std::string_view info = {});
  void AnswerError(const StatementError& error);
  void AnswerTable(std::shared_ptr<const ResultTable> table);
  void SendTable(std::shared_ptr<const ResultTable> table);
  void WriteRows();
  void Warn(const char* level, uint16_t code, std::string message);
  void AuditStatement(std::string outcome);
  [[nodiscard]] AuditRecord Record(std::string outcome) const;
  [[nodiscard]] wire::ServerStatus status() const;

  // admin_session_prepared.cc
  void OnPrepare(std::span<const uint8_t> payload);
  void FinishPrepare(const std::vector<ResultTable::ResultColumn>& columns);
  void OnExecute(std::span<const uint8_t> payload);
  [[nodiscard]] std::optional<std::string> TextOf(std::span<const uint8_t> payload,
                                                  Prepared* prepared, StatementError* error);
  void OnLongData(std::span<const uint8_t> payload);
  void OnStatementReset(std::span<const uint8_t> payload);
  [[nodiscard]] Prepared* Find(uint32_t id);

  AdminShell* const shell_;
  AdminLogin login_;
  State state_ = State::ExpectCommand;
  std::vector<uint8_t> input_;
  uint8_t sequence_ = 0;  // of the next packet
  Text text_;
  std::unique_ptr<ResultSender> sender_;  // the rows being sent
  uint16_t statement_warnings_ = 0;
  std::vector<Note> notes_;
  std::map<uint32_t, Prepared> prepared_;
  uint32_t last_prepared_ = 0;
  std::unique_ptr<Prepared> preparing_;
};

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_ADMIN_SESSION_H_
