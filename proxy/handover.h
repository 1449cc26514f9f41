// One process of the router hands over to another: the conversation until the new one serves.
//
// Purpose: the old process starts the new one with a socket pair (its descriptor's number in
// BULKHEAD_HANDOVER_FD) and gives it every listening socket it has, so that no accept queue is
// lost; the new one checks everything that it can check before the old one lets go of the topology
// store, which only one process may have. Afterwards the pair is the control loops' (handover of
// orders and snapshots: control/predecessor.h).
//
//   old                                          new
//   hello (protocol, number) + sockets     ->
//                                          <-    ready: the configuration is good, all is built
//   the store is closed
//   go                                     ->
//                                          <-    taken: it has the store and everything else
//   closes its copies of the sockets             serves
//
// At any time before `taken` the new one may say `failed`, or just end: the old one goes on.
// Threads: blocking; the old process runs it on a thread of its own, the new one on its main
// thread. Limits: kMostMessage; every wait has a time. Errors: in words.
// Source: unix(7) SCM_RIGHTS, posix_spawn(3), proc(5) /proc/self/exe.
#ifndef BULKHEAD_PROXY_HANDOVER_H_
#define BULKHEAD_PROXY_HANDOVER_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proxy/given_sockets.h"

namespace bulkhead {

// Blocking frames with descriptors over a stream socket pair.
class HandoverChannel {
 public:
  static constexpr size_t kMostMessage = size_t{1} << 20;
  static constexpr size_t kFdsAtOnce = 64;  // the kernel's limit is 253
  using Duration = std::chrono::milliseconds;

  explicit HandoverChannel(int fd) : fd_(fd) {}
  ~HandoverChannel();
  HandoverChannel(const HandoverChannel&) = delete;
  HandoverChannel& operator=(const HandoverChannel&) = delete;

  // False: the other side is gone.
  [[nodiscard]] bool Send(const std::string& text, const std::vector<int>& fds = {});
  enum class Got : uint8_t { kMessage, kEnd, kTimeout };
  // Descriptors that came with it are added to *fds, close-on-exec.
  [[nodiscard]] Got Receive(Duration within, std::string* text, std::vector<int>* fds);
  // The socket is the caller's from then on, non-blocking.
  [[nodiscard]] int Release();

 private:
  int fd_;
};

// The new process's side.
class Inheritance {
 public:
  // Null: nobody hands over to this process. The variable is taken out of the environment.
  [[nodiscard]] static std::unique_ptr<Inheritance> FromEnvironment();
  explicit Inheritance(int fd) : channel_(fd) {}

  // The hello. "" or what is wrong.
  [[nodiscard]] std::string Receive(GivenSockets* sockets);
  // This process's number among those that live; after Receive.
  [[nodiscard]] uint32_t process() const { return process_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // Says `ready` and waits for the store. False: the old process is gone; this one may go on alone.
  [[nodiscard]] bool AwaitStore();
  // False: the old process is gone.
  [[nodiscard]] bool Taken();
  void Failed(const std::string& why);
  [[nodiscard]] int Release() { return channel_.Release(); }

 private:
  HandoverChannel channel_;
  uint32_t process_ = 0;
  pid_t pid_ = 0;
};

// The old process's side.
class Bequest {
 public:
  struct Hello {
    uint32_t process = 0;  // the new one's number
    std::vector<GivenSocket> sockets;
  };

  Bequest() = default;
  ~Bequest();  // ends the new process, unless it has taken over
  Bequest(const Bequest&) = delete;
  Bequest& operator=(const Bequest&) = delete;

  // Starts the program anew: the file that this process was started from, which may have been
  // replaced, with the same arguments. "" or what is wrong; so with the others.
  [[nodiscard]] std::string Start(const Hello& hello);
  [[nodiscard]] std::string AwaitReady(HandoverChannel::Duration within);
  [[nodiscard]] std::string Go(HandoverChannel::Duration within);
  [[nodiscard]] pid_t pid() const { return pid_; }
  // The new process, at once; it has not taken over.
  void End();
  // After Go: the pair, for the control loop.
  [[nodiscard]] int Release();

 private:
  [[nodiscard]] std::string Await(const char* word, HandoverChannel::Duration within);
  [[nodiscard]] std::string EndWords();

  std::unique_ptr<HandoverChannel> channel_;
  pid_t pid_ = 0;
  bool taken_ = false;
};

// The path of the program, also where its file has been replaced meanwhile.
[[nodiscard]] std::string ProgramPath();

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_HANDOVER_H_
