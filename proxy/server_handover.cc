// SIGUSR2: another process of this router takes over from this one, or this one from another.

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/control/sqlite_store.h"
#include "proxy/log/log.h"
#include "proxy/server_impl.h"
#include "proxy/service_manager.h"

namespace bulkhead {

namespace {

HandoverChannel::Duration Milliseconds(routing::Duration duration) {
  return HandoverChannel::Duration(routing::ToMillis(duration));
}

// The next number that no process has whose sessions live.
std::optional<uint32_t> NextNumber(uint32_t own, const std::vector<uint32_t>& used) {
  for (uint32_t i = 1; i < io::Worker::kMaxProcesses; ++i) {
    const uint32_t next = (own + i) % io::Worker::kMaxProcesses;
    if (std::find(used.begin(), used.end(), next) == used.end()) return next;
  }
  return std::nullopt;
}

}  // namespace

// --- the new process
// ------------------------------------------------------------------------------------------------

void Server::Failed(const std::string& why) {
  if (impl_->inheritance != nullptr) impl_->inheritance->Failed(why);
}

std::string Server::Impl::Inherit(const std::shared_ptr<const auth::RsaKeyPair>& rsa) {
  std::string error = inheritance->Receive(&given);
  if (!error.empty()) return error;
  process = inheritance->process();
  // All that can be wrong without the store shows itself before the old process lets go of it.
  const io::TlsContext::Ptr tls = MakeClientTls(options->client_tls, nullptr, &error);
  if (tls == nullptr) return error;
  if ((void)MakeBackendTls(*options, &error); !error.empty()) return error;
  if ((void)MakeListeners(*options, tls, rsa, &error); !error.empty()) return error;
  if (!inheritance->AwaitStore()) {
    log::Warn(log::event::kHandover, {{"what", "alone"}},
              "the process that hands over has ended before it did: this one begins alone");
    inheritance.reset();
  }
  return {};
}

// --- the old process
// ------------------------------------------------------------------------------------------------

std::vector<GivenSocket> Server::Impl::OpenSockets() const {
  std::vector<GivenSocket> sockets;
  const auto add = [&](int fd, const char* name, bool keep_file) {
    sockets.push_back({.fd = fd, .name = name, .address = {}, .keep_file = keep_file});
  };
  for (const auto& worker : workers) {
    for (const io::Worker::OpenSocket& socket : worker->sockets())
      add(socket.fd, "mysql", socket.keep_file);
  }
  if (admin != nullptr) add(admin->socket(), "admin", admin->keeps_file());
  return sockets;
}

void Server::Impl::BeginHandover() {
  if (handing_over) return;
  if (handed_over) {
    log::Warn(log::event::kHandover, {{"what", "refused"}},
              "SIGUSR2: this process has handed over already; the one that serves is another");
    return;
  }
  handing_over = true;
  hander = std::thread([this] {
    HandOver();
    kill(getpid(), HandoverSignal());
  });
}

bool Server::Impl::EndHandover() {
  if (!handing_over) return false;
  hander.join();
  handing_over = false;
  if (handed_over && http != nullptr) http->StopListening();
  return true;
}

void Server::Impl::HandOver() {
  log::Info(log::event::kHandover, {{"what", "begins"}},
            "SIGUSR2: a new process is started from " + ProgramPath());
  const std::string error = TryToHandOver();
  if (error.empty()) return;
  log::Error(log::event::kHandover, {{"what", "failed"}},
             "the new process does not take over, this one goes on as before: " + error);
  control->NoteEvent("process", absl::StrCat(getpid()), "no new process takes over: " + error);
  service_manager::Status("serving; a new process did not take over, see the log");
}

std::string Server::Impl::TryToHandOver() {
  const config::Options::Upgrade times = reloader->Current()->upgrade;
  const std::optional<uint32_t> number = NextNumber(process, control->SeenPredecessors().numbers);
  if (!number.has_value())
    return absl::StrCat("sessions of ", io::Worker::kMaxProcesses - 1,
                        " earlier processes still live: wait, or end those");
  Bequest::Hello hello{.process = *number, .sockets = OpenSockets()};
  const int http_copy = http == nullptr ? -1 : http->CopySocket();
  if (http_copy >= 0)
    hello.sockets.push_back({.fd = http_copy, .name = "http", .address = {}, .keep_file = true});
  Bequest bequest;
  std::string error = bequest.Start(hello);
  if (http_copy >= 0) close(http_copy);
  if (error.empty()) error = bequest.AwaitReady(Milliseconds(times.start_timeout));
  if (!error.empty()) return error;

  std::promise<absl::StatusOr<std::unique_ptr<control::StoreThread>>> given_promise;
  control->GiveStore([&](auto store) { given_promise.set_value(std::move(store)); });
  absl::StatusOr<std::unique_ptr<control::StoreThread>> store = given_promise.get_future().get();
  if (!store.ok()) return std::string(store.status().message());
  store->reset();  // what was to be stored is on disk
  error = bequest.Go(Milliseconds(times.start_timeout));
  if (!error.empty()) {
    bequest.End();
    const std::string lost = TakeStoreBack();
    return lost.empty() ? error : absl::StrCat(error, "; and ", lost);
  }

  handed_over = true;
  facts.life = ProcessFacts::Life::kDraining;
  for (const auto& worker : workers) worker->StopAccepting();
  service_manager::MainPid(bequest.pid());
  control->Follow(bequest.Release(), bequest.pid(), times.drain_timeout);
  if (admin != nullptr) {
    admin->KeepFile();
    admin->Stop();
  }
  log::Info(log::event::kHandover, {{"what", "handed over"}},
            absl::StrCat("has handed over to pid ", bequest.pid(), ": ", accounts->clients.load(),
                         " sessions go on here until they leave"));
  return {};
}

// The new process is gone, and with it its lock.
std::string Server::Impl::TakeStoreBack() {
  absl::StatusOr<std::unique_ptr<control::SqliteStore>> store =
      control::SqliteStore::Open(options->state_dir);
  absl::StatusOr<control::StoredState> state = absl::UnknownError("");
  if (store.ok()) state = (*store)->Load();
  const absl::Status status = store.ok() ? state.status() : store.status();
  if (!status.ok()) {
    control->TakeStoreBack(nullptr, 0);
    return "the topology store can't be opened again (nothing is stored until a restart): " +
           std::string(status.message());
  }
  control->TakeStoreBack(*std::move(store), state->revision);
  return {};
}

}  // namespace bulkhead
