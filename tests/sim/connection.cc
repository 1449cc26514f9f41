#include "tests/sim/connection.h"

#include <utility>

#include "proxy/wire/frame.h"

namespace bulkhead::sim {

void Connection::Open(Server* server, Random random, Ns keepalive) {
  tcp_ = std::make_shared<Tcp>(scheduler_, &server->link, random);
  tcp_->Connect(weak_from_this(),
                [server](std::shared_ptr<Tcp> tcp) { return server->Accept(std::move(tcp)); });
  tcp_->KeepAlive(keepalive);
}

void Connection::Send(const Bytes& bytes) {
  if (tcp_ != nullptr) tcp_->Send(Tcp::Side::kRouter, bytes);
}

void Connection::Forget() {
  user_ = nullptr;
  stage_ = Stage::kEnded;
}

void Connection::Close() {
  if (stage_ == Stage::kReady) Send({1, 0, 0, 0, 1});  // COM_QUIT
  Forget();
  if (tcp_ == nullptr) return;
  if (tcp_->connected()) {
    tcp_->Close(Tcp::Side::kRouter);
  } else {
    tcp_->Abort(Tcp::Side::kRouter);
  }
}

void Connection::Abort() {
  Forget();
  if (tcp_ != nullptr) tcp_->Abort(Tcp::Side::kRouter);
}

std::optional<bool> Connection::Acknowledged() const {
  if (tcp_ == nullptr || !tcp_->connected()) return std::nullopt;
  return tcp_->Acknowledged(Tcp::Side::kRouter);
}

void Connection::Hear(std::function<void()> what) {
  ++unheard_;
  scheduler_->AfterOn(actor_, 0, Turn::kOther, [self = shared_from_this(), what = std::move(what)] {
    --self->unheard_;
    if (self->user_ != nullptr) what();
  });
}

void Connection::OnConnected() {
  Hear([this] { stage_ = Stage::kGreeting; });
}

void Connection::OnBytes(const Bytes& bytes) {
  Hear([this, bytes] {
    user_->OnAnyBytes(bytes.size());
    if (stage_ == Stage::kReady) {
      Bytes mine = bytes;
      user_->OnReceived(&mine);
    } else {
      OnLoginBytes(bytes);
    }
  });
}

void Connection::OnEnd(End end) {
  Hear([this, end] {
    ConnectionUser* user = user_;
    Forget();
    user->OnEnded(end);
  });
}

void Connection::OnLoginBytes(Bytes bytes) {
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  wire::PacketExtent extent;
  if (wire::FindPacket(input_, 1024, &extent) != wire::FindResult::kPacket) return;
  if (stage_ == Stage::kGreeting) {
    thread_id_ =
        static_cast<uint32_t>(input_[5] | input_[6] << 8 | input_[7] << 16 | input_[8] << 24);
    input_.clear();
    stage_ = Stage::kLogin;
    Send({1, 0, 0, 1, Server::kLogin});
    return;
  }
  input_.clear();
  stage_ = Stage::kReady;
  user_->OnOpen();
}

}  // namespace bulkhead::sim
