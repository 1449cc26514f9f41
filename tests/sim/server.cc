// The process of a simulated server: when it runs what. What a command does is in
// server_commands.cc.

#include "tests/sim/server.h"

#include <algorithm>
#include <utility>

#include "proxy/wire/frame.h"
#include "tests/sim/server_thread.h"

namespace bulkhead::sim {

namespace {

constexpr size_t kReceiveBuffer = 128 * 1024;

}  // namespace

// The kernel's side of a connection: lives as long as the process has it open.
struct Server::Socket : TcpUser {
  Socket(Server* owner, uint32_t id) : server(owner), thread(id) {}
  void OnBytes(const Bytes& bytes) override {
    Thread* at = server->Find(thread);
    if (at == nullptr) return;
    at->input.insert(at->input.end(), bytes.begin(), bytes.end());
    server->Wake(thread);
  }
  [[nodiscard]] size_t Room() const override {
    const Thread* at = server->Find(thread);
    return at == nullptr ? 0 : kReceiveBuffer - std::min(kReceiveBuffer, at->input.size());
  }
  void OnEnd(End) override {
    Thread* at = server->Find(thread);
    if (at == nullptr) return;
    at->peer_gone = true;
    server->Wake(thread);
  }
  Server* server;
  uint32_t thread;
};

wire::Capabilities CapabilitiesOf(size_t server) {
  constexpr wire::Capabilities kAlways = wire::kClientProtocol41 | wire::kClientTransactions |
                                         wire::kClientSecureConnection | wire::kClientPluginAuth |
                                         wire::kClientConnectWithDb | wire::kClientMultiResults |
                                         wire::kClientPsMultiResults;
  return server % 2 == 0 ? kAlways | wire::kClientDeprecateEof : kAlways;
}

Server::Server(size_t index, Scheduler* scheduler, Trace* trace, ServerWatcher* watcher,
               Random random)
    : index_(index), scheduler_(scheduler), trace_(trace), watcher_(watcher), random_(random) {}

Server::~Server() = default;

Server::Thread* Server::Find(uint32_t thread) {
  auto it = threads_.find(thread);
  return it == threads_.end() ? nullptr : it->second.get();
}

size_t Server::busy() const {
  size_t count = 0;
  for (const auto& [id, thread] : threads_) count += thread->busy ? 1 : 0;
  return count;
}

std::shared_ptr<TcpUser> Server::Accept(std::shared_ptr<Tcp> connection) {
  if (!alive_) return nullptr;
  auto thread = std::make_unique<Thread>();
  thread->id = ++last_thread_;
  thread->connection = std::move(connection);
  auto socket = std::make_shared<Socket>(this, thread->id);
  thread->socket = socket;
  const uint32_t id = thread->id;
  threads_[id] = std::move(thread);
  Wake(id);
  return socket;
}

// --- faults

void Server::Freeze() {
  frozen_ = true;
  trace_->Note("fault", index_, 1, [this] { return Name() + " freezes"; });
}

void Server::Thaw() {
  if (!std::exchange(frozen_, false)) return;
  trace_->Note("fault", index_, 2, [this] { return Name() + " goes on"; });
  // Some go on at once; others find their pages gone, or their locks taken.
  for (const auto& [id, thread] : threads_) {
    const Ns late = random_.Chance(300) ? random_.Between(0, 3000) * kMs : 0;
    scheduler_->After(late, [this, id = id, incarnation = incarnation_] {
      if (incarnation == incarnation_) Wake(id);
    });
  }
}

void Server::SetCommitsHang(bool hang) {
  commits_hang_ = hang;
  if (hang) return;
  for (const auto& [id, thread] : threads_) Wake(id);
}

void Server::SetDrip(bool drip) {
  drip_ = drip;
  if (drip) return;
  for (const auto& [id, thread] : threads_) {
    const Bytes rest = std::exchange(thread->dripping, {});
    if (!rest.empty()) thread->connection->Send(Tcp::Side::kServer, rest);
  }
}

void Server::Crash() {
  if (!std::exchange(alive_, false)) return;
  trace_->Note("fault", index_, 3, [this] { return Name() + " dies"; });
  frozen_ = false;
  ++incarnation_;
  for (const auto& [id, thread] : threads_) thread->connection->Abort(Tcp::Side::kServer);
  threads_.clear();
}

void Server::Start() {
  if (std::exchange(alive_, true)) return;
  trace_->Note("fault", index_, 4, [this] { return Name() + " is started again"; });
  // The router is told of a start that is clearly another, whatever it makes that out from.
  started_at_s_ += 1'000 + scheduler_->now() / kSecond;
  last_thread_ = 0;
}

// --- a thread's work

void Server::Wake(uint32_t id) {
  if (frozen_) return;
  scheduler_->After(random_.Between(1, 20) * kUs, [this, id, incarnation = incarnation_] {
    if (incarnation != incarnation_ || frozen_) return;
    Thread* thread = Find(id);
    if (thread == nullptr) return;
    if (thread->due) {
      Complete(id);
    } else {
      Process(id);
    }
  });
}

void Server::Process(uint32_t id) {
  Thread* thread = Find(id);
  if (thread == nullptr || thread->busy) return;
  if (thread->killed) {
    End(id, /*abort=*/false);
    return;
  }
  if (!std::exchange(thread->greeted, true)) {
    Bytes greeting;
    wire::PacketWriter(&greeting, 0).Append([&](wire::ByteWriter* packet) {
      packet->WriteU8(kGreeting);
      packet->WriteU32(id);
    });
    Answer(thread, greeting);
  }
  wire::PacketExtent extent;
  const wire::FindResult found = wire::FindPacket(thread->input, size_t{1} << 24, &extent);
  if (found != wire::FindResult::kPacket) {
    if (thread->peer_gone) End(id, /*abort=*/false);
    return;
  }
  std::vector<uint8_t> scratch;
  const auto payload = wire::PacketPayload(thread->input, extent, &scratch);
  thread->command.assign(payload.begin(), payload.end());
  thread->sequence = static_cast<uint8_t>(thread->input[3] + 1);
  thread->input.erase(thread->input.begin(),
                      thread->input.begin() + static_cast<ptrdiff_t>(extent.wire_size));
  if (thread->command.empty() || thread->command[0] == 1) {  // COM_QUIT
    End(id, /*abort=*/false);
    return;
  }
  thread->busy = true;
  scheduler_->After(CostOf(*thread), [this, id, incarnation = incarnation_] {
    if (incarnation != incarnation_) return;
    if (Thread* at = Find(id); at != nullptr) {
      at->due = true;
      if (!frozen_) Complete(id);
    }
  });
}

Ns Server::CostOf(const Thread& thread) {
  constexpr size_t kCores = 4;
  const Ns least = thread.command[0] == 3 || thread.command[0] == 0x17 ? 300 * kUs : 30 * kUs;
  const Ns cost = random_.Between(least, 3 * least);
  return cost * slowness_ * static_cast<Ns>(std::max<size_t>(1, busy() / kCores));
}

void Server::Complete(uint32_t id) {
  Thread* thread = Find(id);
  if (thread == nullptr || !thread->due || frozen_) return;
  if (commits_hang_ && Commits(*thread)) return;  // goes on when they don't any more
  thread->due = false;
  thread->busy = false;
  // Killed before it came to its end: rolled back, unless it was past the last point at which it
  // looks.
  constexpr uint32_t kTooLatePermille = 300;
  if (thread->killed && !random_.Chance(kTooLatePermille)) {
    End(id, /*abort=*/false);
    return;
  }
  Execute(thread);
  Process(id);
}

void Server::End(uint32_t id, bool abort) {
  auto it = threads_.find(id);
  if (it == threads_.end()) return;
  const std::unique_ptr<Thread> gone = std::move(it->second);
  threads_.erase(it);
  if (abort) {
    gone->connection->Abort(Tcp::Side::kServer);
  } else {
    gone->connection->Close(Tcp::Side::kServer);
  }
}

// --- answers

void Server::Answer(Thread* thread, const Bytes& bytes) {
  if (!drip_ && thread->dripping.empty()) {
    thread->connection->Send(Tcp::Side::kServer, bytes);
    return;
  }
  const bool idle = thread->dripping.empty();
  thread->dripping.insert(thread->dripping.end(), bytes.begin(), bytes.end());
  if (idle) Drip(thread->id);
}

void Server::Drip(uint32_t id) {
  scheduler_->After(kSecond, [this, id, incarnation = incarnation_] {
    if (incarnation != incarnation_) return;
    Thread* thread = Find(id);
    if (thread == nullptr || thread->dripping.empty()) return;
    if (!frozen_) {
      thread->connection->Send(Tcp::Side::kServer, {thread->dripping.front()});
      thread->dripping.erase(thread->dripping.begin());
    }
    if (!thread->dripping.empty()) Drip(id);
  });
}

}  // namespace bulkhead::sim
