// The pool against a server that logs in whoever comes and says nothing more.
#include "proxy/io/backend_pool.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/io/loop_fixture.h"

namespace bulkhead::io {
namespace {

using namespace std::chrono_literals;

// A port of ours that refuses: nobody else's server can take it meanwhile.
class ClosedPort {
 public:
  ClosedPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(socket_, generic, length), 0);
    EXPECT_EQ(getsockname(socket_, generic, &length), 0);
    port_ = ntohs(address.sin_port);
  }
  ClosedPort(const ClosedPort&) = delete;
  ClosedPort& operator=(const ClosedPort&) = delete;
  ~ClosedPort() { close(socket_); }
  [[nodiscard]] uint16_t port() const { return port_; }

 private:
  int socket_;
  uint16_t port_ = 0;
};

// Answers logins with OK, the pool's question for defaults with an error, and nothing else.
class SilentServer {
 public:
  // Port 0: any.
  explicit SilentServer(uint16_t port) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int one = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener_, generic, length), 0);
    EXPECT_EQ(listen(listener_, 64), 0);
    EXPECT_EQ(getsockname(listener_, generic, &length), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { Serve(); });
  }
  ~SilentServer() {
    stop_ = true;
    thread_.join();
    for (const Peer& peer : peers_) close(peer.fd);
    close(listener_);
  }
  [[nodiscard]] uint16_t port() const { return port_; }

 private:
  struct Peer {
    int fd;
    std::string input{};
    bool logged_in = false;
  };

  void Serve() {
    while (!stop_) {
      std::vector<pollfd> fds = {{listener_, POLLIN, 0}};
      for (const Peer& peer : peers_) fds.push_back({peer.fd, POLLIN, 0});
      if (poll(fds.data(), fds.size(), 5) <= 0) continue;
      for (size_t i = 1; i < fds.size(); ++i) {
        if (fds[i].revents != 0) OnReadable(&peers_[i - 1]);
      }
      std::erase_if(peers_, [](const Peer& peer) { return peer.fd < 0; });
      if (fds[0].revents != 0) Greet(accept(listener_, nullptr, nullptr));
    }
  }
  void Greet(int fd) {
    std::string greeting(
        "\x0a"
        "8.0.30\0\1\0\0\0"
        "12345678\0",
        21);
    greeting += std::string("\x01\x82\x2d\x02\x00\x08\x00\x15", 8);  // protocol 4.1, plugins
    greeting += std::string(10, '\0') + std::string("123456789012\0", 13);
    greeting += std::string("mysql_native_password\0", 22);
    Send(fd, 0, greeting);
    peers_.push_back({fd});
  }
  void OnReadable(Peer* peer) {
    char bytes[4096];
    const ssize_t size = recv(peer->fd, bytes, sizeof bytes, 0);
    if (size <= 0) {
      close(std::exchange(peer->fd, -1));
      return;
    }
    peer->input.append(bytes, static_cast<size_t>(size));
    if (!std::exchange(peer->logged_in, true)) {
      Send(peer->fd, 2, std::string("\0\0\0\2\0\0\0", 7));
    } else if (peer->input.find("@@global.wait_timeout") != std::string::npos) {
      Send(peer->fd, 1, std::string("\xff\x15\x04#42000no", 11));
    }
    peer->input.clear();
  }
  static void Send(int fd, uint8_t sequence, const std::string& payload) {
    std::string packet(1, static_cast<char>(payload.size()));
    packet.append({'\0', '\0', static_cast<char>(sequence)});
    packet.append(payload);
    EXPECT_EQ(send(fd, packet.data(), packet.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(packet.size()));
  }

  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::vector<Peer> peers_;
  std::thread thread_;
};

