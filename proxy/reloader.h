// RELOAD CONFIG, SIGHUP and SET: the configuration of a running router is replaced as a whole.
//
// Purpose: reads and checks the file, builds everything that is made of it (certificates,
// listeners' handshakes, users), and only then swaps: published to the workers, the control thread
// and the admin thread by messages, so that nobody on the data path takes a lock, and nobody is
// dropped. A file that is wrong changes nothing. What an operator has SET stands above the file.
// Thread: the main thread's; Current any.
// Errors: kInvalidArgument with the first wrong line, all of them in the notes; kNotFound and
// kFailedPrecondition of SET (config/variables.h).
#ifndef BULKHEAD_PROXY_RELOADER_H_
#define BULKHEAD_PROXY_RELOADER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/config/current_options.h"
#include "proxy/config/options.h"
#include "proxy/config/variables.h"
#include "proxy/control/operator_world.h"
#include "proxy/io/worker.h"

namespace bulkhead {

// Everything that is made of a configuration, whole.
struct BuiltOptions {
  std::shared_ptr<const config::Options> options{};
  io::TlsContext::Ptr client_tls{};
  io::TlsContext::Ptr backend_tls{};
  std::vector<std::shared_ptr<const io::ClientListener>> listeners{};
};

class Reloader {
 public:
  struct Setup {
    std::string file;
    std::shared_ptr<const auth::RsaKeyPair> rsa;
    // Tells everybody who goes by it.
    std::function<void(const BuiltOptions&)> publish;
    // The stored topology of now: what the file says of it only seeds an empty store.
    std::function<std::shared_ptr<const routing::Topology>()> topology;
  };

  explicit Reloader(Setup setup);

  // The first ones. `from_file` with the stored topology; overrides that are not possible any more
  // are left out and said in the log. *error in words: nothing was built.
  [[nodiscard]] std::optional<BuiltOptions> Begin(std::shared_ptr<const config::Options> from_file,
                                                  const config::Overrides& overrides,
                                                  std::string* error);
  [[nodiscard]] control::ConfigAnswer Reload();
  // Absent: as the file says.
  [[nodiscard]] control::ConfigAnswer Set(const std::string& name,
                                          const std::optional<std::string>& value);
  [[nodiscard]] std::shared_ptr<const config::Options> Current() const { return current_.Get(); }

 private:
  // Certificates are read anew, or stay.
  enum class Certificates : uint8_t { kRead, kKeep };
  [[nodiscard]] std::optional<BuiltOptions> Build(std::shared_ptr<const config::Options> options,
                                                  Certificates certificates,
                                                  std::string* error) const;
  void Swap(BuiltOptions built);

  const Setup setup_;
  std::shared_ptr<const config::Options> from_file_;
  config::Overrides overrides_;
  io::TlsContext::Ptr client_tls_;
  io::TlsContext::Ptr backend_tls_;
  config::CurrentOptions current_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_RELOADER_H_
