// One server, asked statement by statement: what the steps of a change of primary run on.
//
// Purpose: the seam between those steps (change_steps.h, server_facts.h) and a real connection
// (control_client.h), so that the steps are tested against a script.
// Threads: an answer is a value; a session belongs to the thread that runs the work.
// Units: routing::Duration. Limits: an answer of more than kMostBytes is an error, and ends the
// connection.
// Errors: kError: for certain not done (the server said no, or there was no connection to send it
// on). kLost: it was sent, and no answer came; perhaps it was done. After kLost the next Open makes
// sure that whatever was sent has ended on the server, or fails.
#ifndef BULKHEAD_PROXY_CONTROL_SQL_SESSION_H_
#define BULKHEAD_PROXY_CONTROL_SQL_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/control/server_version.h"
#include "routing/mono_time.h"

namespace bulkhead::control {

struct SqlAnswer {
  enum class Kind : uint8_t { kOk, kError, kLost };
  using Row = std::vector<std::optional<std::string>>;

  Kind kind = Kind::kOk;
  uint16_t code = 0;  // the server's or the client library's
  std::string message{};
  std::vector<std::string> columns{};
  std::vector<Row> rows{};

  [[nodiscard]] bool ok() const { return kind == Kind::kOk; }
  // "" where there is no such cell, or it is NULL.
  [[nodiscard]] std::string Cell(size_t row, size_t column) const;
  // The column by its name, whatever the case.
  [[nodiscard]] std::string Cell(size_t row, std::string_view column) const;
  [[nodiscard]] bool HasColumn(std::string_view column) const;
};

class SqlSession {
 public:
  static constexpr size_t kMostBytes = size_t{16} << 20;

  virtual ~SqlSession() = default;
  // Connects and logs in where there is no connection. Run does it too.
  virtual SqlAnswer Open(routing::Duration limit) = 0;
  virtual SqlAnswer Run(const std::string& sql, routing::Duration limit) = 0;
  // Known once Open was ok.
  [[nodiscard]] virtual const ServerVersion& version() const = 0;
};

// A literal for a session with an empty sql_mode (such as control_client.h's).
[[nodiscard]] std::string SqlQuoted(std::string_view text);
// `name`, quoted.
[[nodiscard]] std::string SqlName(std::string_view name);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_SQL_SESSION_H_