class User final : public LinkUser {
 public:
  explicit User(EventLoop* loop) : loop_(loop) {}
  void OnLink(session::BackendLink* link) override {
    this->link = link;
    at_ns = loop_->NowNs();
  }
  void OnLinkFailed(const session::RouterError& error) override { failed = error.message; }
  void OnLinkBytes(std::span<uint8_t>) override {}
  void OnLinkWritable() override {}
  void OnLinkLost(bool) override { link = nullptr; }
  void OnLinkRobbed(session::SavedDiagnostics) override { link = nullptr; }
  void OnTransactionFound() override {}
  void OnLinkBack() override {}
  void OnLinkGivenUp(bool) override {
    given_up = true;
    link = nullptr;
  }

  session::BackendLink* link = nullptr;
  uint64_t at_ns = 0;
  std::string failed;
  bool given_up = false;

 private:
  EventLoop* const loop_;
};

class BackendPoolTest : public LoopTest {
 protected:
  void Make(uint16_t port) {
    routing::TopologyBuilder builder;
    ASSERT_TRUE(
        builder.AddBackend({.name = "b", .address = {.host = "127.0.0.1", .port = port}}).ok());
    topology_ = builder.Build().value();
    backend_ = topology_->FindBackend("b")->id;
    BackendPool::Options options;
    options.acquire_timeout_ms = 1000;
    options.failure_pause_ms = 20;
    pool_ = std::make_unique<BackendPool>(
        &loop_, options,
        [](const routing::Backend& backend, const session::SessionLogin& login) {
          BackendConnection::Options connection;
          connection.address = backend.address;
          connection.login.user = login.user->name;
          connection.login.secret = auth::LoginSecret::Plaintext(auth::Secret("secret"));
          connection.login.tls = session::BackendTls::kDisabled;
          return connection;
        },
        [this](const routing::Backend&) { return &budget_; }, &states_, &metrics_);
    pool_->SetTopology(topology_);
    auto user = std::make_shared<auth::UserRecord>();
    user->name = "app";
    login_.user = user;
    login_.collation = 45;
    login_.pool_account = pool_->AccountOf(login_);
    state_ = states_.AtLogin(45, {}, false);
  }
  void TearDown() override {
    if (pool_ == nullptr) return;
    for (auto& user : users_) {
      pool_->Forget(user.get());
      if (user->link != nullptr) pool_->Release(user->link, session::ReleaseHow::kClose);
    }
    pool_->Shutdown();
    EXPECT_TRUE(RunUntil([this] { return pool_->empty(); }));
    pool_.reset();
    Settle();
  }

  User* NewUser() { return users_.emplace_back(std::make_unique<User>(&loop_)).get(); }
  void Ask(User* user, bool waits_out) {
    std::optional<session::RouterError> error;
    session::BackendLink* link = pool_->Acquire({.target = {.shard = {}, .backend = backend_},
                                                 .login = &login_,
                                                 .state = &state_,
                                                 .waits_out = waits_out},
                                                user, &error);
    if (error.has_value()) user->OnLinkFailed(*error);
    if (link != nullptr) user->OnLink(link);
  }
  // A request whose answer never comes.
  void StartRequest(User* user) {
    user->link->Send(
        AsBytes(std::string_view("\x04\0\0\0\x03"
                                 "DO1",
                                 8)));
    user->link->BeginExchange(/*may_write=*/true);
  }

  std::shared_ptr<const routing::Topology> topology_;
  routing::BackendId backend_;
  routing::ConnectionBudget budget_{8};
  session::StateInterner states_;
  metrics::WorkerMetrics metrics_{"worker-0"};
  session::SessionLogin login_;
  session::StateVectorPtr state_;
  std::vector<std::unique_ptr<User>> users_;
  std::unique_ptr<BackendPool> pool_;
};

