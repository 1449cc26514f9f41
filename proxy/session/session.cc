#include "proxy/session/session.h"

#include <algorithm>
#include <utility>

#include "proxy/wire/capabilities.h"
#include "proxy/wire/frame.h"
#include "proxy/wire/responses.h"

namespace bulkhead::session {

namespace {

constexpr size_t kHeaderSize = wire::kFrameHeaderSize;
constexpr uint32_t kFullFrame = wire::kMaxFramePayload;

// An execute is rewritten, so its null bitmap and types must be there whole: 140 KiB for 65,535
// parameters.
size_t HeadLimitOf(uint8_t command) {
  constexpr size_t kExecuteHeadLimit = 192 * 1024;
  const bool execute = command == static_cast<uint8_t>(wire::Command::kStmtExecute) ||
                       command == static_cast<uint8_t>(wire::Command::kMariadbStmtBulkExecute);
  return execute ? kExecuteHeadLimit : Session::kHeadLimit;
}

uint32_t FrameLength(std::span<const uint8_t> bytes) {
  return wire::LoadFrameHeader(bytes.data()).payload_size;
}

}  // namespace

Session::Session(SessionShell* shell, SessionContext* context, SessionLogin login)
    : shell_(shell), context_(context), login_(std::move(login)) {
  ForgetState();
}

Session::~Session() = default;

size_t Session::OnClientBytes(std::span<uint8_t> bytes) {
  size_t taken = 0;
  while (taken < bytes.size()) {
    size_t n = 0;
    switch (state_) {
      case State::ExpectCommand:
        n = TakeCommand(bytes.subspan(taken));
        break;
      case State::ExpectRequestRest:
        n = ForwardRequestRest(bytes.subspan(taken));
        break;
      case State::ExpectDiscard:
        n = DiscardRequestRest(bytes.subspan(taken));
        break;
      case State::ExpectLocalData:
        n = ForwardLocalData(bytes.subspan(taken));
        break;
      case State::ExpectGate:
      case State::ExpectLink:
      case State::ExpectRestore:
      case State::ExpectResponse:
      case State::ExpectKill:
      case State::ExpectLogin:
        return taken;
      case State::Closed:
        return bytes.size();
    }
    if (n == 0) break;
    taken += n;
  }
  return taken;
}

// Takes a whole command, or the first frame's first kHeadLimit bytes of a longer one.
size_t Session::TakeCommand(std::span<uint8_t> bytes) {
  if (bytes.size() < kHeaderSize) return 0;
  const uint32_t length = FrameLength(bytes);
  request_ = Request{};
  shift_.reset();
  hint_tenant_.clear();
  request_.started_ns = shell_->NowNs();
  if (bytes[3] != 0) {
    request_.last_sequence = bytes[3];
    AnswerErrorAndClose(MakeError(wire::ClientError::kPacketsOutOfOrder));
    return bytes.size();
  }
  if (length == 0) {
    AnswerErrorAndClose(MakeError(wire::ClientError::kMalformedPacket));
    return bytes.size();
  }
  request_.size = length;
  if (length > context_->max_packet) {
    request_.rest_of_frame = length;
    request_.more_frames = length == kFullFrame;
    AnswerError(MakeError(wire::ClientError::kPacketTooLarge));  // once it has been read
    return kHeaderSize;
  }
  const size_t available = std::min<size_t>(bytes.size() - kHeaderSize, length);
  if (available == 0) return 0;
  if (available < std::min<size_t>(length, HeadLimitOf(bytes[kHeaderSize]))) return 0;
  request_.rest_of_frame = length - available;
  request_.more_frames = length == kFullFrame;
  Dispatch(bytes.first(kHeaderSize + available));
  return kHeaderSize + available;
}

void Session::Dispatch(std::span<uint8_t> head) {
  request_.command = static_cast<wire::Command>(head[kHeaderSize]);
  if (lost_state_) {
    AnswerLostState();
    return;
  }
  if (OnCommandThatMayBeLong(head)) return;
  if (IsLong()) {
    AnswerErrorAndClose(MakeError(wire::ClientError::kMalformedPacket));
    return;
  }
  OnShortCommand(head);
}

size_t Session::ForwardRequestRest(std::span<uint8_t> bytes) {
  size_t taken = 0;
  while (taken < bytes.size()) {
    if (request_.rest_of_frame == 0) {
      if (!request_.more_frames) break;
      const auto header = bytes.subspan(taken);
      if (!TakeNextFrame(header)) {
        if (state_ == State::Closed) return bytes.size();
        break;
      }
      link_->Send(header.first(kHeaderSize));
      taken += kHeaderSize;
      continue;
    }
    const size_t n = std::min<size_t>(bytes.size() - taken, request_.rest_of_frame);
    link_->Send(bytes.subspan(taken, n));
    if (request_.grammar == ResponseGrammar::kPrepare && effects_ != nullptr) {
      // Prepared again on another connection, it is needed whole.
      const auto* text = reinterpret_cast<const char*>(bytes.data()) + taken;
      effects_->text.append(text, n);
    }
    request_.rest_of_frame -= n;
    taken += n;
  }
  if (!IsLong()) RequestIsComplete();
  return taken;
}

// After LOCAL INFILE was asked for, the client sends packets until an empty one; then the server
// answers.
size_t Session::ForwardLocalData(std::span<uint8_t> bytes) {
  size_t taken = 0;
  while (taken < bytes.size()) {
    if (request_.rest_of_frame > 0) {
      const size_t n = std::min<size_t>(bytes.size() - taken, request_.rest_of_frame);
      link_->Send(bytes.subspan(taken, n));
      request_.rest_of_frame -= n;
      taken += n;
      continue;
    }
    const auto header = bytes.subspan(taken);
    if (header.size() < kHeaderSize) break;
    if (!CountsOn(header[3])) return bytes.size();
    request_.rest_of_frame = FrameLength(header);
    if (shift_ != nullptr) header[3] = static_cast<uint8_t>(header[3] - shift_->by());
    link_->Send(header.first(kHeaderSize));
    taken += kHeaderSize;
    if (request_.rest_of_frame == 0) {
      state_ = State::ExpectResponse;
      tracker_.ExpectSequence(static_cast<uint8_t>(header[3] + 1));
      break;
    }
  }
  return taken;
}

void Session::AnswerOk() {
  std::vector<uint8_t>& out = context_->scratch;
  out.clear();
  wire::PacketWriter writer(&out, static_cast<uint8_t>(request_.last_sequence + 1));
  writer.Append([this](wire::ByteWriter* packet) {
    wire::OkPacket ok;
    ok.status = status_;
    wire::EncodeOk(ok, login_.capabilities, packet);
  });
  shell_->SendToClient(out);
  FinishCommand(Outcome::kOk);
}

void Session::SendError(const RouterError& error) {
  if (request_.command == wire::Command::kStmtSendLongData) {
    // Has no answer: the error is the execution's.
    if (ClientStatement* statement = CurrentStatement(); statement != nullptr)
      statement->refused_data = std::make_unique<RouterError>(error);
    return;
  }
  WriteError(error);
}

void Session::WriteError(const RouterError& error) {
  std::vector<uint8_t>& out = context_->scratch;
  out.clear();
  wire::PacketWriter writer(&out, static_cast<uint8_t>(request_.last_sequence + 1));
  writer.Append([&error](wire::ByteWriter* packet) {
    wire::EncodeErr({.code = error.code, .sqlstate = error.sqlstate, .message = error.message},
                    packet);
  });
  shell_->SendToClient(out);
}

void Session::AnswerError(const RouterError& error, Outcome outcome) {
  if (IsLong()) {
    // The client goes on sending until its command is whole: read to its end first.
    refusal_ = std::make_unique<Refusal>(Refusal{.error = error, .outcome = outcome});
    held_ = {};
    state_ = State::ExpectDiscard;
    shell_->ClientBytesWanted();
    return;
  }
  SendError(error);
  FinishCommand(outcome);
}

void Session::AnswerErrorAndClose(const RouterError& error, Outcome outcome) {
  // What the backend has is no whole request, or it has more to say: nobody else may have that.
  if (link_ != nullptr && InMidStatement())
    shell_->Release(std::exchange(link_, nullptr), ReleaseHow::kClose);
  WriteError(error);
  FinishCommand(outcome);
  Close();
}

size_t Session::DiscardRequestRest(std::span<uint8_t> bytes) {
  size_t taken = 0;
  if (refusal_->local_data) return DiscardLocalData(bytes);
  while (IsLong() && taken < bytes.size()) {
    if (request_.rest_of_frame == 0) {
      if (!TakeNextFrame(bytes.subspan(taken)))
        return state_ == State::Closed ? bytes.size() : taken;
      taken += kHeaderSize;
      continue;
    }
    const size_t n = std::min<size_t>(bytes.size() - taken, request_.rest_of_frame);
    request_.rest_of_frame -= n;
    taken += n;
  }
  if (!IsLong()) {
    const std::unique_ptr<Refusal> refusal = std::move(refusal_);
    SendError(refusal->error);
    FinishCommand(refusal->outcome);
  }
  return taken;
}

// The client sends its file to the end, whatever has become of the statement, and reads then.
size_t Session::DiscardLocalData(std::span<uint8_t> bytes) {
  size_t taken = 0;
  while (taken < bytes.size()) {
    if (request_.rest_of_frame > 0) {
      const size_t n = std::min<size_t>(bytes.size() - taken, request_.rest_of_frame);
      request_.rest_of_frame -= n;
      taken += n;
      continue;
    }
    const auto header = bytes.subspan(taken);
    if (header.size() < kHeaderSize) break;
    if (!CountsOn(header[3])) return bytes.size();
    request_.rest_of_frame = FrameLength(header);
    taken += kHeaderSize;
    if (request_.rest_of_frame > 0) continue;
    const std::unique_ptr<Refusal> refusal = std::move(refusal_);
    SendError(refusal->error);
    FinishCommand(refusal->outcome);
    if (refusal->closes) Close();
    break;
  }
  return taken;
}

// False: answered, and closed. What the backend has of the request goes with its connection.
bool Session::CountsOn(uint8_t sequence) {
  if (sequence != static_cast<uint8_t>(request_.last_sequence + 1)) {
    AnswerErrorAndClose(MakeError(wire::ClientError::kPacketsOutOfOrder));
    return false;
  }
  request_.last_sequence = sequence;
  return true;
}

bool Session::TakeNextFrame(std::span<uint8_t> header) {
  if (header.size() < kHeaderSize) return false;
  const uint32_t length = FrameLength(header);
  if (!CountsOn(header[3])) return false;
  request_.size += length;
  if (request_.size > context_->max_packet && state_ != State::ExpectDiscard) {
    // What the backend has of it is no whole command, and goes with its connection.
    AnswerErrorAndClose(MakeError(wire::ClientError::kPacketTooLarge));
    return false;
  }
  request_.rest_of_frame = length;
  request_.more_frames = length == kFullFrame;
  return true;
}

void Session::FinishCommand(Outcome outcome) {
  shell_->CountStatement(target_.shard, request_.kind, outcome,
                         shell_->NowNs() - request_.started_ns);
  if (std::exchange(request_.limited, false)) limits_.Finish();
  EndRelease(/*answered=*/outcome == Outcome::kOk || outcome == Outcome::kServerError);
  effects_.reset();
  held_ = {};
  if (state_ != State::Closed) state_ = State::ExpectCommand;
}

void Session::Close() {
  if (state_ == State::Closed) return;
  OnClientGone();
  shell_->CloseClient();
}

bool Session::OnClientUnreadable(wire::ClientError why) {
  switch (state_) {
    case State::ExpectCommand:
      request_ = Request{};
      request_.started_ns = shell_->NowNs();
      shift_.reset();
      hint_tenant_.clear();
      break;
    case State::ExpectRequestRest:
    case State::ExpectDiscard:
    case State::ExpectLocalData:
      break;
    default:
      return false;
  }
  AnswerErrorAndClose(MakeError(why));
  return true;
}

bool Session::InMidStatement() const {
  return state_ == State::ExpectRestore || state_ == State::ExpectRequestRest ||
         state_ == State::ExpectResponse || state_ == State::ExpectLocalData;
}

void Session::OnClientGone() {
  if (state_ == State::Closed) return;
  const State was = state_;
  const bool in_mid_statement = InMidStatement();
  state_ = State::Closed;
  if (was == State::ExpectLink) shell_->CancelAcquire();
  if (was == State::ExpectGate) shell_->LeaveGate();
  EndRelease(/*answered=*/false);
  if (link_ == nullptr) return;
  // A connection that is kept or pinned goes back; the pool resets what others must not see.
  GiveBack(in_mid_statement ? ReleaseHow::kClose : ReleaseHow::kFree);
}

RouterError Session::MakeError(wire::ClientError code, std::string_view detail) const {
  return MakeRouterError(code, detail, tenant_of_command());
}

bool Session::InterruptWaiting() {
  if (state_ != State::ExpectLink && state_ != State::ExpectGate) return false;
  if (state_ == State::ExpectGate) {
    shell_->LeaveGate();
  } else {
    shell_->CancelAcquire();
  }
  AnswerError(MakeError(wire::ClientError::kQueryInterrupted));
  return true;
}

}  // namespace bulkhead::session
