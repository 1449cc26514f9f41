#include "proxy/io/session_runner.h"

#include <utility>

#include "proxy/io/worker.h"

namespace bulkhead::io {

SessionRunner::SessionRunner(Worker* worker, std::shared_ptr<const ClientListener> listener,
                             uint32_t id, std::string host)
    : worker_(worker), listener_(std::move(listener)), id_(id), host_(std::move(host)) {}

SessionRunner::~SessionRunner() {
  if (session_ != nullptr) session_->OnClientGone();
}

void SessionRunner::Start(int fd) {
  last_activity_ns_ = NowNs();
  stream_ = Stream::Adopt(worker_->loop(), fd, this);
  stream_->CountInto(&worker_->metrics()->client_bytes);
  if (listener_->ExpectsProxyHeader(host_)) {
    phase_ = Phase::ProxyHeader;
    return;
  }
  StartLogin();
}

// --- the client's stream
// -------------------------------------------------------------------------------

void SessionRunner::OnBytes(std::span<uint8_t> bytes) {
  if (phase_ == Phase::Session) {
    last_activity_ns_ = NowNs();
    PumpSession(bytes);
    return;
  }
  if (phase_ == Phase::Closed) return;
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  // The loop's read buffer is used again and again: a password should not stay in it.
  auth::Wipe(bytes.data(), bytes.size());
  if (phase_ == Phase::ProxyHeader) {
    OnProxyHeader();
  } else {
    OnLoginInput();
  }
}

// Offers bytes to the session: straight from the loop's read buffer where nothing is waiting in
// front of them.
void SessionRunner::PumpSession(std::span<uint8_t> bytes) {
  if (!input_.empty() || pumping_) {
    input_.insert(input_.end(), bytes.begin(), bytes.end());
    PumpInput();
    return;
  }
  pumping_ = true;
  const size_t taken = session_->OnClientBytes(bytes);
  pumping_ = false;
  if (phase_ == Phase::Closed) return;
  if (taken < bytes.size()) {
    input_.assign(bytes.begin() + static_cast<ptrdiff_t>(taken), bytes.end());
    // A command may have been answered from within, and the next one be whole already.
    if (session_->WantsClientBytes()) {
      PumpInput();
      return;
    }
  }
  AfterSession();
}

void SessionRunner::PumpInput() {
  while (phase_ == Phase::Session && !pumping_ && !input_.empty() && session_->WantsClientBytes()) {
    pumping_ = true;
    const size_t taken = session_->OnClientBytes(input_);
    pumping_ = false;
    if (taken == 0) break;
    input_.erase(input_.begin(), input_.begin() + static_cast<ptrdiff_t>(taken));
  }
  if (input_.empty()) input_ = {};  // an idle session holds no buffer
  AfterSession();
}

// What the session's new state means for reading and for the end of a drain.
void SessionRunner::AfterSession() {
  if (phase_ != Phase::Session || stream_ == nullptr) return;
  auto* link = static_cast<BackendConnection*>(session_->link());
  const bool backend_is_full = link != nullptr && link->output_above_high();
  const bool input_is_full = input_.size() > kInputLimit && !session_->WantsClientBytes();
  if (backend_is_full || input_is_full) {
    if (stream_->reading()) stream_->PauseReading();
  } else if (!stream_->reading()) {
    stream_->ResumeReading();
  }
  if (draining_ && session_->idle() && !session_->pins().Has(session::Pin::kTransaction))
    CloseClient();
}

void SessionRunner::OnWritable() {
  if (phase_ != Phase::Session) return;
  if (auto* link = static_cast<BackendConnection*>(session_->link()); link != nullptr)
    link->ResumeReading();
}

bool SessionRunner::OnUnreadable(const StreamEnd& end) {
  if (phase_ != Phase::Session || end.error == 0) return false;
  return session_->OnClientUnreadable(static_cast<wire::ClientError>(end.error));
}

void SessionRunner::OnEnd(const StreamEnd& end) {
  if (phase_ != Phase::Session && phase_ != Phase::Closed) {
    worker_->metrics()->logins_failed[metrics::LoginFailure::kDisconnected].Add();
    if (handshake_ != nullptr && !handshake_->user().empty()) {
      worker_->LogLoginEnd(host_, handshake_->user(), "the client went away during the login");
    }
    (void)end;
  }
  phase_ = Phase::Closed;
  if (session_ != nullptr) session_->OnClientGone();
  worker_->Retire(this);
}

void SessionRunner::SendToClient(std::span<const uint8_t> bytes) {
  stream_->Write(bytes);
  if (stream_->above_high_watermark() && session_ != nullptr) {
    if (auto* link = static_cast<BackendConnection*>(session_->link()); link != nullptr)
      link->PauseReading();
  }
}

void SessionRunner::CloseClient() {
  if (phase_ == Phase::Closed) return;
  phase_ = Phase::Closed;
  if (session_ != nullptr) session_->OnClientGone();
  Stream* stream = stream_.get();
  stream->FlushThenClose(std::move(stream_), worker_->flush_limit_ms());
  worker_->Retire(this);
}

void SessionRunner::ClientBytesWanted() {
  // The session asks for the client's LOCAL INFILE packets, some of which may be here already.
  if (!pumping_) PumpInput();
}

void SessionRunner::Drain() {
  draining_ = true;
  if (phase_ == Phase::Session) {
    AfterSession();
  } else if (phase_ != Phase::Closed) {
    CloseClient();
  }
}

// --- the backend connection
// ---------------------------------------------------------------------------

void SessionRunner::OnLink(session::BackendLink* link) {
  session_->OnLink(link);
  PumpInput();
}

void SessionRunner::OnLinkFailed(const session::RouterError& error) {
  session_->OnLinkFailed(error);
  PumpInput();
}

// With session pooling, a server that closes its side of an idle session (wait_timeout, KILL,
// restart) closes the client's as well: clients that find it closed connect again by themselves.
bool SessionRunner::EndsWithItsServer() const {
  return phase_ == Phase::Session && session_->idle() && session_->login().session_pooling;
}

void SessionRunner::OnLinkBytes(std::span<uint8_t> bytes) {
  const bool ends = EndsWithItsServer();
  session_->OnBackendBytes(bytes);
  if (ends) {
    stream_->Write(bytes);  // the server's last word, as MySQL's 4031
    CloseClient();
    return;
  }
  if (phase_ != Phase::Session) return;
  if (!input_.empty()) {
    PumpInput();
  } else if (draining_) {
    AfterSession();
  }
}

void SessionRunner::OnLinkWritable() { PumpInput(); }

void SessionRunner::OnLinkLost(bool known_dead) {
  if (phase_ != Phase::Session && phase_ != Phase::ChangeUser) return;
  const bool ends = EndsWithItsServer();
  session_->OnLinkLost(known_dead);
  if (ends) {
    CloseClient();
    return;
  }
  PumpInput();
}

void SessionRunner::OnLinkRobbed(session::SavedDiagnostics saved) {
  session_->OnLinkRobbed(std::move(saved));
}

void SessionRunner::OnLinkBack() { session_->OnLinkBack(); }

void SessionRunner::OnTransactionFound() { session_->OnTransactionFound(); }

// --- what the session asks for
// ------------------------------------------------------------------------

uint64_t SessionRunner::NowNs() const { return worker_->loop()->NowNs(); }

session::BackendLink* SessionRunner::Acquire(const session::LinkRequest& request,
                                             std::optional<session::RouterError>* error) {
  return worker_->pool()->Acquire(request, this, error);
}

void SessionRunner::CancelAcquire() { worker_->pool()->CancelAcquire(this); }
void SessionRunner::Keep(session::BackendLink* link) { worker_->pool()->Keep(link); }
bool SessionRunner::Retake(session::BackendLink* link) { return worker_->pool()->Retake(link); }
void SessionRunner::Release(session::BackendLink* link, session::ReleaseHow how) {
  // Reading may have been paused for this client's sake.
  static_cast<BackendConnection*>(link)->ResumeReading();
  worker_->pool()->Release(link, how);
}

void SessionRunner::Kill(uint64_t id, bool query_only) { worker_->KillById(this, id, query_only); }

// KILL from another session, or from this one.
void SessionRunner::BeKilled(bool query_only) {
  if (phase_ != Phase::Session) {
    if (!query_only) CloseClient();
    return;
  }
  session::BackendLink* link = session_->link();
  const bool running =
      link != nullptr && link->use == session::BackendLink::Use::kLent && session_->runs();
  if (running) worker_->pool()->KillOn(link, query_only);
  if (query_only) {
    if (session_->InterruptWaiting()) PumpInput();
    return;
  }
  CloseClient();
}

void SessionRunner::OnKillDone(bool found, uint64_t id) {
  if (phase_ != Phase::Session) return;
  session_->OnKillDone(found, id);
  PumpInput();
}

void SessionRunner::CountRestore() {
  worker_->metrics()->pool_restores[metrics::RestoreKind::kVariables].Add();
}

void SessionRunner::CountStatement(routing::ShardId shard, sql::StatementKind kind,
                                   session::Outcome outcome, uint64_t duration_ns) {
  worker_->CountStatement(this, &tenant_hint_, shard, kind, outcome, duration_ns);
}

}  // namespace bulkhead::io
