#include "proxy/admin/admin_connection.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/admin/admin_server.h"
#include "proxy/io/tls_filter.h"
#include "proxy/log/log.h"
#include "proxy/wire/frame.h"
#include "routing/abseil_view.h"

namespace bulkhead::admin {

namespace {

using Action = session::ClientHandshake::Action;

constexpr uint64_t kFlushLimitMs = 5000;

uint64_t Ns(std::chrono::nanoseconds duration) { return static_cast<uint64_t>(duration.count()); }

}  // namespace

AdminConnection::AdminConnection(AdminServer* server, uint32_t id, std::string host, bool is_unix)
    : server_(server), id_(id), host_(std::move(host)), is_unix_(is_unix) {}

AdminConnection::~AdminConnection() {
  if (session_ != nullptr) session_->OnClientGone();
}

void AdminConnection::Start(int fd) {
  last_activity_ns_ = NowNs();
  stream_ = io::Stream::Adopt(server_->loop(), fd, this);
  users_ = server_->users();
  handshake_options_ = server_->handshake();
  tls_ = server_->tls();
  handshake_ = std::make_unique<session::ClientHandshake>(
      handshake_options_, id_, AdminServer::MakeNonces(), users_.get(),
      session::ClientTransport{.is_tls = false, .is_unix_socket = is_unix_, .host = host_});
  OnLoginAction(handshake_->Start(&output_));
}

uint64_t AdminConnection::NowNs() const { return server_->loop()->NowNs(); }

// --- login
// ---------------------------------------------------------------------------------------------

void AdminConnection::ChangeUser(std::span<const uint8_t> payload, uint8_t sequence) {
  phase_ = Phase::ChangeUser;
  input_ = session_->TakeInput();
  users_ = server_->users();
  auth::ExchangeNonces nonces = AdminServer::MakeNonces();
  nonces.greeting = nonce_;
  handshake_ = std::make_unique<session::ClientHandshake>(
      handshake_options_, id_, nonces, users_.get(),
      session::ClientTransport{.is_tls = is_tls_, .is_unix_socket = is_unix_, .host = host_});
  OnLoginAction(
      handshake_->StartChangeUser(payload, sequence, session_->login().capabilities, &output_));
}

void AdminConnection::OnLoginInput() {
  while ((phase_ == Phase::Login || phase_ == Phase::ChangeUser) && !computing_) {
    wire::PacketExtent extent;
    const size_t limit = handshake_->bytes_left();
    if (input_.size() > limit + wire::kFrameHeaderSize)
      return RefuseAndClose("too much for a login");
    switch (wire::FindPacket(input_, limit, &extent)) {
      case wire::FindResult::kNeedMore:
        return;
      case wire::FindResult::kPacket:
        break;
      case wire::FindResult::kTooLarge:
      case wire::FindResult::kBadSequence:
        return RefuseAndClose("bytes that are no login");
    }
    const auto end = input_.begin() + static_cast<ptrdiff_t>(extent.wire_size);
    std::vector<uint8_t> packet(input_.begin(), end);
    auth::Wipe(input_.data(), extent.wire_size);  // a password may be in it
    input_.erase(input_.begin(), end);
    const Action action = handshake_->OnPacket(
        std::span<const uint8_t>(packet).subspan(wire::kFrameHeaderSize, extent.payload_size),
        extent.first_sequence, &output_);
    auth::Wipe(packet.data(), packet.size());
    OnLoginAction(action);
  }
}

void AdminConnection::OnLoginAction(Action action) {
  switch (action) {
    case Action::kSend:
      Send(std::exchange(output_, {}));
      return;
    case Action::kStartTls: {
      Send(std::exchange(output_, {}));
      is_tls_ = true;
      std::vector<uint8_t> rest = std::exchange(input_, {});
      if (tls_ == nullptr || !stream_->PushFilter(io::TlsFilter::MakeServer(tls_)))
        return RefuseAndClose("TLS failed");
      if (!rest.empty()) stream_->Reinject(rest);
      return;
    }
    case Action::kCompute:
      Send(std::exchange(output_, {}));
      computing_ = true;
      server_->RunPasswordJob(id_, host_, handshake_->job());
      return;
    case Action::kAccepted:
      FinishLogin();
      return;
    case Action::kRefused:
      Send(std::exchange(output_, {}));
      LogLoginEnd(handshake_->user(), handshake_->refusal());
      Close();
      return;
  }
}

void AdminConnection::OnPasswordJob(auth::PasswordJobResult result) {
  if (phase_ != Phase::Login && phase_ != Phase::ChangeUser) return;
  computing_ = false;
  OnLoginAction(handshake_->OnJobDone(std::move(result), &output_));
  OnLoginInput();
}

void AdminConnection::FinishLogin() {
  session::LoginResult result = handshake_->TakeResult();
  nonce_ = result.nonce;
  AdminLogin login{.connection_id = id_,
                   .capabilities = result.capabilities,
                   .user = result.record->name,
                   .address = host_,
                   .schema = std::move(result.schema),
                   .read_only = users_->IsReadOnly(result.record->name)};
  const bool known = login.schema.empty() || EqualsIgnoringCase(login.schema, "bulkhead") ||
                     EqualsIgnoringCase(login.schema, "information_schema");
  if (!known) {
    handshake_->WriteRefusal(wire::ClientError::kUnknownDatabase,
                             "there is no database '" + login.schema.substr(0, 64) +
                                 "' here, only bulkhead and information_schema",
                             &output_);
    Send(std::exchange(output_, {}));
    LogLoginEnd(login.user, "an unknown database");
    Close();
    return;
  }
  wire::OkPacket ok;
  ok.status = wire::kStatusAutocommit;
  handshake_->WriteOk(ok, login.capabilities, &output_);
  Send(std::exchange(output_, {}));
  handshake_.reset();
  users_.reset();
  const bool first = session_ == nullptr;
  log::Info(log::event::kOperatorLogin,
            {{"address", host_}, {"user", login.user}, {"connection", id_}},
            absl::StrCat("admin: user '", login.user, "' from ", host_, " logged in, connection ",
                         id_, first ? "" : " (change of user)"));
  phase_ = Phase::Session;
  runner_ = server_->MakeRunner(login);
  std::vector<uint8_t> rest = std::exchange(input_, {});
  if (first) {
    session_ = std::make_unique<AdminSession>(this, std::move(login));
  } else {
    session_->OnUserChanged(std::move(login));
  }
  if (phase_ == Phase::Session && !rest.empty()) session_->OnBytes(rest);
}

void AdminConnection::RefuseAndClose(const std::string& why) {
  LogLoginEnd({}, why);
  Close();
}

void AdminConnection::LogLoginEnd(std::string_view user, std::string_view why) const {
  log::Warn(log::event::kLogin, {{"address", host_}, {"user", user}},
            absl::StrCat("admin: login of '", routing::Abs(user), "' from ", host_,
                         " ended: ", routing::Abs(why)));
}

// --- the stream
// -----------------------------------------------------------------------------------------

void AdminConnection::OnBytes(std::span<uint8_t> bytes) {
  last_activity_ns_ = NowNs();
  switch (phase_) {
    case Phase::Closed:
      return;
    case Phase::Session:
      session_->OnBytes(bytes);
      FollowReading();
      return;
    case Phase::Login:
    case Phase::ChangeUser:
      input_.insert(input_.end(), bytes.begin(), bytes.end());
      auth::Wipe(bytes.data(), bytes.size());
      OnLoginInput();
      return;
  }
}

// While something runs, reading goes on as far as possible: only so is a client that leaves
// noticed.
void AdminConnection::FollowReading() {
  if (phase_ != Phase::Session || stream_ == nullptr) return;
  if (session_->wants_bytes() != stream_->reading()) {
    if (stream_->reading()) {
      stream_->PauseReading();
    } else {
      stream_->ResumeReading();
    }
  }
}

void AdminConnection::OnWritable() {
  if (phase_ == Phase::Session) session_->OnWritable();
  FollowReading();
}

void AdminConnection::OnEnd(const io::StreamEnd& /*end*/) {
  if (!logged_in() && handshake_ != nullptr && !handshake_->user().empty())
    LogLoginEnd(handshake_->user(), "the client went away during the login");
  phase_ = Phase::Closed;
  if (session_ != nullptr) session_->OnClientGone();
  server_->Retire(this);
}

void AdminConnection::Send(std::span<const uint8_t> bytes) {
  if (phase_ != Phase::Closed && !bytes.empty()) stream_->Write(bytes);
}

bool AdminConnection::OutputFull() const {
  return phase_ == Phase::Closed || stream_->above_high_watermark();
}

void AdminConnection::Close() {
  if (phase_ == Phase::Closed) return;
  phase_ = Phase::Closed;
  if (session_ != nullptr) session_->OnClientGone();
  io::Stream* stream = stream_.get();
  stream->FlushThenClose(std::move(stream_), kFlushLimitMs);
  server_->Retire(this);
}

void AdminConnection::CheckTime(uint64_t now_ns) {
  const config::Options& options = server_->options();
  const uint64_t silent = now_ns - std::min(now_ns, last_activity_ns_);
  if (!logged_in()) {
    if (silent < Ns(options.clients.handshake_timeout)) return;
    RefuseAndClose("it took too long");
    return;
  }
  if (stream_->pending() == 0 || stream_->bytes_out() != written_) {
    written_ = stream_->bytes_out();
    written_at_ns_ = now_ns;
  }
  const bool stuck = now_ns - written_at_ns_ > Ns(AdminServer::kWriteTimeout);
  const bool idle = !session_->busy() && silent > Ns(options.admin_limits.idle_timeout);
  if (stuck || idle) Close();
}

// --- what the session asks for
// ----------------------------------------------------------------------------

void AdminConnection::Run(std::shared_ptr<SqlWork> work) {
  runner_->Rearm();
  server_->RunWork(id_, session_->login().user + "@" + host_, runner_, std::move(work));
}

void AdminConnection::InterruptWork() { runner_->Interrupt(); }

void AdminConnection::OnWorkDone(const SqlWork& work) {
  if (phase_ != Phase::Session) return;
  last_activity_ns_ = NowNs();  // idle is who sends nothing once he was answered
  session_->OnWorkDone(work);
  FollowReading();
}

void AdminConnection::Submit(control::OperatorCommand command, AuditRecord audit) {
  ticket_ = server_->Submit(id_, std::move(command), std::move(audit));
}

void AdminConnection::CancelSubmitted() { server_->CancelSubmitted(ticket_); }

void AdminConnection::OnProgress(const std::string& words) {
  if (phase_ == Phase::Session) session_->OnProgress(words);
}

void AdminConnection::OnReply(const control::OperatorReply& reply) {
  if (phase_ != Phase::Session) return;
  last_activity_ns_ = NowNs();
  session_->OnReply(reply);
  FollowReading();
}

AdminShell::KillAnswer AdminConnection::Kill(uint64_t id, bool query_only) {
  return server_->Kill(session_->login(), id, query_only);
}

void AdminConnection::BeKilled(bool query_only) {
  if (phase_ != Phase::Session) {
    if (!query_only) Close();
    return;
  }
  if (session_->BeKilled(query_only)) Close();
}

std::string AdminConnection::Statistics() { return server_->Statistics(); }

void AdminConnection::Audit(AuditRecord record) { LogAudit(record); }

}  // namespace bulkhead::admin
