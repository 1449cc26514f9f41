#include "proxy/session/link_errand.h"

#include <algorithm>
#include <utility>

#include "proxy/wire/frame.h"

namespace bulkhead::session {

void LinkErrand::Add(Purpose purpose, wire::Command command, std::string_view payload,
                     ResponseGrammar grammar, bool capture) {
  steps_.push_back({purpose, grammar, capture});
  const size_t length = payload.size() + 1;
  const uint8_t header[] = {static_cast<uint8_t>(length), static_cast<uint8_t>(length >> 8),
                            static_cast<uint8_t>(length >> 16), 0, static_cast<uint8_t>(command)};
  output_.insert(output_.end(), std::begin(header), std::end(header));
  output_.insert(output_.end(), payload.begin(), payload.end());
}

void LinkErrand::AddQuery(Purpose purpose, std::string_view sql, bool capture) {
  std::string payload;
  // No attributes, one (empty) set of them: the layout that CLIENT_QUERY_ATTRIBUTES asks for.
  if ((capabilities_ & wire::kClientQueryAttributes) != 0) payload.assign("\x00\x01", 2);
  payload += sql;
  Add(purpose, wire::Command::kQuery, payload, ResponseGrammar::kQuery, capture);
}

void LinkErrand::Start(BackendLink* link) {
  tracker_.Start(steps_.front().grammar, capabilities_);
  link->Send(output_);
  link->BeginExchange(/*may_write=*/false);
  output_ = {};
}

LinkErrand::Progress LinkErrand::Feed(std::span<uint8_t> bytes) {
  while (true) {
    if (answers_.size() == steps_.size())
      return bytes.empty() ? Progress::kDone : Progress::kProtocolError;
    if (bytes.empty()) return Progress::kMore;
    const ResponseTracker::Result result = tracker_.Feed(bytes);
    if (steps_[answers_.size()].capture) {
      const size_t room = kCaptureLimit - std::min(kCaptureLimit, captured_.size());
      const auto taken = bytes.first(std::min(result.consumed, room));
      captured_.insert(captured_.end(), taken.begin(), taken.end());
    }
    bytes = bytes.subspan(result.consumed);
    switch (result.progress) {
      case ResponseTracker::Progress::kMore:
        return Progress::kMore;
      case ResponseTracker::Progress::kLocalInfileRequest:
      case ResponseTracker::Progress::kProtocolError:
        return Progress::kProtocolError;
      case ResponseTracker::Progress::kDone:
        TakeAnswer();
        break;
    }
  }
}

void LinkErrand::TakeAnswer() {
  const Step& step = steps_[answers_.size()];
  Answer answer;
  answer.purpose = step.purpose;
  answer.ok = tracker_.ok();
  answer.row_count = tracker_.rows();
  if (answer.ok) {
    if (step.grammar == ResponseGrammar::kPrepare) {
      answer.statement_id = tracker_.statement_id();
      answer.parameter_count = tracker_.parameter_count();
      answer.column_count = tracker_.column_count();
      answer.metadata_hash = tracker_.metadata_hash();
    }
  } else {
    answer.error_code = tracker_.error_code();
    answer.sqlstate = std::string(tracker_.sqlstate());
    answer.message = std::string(tracker_.error_message());
  }
  if (tracker_.status_seen()) status_ = tracker_.status();
  answer.captured = std::exchange(captured_, {});
  answers_.push_back(std::move(answer));
  if (answers_.size() < steps_.size())
    tracker_.Start(steps_[answers_.size()].grammar, capabilities_);
}

const LinkErrand::Answer* LinkErrand::first_error() const {
  auto it = std::find_if(answers_.begin(), answers_.end(), [](const Answer& a) { return !a.ok; });
  return it == answers_.end() ? nullptr : &*it;
}

const LinkErrand::Answer* LinkErrand::Find(Purpose purpose) const {
  auto it = std::find_if(answers_.begin(), answers_.end(),
                         [purpose](const Answer& a) { return a.purpose == purpose; });
  return it == answers_.end() ? nullptr : &*it;
}

}  // namespace bulkhead::session
