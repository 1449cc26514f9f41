#include "tests/sim/network.h"

#include <algorithm>
#include <utility>

namespace bulkhead::sim {

namespace {

constexpr uint64_t kWindow = 14'600;  // Linux's initial congestion window: ten segments
constexpr uint64_t kSegment = 1'460;
constexpr Ns kFirstTimeout = 200 * kMs;
constexpr Ns kLastTimeout = 2 * kSecond;
constexpr Ns kSynAgain = kSecond;

}  // namespace

void Tcp::Deliver(Side side, Callback callback) {
  if (!Open(side)) return;
  Half& half = from(side);
  const Ns delay = link_->latency + random_.Between(0, link_->jitter);
  half.last_arrival = std::max(half.last_arrival, scheduler_->now() + delay);
  scheduler_->After(half.last_arrival - scheduler_->now(),
                    [self = shared_from_this(), callback = std::move(callback)] { callback(); });
}

void Tcp::Connect(std::weak_ptr<TcpUser> router,
                  std::function<std::shared_ptr<TcpUser>(std::shared_ptr<Tcp>)> accept) {
  router_ = std::move(router);
  accept_ = std::move(accept);
  SendSyn();
}

void Tcp::SendSyn() {
  if (connected_ || up_.sender_gone) return;
  scheduler_->After(kSynAgain, [self = shared_from_this()] { self->SendSyn(); });
  Deliver(Side::kRouter, [this] {
    if (server_.lock() == nullptr) {
      const std::shared_ptr<TcpUser> server = accept_(shared_from_this());
      if (server == nullptr) {
        Deliver(Side::kServer, [this] {
          if (connected_ || std::exchange(up_.sender_gone, true)) return;
          if (const auto user = UserOf(Side::kRouter)) user->OnEnd(TcpUser::End::kRefused);
        });
        return;
      }
      server_ = server;
    }
    Deliver(Side::kServer, [this] {
      if (up_.sender_gone) {
        SendReset(Side::kRouter);
        return;
      }
      if (std::exchange(connected_, true)) return;
      if (const auto user = UserOf(Side::kRouter)) user->OnConnected();
      Pump(Side::kRouter);
      Pump(Side::kServer);
    });
  });
}

void Tcp::Send(Side side, const Bytes& bytes) {
  Half& half = from(side);
  if (half.sender_gone || half.fin) return;
  half.buffer.insert(half.buffer.end(), bytes.begin(), bytes.end());
  half.end += bytes.size();
  Pump(side);
}

void Tcp::Close(Side side) {
  Half& half = from(side);
  if (half.sender_gone || half.fin) return;
  half.fin = true;
  from(Other(side)).receiver_gone = true;
  Pump(side);
}

void Tcp::Abort(Side side) {
  Half& half = from(side);
  from(Other(side)).receiver_gone = true;
  if (std::exchange(half.sender_gone, true)) return;
  half.buffer.clear();
  half.end = half.una = half.next = half.sent;
  SendReset(side);
}

void Tcp::SendReset(Side side) {
  Deliver(side, [this, side] {
    from(Other(side)).sender_gone = true;
    from(side).receiver_gone = true;
    if (const auto user = UserOf(Other(side))) user->OnEnd(TcpUser::End::kReset);
  });
}

void Tcp::KeepAlive(Ns interval) {
  scheduler_->After(interval, [self = shared_from_this(), interval] { self->Ask(interval); });
}

void Tcp::Ask(Ns interval) {
  constexpr uint32_t kGivesUpAfter = 3;
  if (up_.sender_gone || up_.fin || down_.receiver_gone) return;
  if (connected_ && ++unanswered_ > kGivesUpAfter) {
    Abort(Side::kRouter);
    if (const auto user = UserOf(Side::kRouter)) user->OnEnd(TcpUser::End::kReset);
    return;
  }
  Deliver(Side::kRouter, [this] {
    if (down_.sender_gone) {
      SendReset(Side::kServer);
    } else {
      Deliver(Side::kServer, [this] { unanswered_ = 0; });
    }
  });
  KeepAlive(interval);
}

bool Tcp::Stuck(Side side) const {
  const Half& half = from(side);
  return connected_ && half.end > half.sent && half.in_loss;
}

bool Tcp::Acknowledged(Side side) const { return from(side).una >= from(side).end; }

void Tcp::Pump(Side side) {
  Half& half = from(side);
  if (half.sender_gone || !connected_) return;
  const uint64_t window = half.in_loss ? kSegment : kWindow;
  const uint64_t last = half.end + (half.fin ? 1 : 0);
  while (half.next < last && half.next - half.una < window) {
    const uint64_t end = std::min(half.end, half.una + window);
    const bool fin = half.fin && end == half.end;
    Transmit(side, half.next, end, fin);
    half.next = end + (fin ? 1 : 0);
    half.sent = std::max(half.sent, std::min(half.next, half.end));
  }
  if (half.next > half.una && half.timeout == 0) {
    half.timeout = kFirstTimeout;
    StartTimer(side);
  }
}

void Tcp::Transmit(Side side, uint64_t begin, uint64_t end, bool fin) {
  const Half& half = from(side);
  const auto at = [&](uint64_t place) {
    return half.buffer.begin() + static_cast<ptrdiff_t>(place - half.una);
  };
  const Bytes bytes(at(std::min(begin, half.end)), at(end));
  Deliver(side, [this, side, begin, bytes, fin] { Arrive(side, begin, bytes, fin); });
}

void Tcp::Arrive(Side side, uint64_t begin, const Bytes& bytes, bool fin) {
  Half& half = from(side);
  if (half.receiver_gone) {
    SendReset(Other(side));
    return;
  }
  if (begin > half.received) return;  // a segment before it was lost
  const std::shared_ptr<TcpUser> user = UserOf(Other(side));
  const uint64_t known = half.received - begin;
  if (known < bytes.size() && user != nullptr) {
    const size_t count = std::min(bytes.size() - known, user->Room());
    const Bytes fresh(bytes.begin() + static_cast<ptrdiff_t>(known),
                      bytes.begin() + static_cast<ptrdiff_t>(known + count));
    half.received += count;
    if (count > 0) user->OnBytes(fresh);
  }
  const bool whole = half.received == begin + bytes.size();
  if (fin && whole && !half.fin_received) {
    half.fin_received = true;
    ++half.received;
    if (user != nullptr) user->OnEnd(TcpUser::End::kClosed);
  }
  Deliver(Other(side), [this, side, up_to = half.received] { Acknowledge(side, up_to); });
}

void Tcp::Acknowledge(Side side, uint64_t up_to) {
  Half& half = from(side);
  if (half.sender_gone || up_to <= half.una) return;
  const uint64_t bytes = std::min(up_to, half.end) - half.una;
  half.buffer.erase(half.buffer.begin(), half.buffer.begin() + static_cast<ptrdiff_t>(bytes));
  half.una = up_to;
  half.next = std::max(half.next, half.una);
  half.in_loss = false;
  half.timeout = 0;
  ++half.timer;
  Pump(side);
}

void Tcp::StartTimer(Side side) {
  Half& half = from(side);
  scheduler_->After(half.timeout, [self = shared_from_this(), this, side, timer = ++half.timer] {
    Half& late = from(side);
    if (late.timer != timer || late.sender_gone || late.una >= late.next) return;
    late.in_loss = true;
    late.next = late.una;
    late.timeout = std::min(late.timeout * 2, kLastTimeout);
    Pump(side);
    StartTimer(side);
  });
}

}  // namespace bulkhead::sim
