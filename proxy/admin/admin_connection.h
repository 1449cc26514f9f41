// One connection to the admin listener: its stream, its login, then its session.
//
// Purpose: the shell around session::ClientHandshake and AdminSession.
// Thread: the admin thread's. Lifetime: owned by the server; Retire takes it out of use from within
// its own callbacks.
// Limits: what the login machine and the session take; input that waits is not read any further
// than AdminSession::kMostAhead; output above the high watermark stops the session.
#ifndef BULKHEAD_PROXY_ADMIN_ADMIN_CONNECTION_H_
#define BULKHEAD_PROXY_ADMIN_ADMIN_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "proxy/admin/admin_session.h"
#include "proxy/admin/admin_users.h"
#include "proxy/io/stream.h"
#include "proxy/io/tls_context.h"
#include "proxy/session/client_handshake.h"

namespace bulkhead::admin {

class AdminServer;

class AdminConnection final : public io::StreamHandler, public AdminShell {
 public:
  AdminConnection(AdminServer* server, uint32_t id, std::string host, bool is_unix);
  ~AdminConnection() override;

  void Start(int fd);
  // From the query threads and the control thread, by way of the admin thread.
  void OnPasswordJob(auth::PasswordJobResult result);
  void OnWorkDone(const SqlWork& work);
  void OnProgress(const std::string& words);
  void OnReply(const control::OperatorReply& reply);
  // KILL of another connection.
  void BeKilled(bool query_only);
  // Closes what is idle, or does not read, for too long.
  void CheckTime(uint64_t now_ns);

  [[nodiscard]] uint32_t id() const { return id_; }
  [[nodiscard]] bool logged_in() const { return session_ != nullptr; }
  [[nodiscard]] const AdminSession* session() const { return session_.get(); }
  [[nodiscard]] uint64_t last_activity_ns() const { return last_activity_ns_; }

  // StreamHandler
  void OnBytes(std::span<uint8_t> bytes) override;
  void OnWritable() override;
  void OnEnd(const io::StreamEnd& end) override;

  // AdminShell
  void Send(std::span<const uint8_t> bytes) override;
  [[nodiscard]] bool OutputFull() const override;
  void Close() override;
  [[nodiscard]] uint64_t NowNs() const override;
  void Run(std::shared_ptr<SqlWork> work) override;
  void InterruptWork() override;
  void Submit(control::OperatorCommand command, AuditRecord audit) override;
  void CancelSubmitted() override;
  [[nodiscard]] KillAnswer Kill(uint64_t id, bool query_only) override;
  [[nodiscard]] std::string Statistics() override;
  void ChangeUser(std::span<const uint8_t> payload, uint8_t sequence) override;
  void Audit(AuditRecord record) override;

 private:
  enum class Phase : uint8_t { Login, ChangeUser, Session, Closed };

  void OnLoginInput();
  void OnLoginAction(session::ClientHandshake::Action action);
  void FinishLogin();
  void RefuseAndClose(const std::string& why);
  void LogLoginEnd(std::string_view user, std::string_view why) const;
  void FollowReading();

  AdminServer* const server_;
  const uint32_t id_;
  const std::string host_;
  const bool is_unix_;
  Phase phase_ = Phase::Login;
  bool is_tls_ = false;
  bool computing_ = false;
  io::StreamPtr stream_;
  std::vector<uint8_t> input_;               // of the login
  std::vector<uint8_t> output_;              // of the login, to be sent in one write
  std::shared_ptr<const AdminUsers> users_;  // of the login under way
  std::shared_ptr<const session::ClientHandshakeOptions> handshake_options_;
  io::TlsContext::Ptr tls_;
  std::unique_ptr<session::ClientHandshake> handshake_;
  auth::Nonce nonce_{};  // the last one sent: a COM_CHANGE_USER starts from it
  std::shared_ptr<SqlRunner> runner_;
  std::unique_ptr<AdminSession> session_;
  uint64_t ticket_ = 0;  // of the command that was submitted last
  uint64_t last_activity_ns_ = 0;
  uint64_t written_ = 0;  // bytes, when output last made progress
  uint64_t written_at_ns_ = 0;
};

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_ADMIN_CONNECTION_H_
