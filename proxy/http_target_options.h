// The options of the commands that ask a router's HTTP listener: where it is, and who asks.
//
// Purpose: `bulkhead top` and `bulkhead health` find the listener in the same way.
// Errors: Make says in words what won't do; a password is in none.
#ifndef BULKHEAD_PROXY_HTTP_TARGET_OPTIONS_H_
#define BULKHEAD_PROXY_HTTP_TARGET_OPTIONS_H_

#include <string>

#include "absl/status/statusor.h"
#include "proxy/http/http_get.h"

namespace CLI {
class App;
}

namespace bulkhead {

class HttpTargetOptions {
 public:
  // This object must outlive the parsing.
  void AddTo(CLI::App* command);
  [[nodiscard]] absl::StatusOr<http::Target> Make() const;

 private:
  std::string url_ = "http://127.0.0.1:9306";
  std::string user_;
  std::string password_file_;
  std::string ca_;
  bool insecure_ = false;
};

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_HTTP_TARGET_OPTIONS_H_