TEST_F(BackendPoolTest, GivesUpOnlyWhatWasSilentForLongEnough) {
  SilentServer server(0);
  Make(server.port());
  User* old = NewUser();
  User* young = NewUser();
  for (User* user : {old, young}) Ask(user, false);
  ASSERT_TRUE(RunUntil([&] { return old->link != nullptr && young->link != nullptr; }));
  StartRequest(old);
  const uint64_t between = uv_hrtime();
  ASSERT_TRUE(RunUntil([&] { return loop_.NowNs() > between; }));
  StartRequest(young);
  // Only the old one, also where all may be silent but not yet for so long.
  EXPECT_EQ(pool_->GiveUp(backend_, /*writes_only=*/true, 0).size(), 0u);
  EXPECT_FALSE(old->given_up);
  const std::vector<AbandonedConnection> first = pool_->GiveUp(backend_, true, between + 1);
  EXPECT_TRUE(old->given_up);
  EXPECT_FALSE(young->given_up);
  EXPECT_LE(first.size(), 1u);
  EXPECT_TRUE(young->link != nullptr);
  (void)pool_->GiveUp(backend_, false, UINT64_MAX);
  EXPECT_TRUE(young->given_up);
}

TEST_F(BackendPoolTest, WhatSessionsHoldIdleIsGivenUpOnlyWhereTheShardLeaves) {
  SilentServer server(0);
  Make(server.port());
  User* idle = NewUser();
  Ask(idle, false);
  ASSERT_TRUE(RunUntil([&] { return idle->link != nullptr; }));
  EXPECT_EQ(pool_->GiveUp(backend_, false, UINT64_MAX).size(), 0u);
  EXPECT_FALSE(idle->given_up);
  EXPECT_EQ(pool_->GiveUp(backend_, false, UINT64_MAX, /*idle_too=*/true).size(), 0u);
  EXPECT_TRUE(idle->given_up);
}

TEST_F(BackendPoolTest, WaitsUntilTheBackendIsThereAgain) {
  auto server = std::make_unique<SilentServer>(0);
  const uint16_t port = server->port();
  server.reset();
  Make(port);
  User* patient = NewUser();
  User* another = NewUser();
  User* hasty = NewUser();
  Ask(patient, true);
  Ask(another, true);
  ASSERT_TRUE(RunUntil([&] {
    return metrics_.backend(backend_.index).connects[metrics::ConnectResult::kError].Read() >= 3;
  })) << "it is tried now and then";
  Ask(hasty, false);
  ASSERT_TRUE(RunUntil([&] { return !hasty->failed.empty(); }));
  EXPECT_EQ(patient->failed, "");
  EXPECT_LE(budget_.lent(), 1u) << "one at a time";
  server = std::make_unique<SilentServer>(port);
  EXPECT_TRUE(RunUntil([&] { return patient->link != nullptr && another->link != nullptr; }));
  EXPECT_EQ(patient->failed + another->failed, "");
}

TEST_F(BackendPoolTest, WaitsNoLongerThanItsTime) {
  const ClosedPort closed;
  Make(closed.port());
  User* user = NewUser();
  const uint64_t asked = loop_.NowNs();
  Ask(user, true);
  ASSERT_TRUE(RunUntil([&] {
    pool_->Tick(loop_.NowNs());
    return !user->failed.empty();
  }));
  EXPECT_GE(loop_.NowNs() - asked, 1'000'000'000u);
  EXPECT_NE(user->failed.find("refused"), std::string::npos) << user->failed;
  EXPECT_EQ(budget_.waiting(), 0u);
  EXPECT_TRUE(RunUntil([&] { return budget_.lent() == 0; }))
      << "an attempt may have been under way";
}

TEST_F(BackendPoolTest, OpensConnectionsAtThePace) {
  SilentServer server(0);
  Make(server.port());
  budget_.SetPace(10);  // one at a time, a tenth of a second apart
  std::vector<User*> users;
  for (int i = 0; i < 4; ++i) {
    users.push_back(NewUser());
    Ask(users.back(), true);
  }
  // Without Tick: it wakes itself.
  ASSERT_TRUE(RunUntil([&] { return users.back()->link != nullptr; }));
  for (const User* user : users) EXPECT_TRUE(user->link != nullptr);
  EXPECT_GE(users.back()->at_ns - users.front()->at_ns, 3 * 90'000'000u);
}

}  // namespace
}  // namespace bulkhead::io
