// The growing result of a preflight: rows, reasons, notes. See change_checks.h. Pure.
#ifndef BULKHEAD_PROXY_CONTROL_CHECK_LIST_H_
#define BULKHEAD_PROXY_CONTROL_CHECK_LIST_H_

#include <string>
#include <utility>

#include "proxy/control/change_checks.h"

namespace bulkhead::control {

class CheckList {
 public:
  // `reason`: what stands against it, with the way out; empty: it is as it should be.
  void Check(const std::string& server, const std::string& what, const std::string& reason) {
    if (reason.empty()) {
      Row(server, what, "ok");
      return;
    }
    const std::string named = server.empty() ? reason : server + ": " + reason;
    report_.reasons.push_back(named);
    Row(server, what, "AGAINST IT: " + reason);
  }
  void Note(const std::string& server, const std::string& what, const std::string& words) {
    report_.notes.push_back(server.empty() ? words : server + ": " + words);
    Row(server, what, words);
  }
  void Row(const std::string& server, const std::string& what, const std::string& result) {
    report_.rows.push_back({"inspect", server, what, result});
  }
  void Step(routing::ChangeStep step, const std::string& server, const std::string& what) {
    report_.rows.push_back({std::string(routing::ToString(step)), server, what, "would be done"});
  }
  [[nodiscard]] routing::StepReport& report() { return report_; }
  [[nodiscard]] routing::StepReport Take() { return std::move(report_); }

 private:
  routing::StepReport report_;
};

// Checks that both kinds of change have. Each false: there is no use in going on.
[[nodiscard]] bool CheckAnswers(const NamedFacts& server, CheckList* list);
void CheckKind(const NamedFacts& server, CheckList* list);
void CheckLog(const NamedFacts& server, CheckList* list);
// MariaDB's SUPER has what older versions did not have apart.
[[nodiscard]] bool MayAs(const ServerFacts& facts, std::string_view privilege);
void CheckPrivileges(const NamedFacts& server, bool is_old, bool semi_sync, CheckList* list);
void CheckScene(const ChangeScene& scene, CheckList* list);
// Nothing on the candidate that the position (of its source) does not have.
[[nodiscard]] std::string ErrantOn(const ServerFacts& candidate, const ServerFacts& source);
// Adds the steps that would follow, and what must be remembered.
[[nodiscard]] routing::StepReport FinishReport(const ChangeScene& scene, CheckList list);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_CHECK_LIST_H_
