// Commands that the router itself runs on a backend connection: restore a session's state, fetch
// diagnostics, reset, ping.
//
// Purpose: sends a list of commands in one write and reads their answers in order. All are
// confirmed before anything else
//   is sent: a server executes the next packet after an error, so nothing of a client ever follows
//   an unconfirmed errand.
// Thread: the worker's. Limits: answers that are captured are bounded by kCaptureLimit each.
// Errors: an ERR of the server is a result (first_error()); bytes that make no sense end in
// kProtocolError.
#ifndef BULKHEAD_PROXY_SESSION_LINK_ERRAND_H_
#define BULKHEAD_PROXY_SESSION_LINK_ERRAND_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/session/backend_link.h"
#include "proxy/session/response_tracker.h"
#include "proxy/wire/commands.h"

namespace bulkhead::session {

class LinkErrand {
 public:
  static constexpr size_t kCaptureLimit = 64 * 1024;

  // What a command was for; the caller's own sense of it.
  enum class Purpose : uint8_t {
    kReset,
    kSchema,  // an ERR is the client's to see: no such schema, no right to it
    kState,
    kLastInsertId,
    kPrepare,
    kWarnings,
    kPing,
    kBegin,  // of a transaction in which nothing else had been sent
    kKill,
    kDefaults,  // what the server gives a session that sets nothing
    kOther,
  };
  struct Answer {
    Purpose purpose = Purpose::kOther;
    bool ok = false;
    uint16_t error_code = 0;
    std::string sqlstate;
    std::string message;
    uint32_t statement_id = 0;
    uint16_t parameter_count = 0;
    uint16_t column_count = 0;
    uint64_t metadata_hash = 0;
    uint64_t row_count = 0;
    std::vector<uint8_t> captured;
  };
  enum class Progress : uint8_t { kMore, kDone, kProtocolError };

  // `capabilities` are those of the connection it will run on: they decide the layout of COM_QUERY
  // and of the answers.
  explicit LinkErrand(uint64_t capabilities) : capabilities_(capabilities) {}

  void Add(Purpose purpose, wire::Command command, std::string_view payload,
           ResponseGrammar grammar, bool capture = false);
  void AddQuery(Purpose purpose, std::string_view sql, bool capture = false);
  [[nodiscard]] bool empty() const { return steps_.empty(); }
  // Sends everything. The errand must not be empty.
  void Start(BackendLink* link);
  [[nodiscard]] Progress Feed(std::span<uint8_t> bytes);

  [[nodiscard]] const std::vector<Answer>& answers() const { return answers_; }
  // After kProtocolError: see ResponseTracker.
  [[nodiscard]] bool said_before_request() const { return tracker_.said_before_request(); }
  [[nodiscard]] const Answer* first_error() const;
  [[nodiscard]] const Answer* Find(Purpose purpose) const;
  // Of the last OK or EOF seen.
  [[nodiscard]] std::optional<uint16_t> status() const { return status_; }

 private:
  struct Step {
    Purpose purpose;
    ResponseGrammar grammar;
    bool capture;
  };
  void TakeAnswer();

  std::vector<Step> steps_;
  std::vector<uint8_t> output_;
  std::vector<Answer> answers_;
  std::optional<uint16_t> status_;
  uint64_t capabilities_;
  ResponseTracker tracker_;
  std::vector<uint8_t> captured_;
};

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_LINK_ERRAND_H_
