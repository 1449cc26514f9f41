#include "proxy/top_command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/http/json.h"
#include "proxy/http/top_terminal.h"
#include "proxy/http/top_view.h"

namespace bulkhead {

namespace {

using http::Json;

absl::StatusOr<Json> Fetch(const http::Target& target) {
  absl::StatusOr<std::string> text = http::Get(target, "/api/v1/fleet");
  if (!text.ok()) return text.status();
  Json fleet = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!fleet.is_object() || !fleet.contains("totals"))
    return absl::UnavailableError(absl::StrCat(target.host, ":", target.port,
                                               " is no bulkhead: its answer is not understood"));
  return fleet;
}

// https://no-color.org: any value but the empty one.
bool WantsColour() {
  const char* const no = std::getenv("NO_COLOR");
  return no == nullptr || *no == '\0';
}

// The picture that is followed on a terminal.
class TopLoop {
 public:
  TopLoop(const http::Target* target, double interval, Json first)
      : target_(*target),
        interval_(static_cast<int64_t>(interval * 1000)),
        fleet_(std::move(first)),
        due_(Clock::now() + interval_) {}

  [[nodiscard]] bool Open() { return terminal_.Open(); }
  void Run() {
    while (true) {
      Draw();
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(due_ - Clock::now());
      if (!Obey(terminal_.Wait(std::max(left, std::chrono::milliseconds(0))))) return;
      if (Clock::now() >= due_) Refresh();
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Key = http::TopTerminal::Key;

  void Draw() {
    http::TopLines top = http::RenderTop(fleet_, {.width = terminal_.width(),
                                                  .height = terminal_.height() - 1,
                                                  .first = first_,
                                                  .colour = WantsColour()});
    page_ = std::max<size_t>(top.shown, 1);
    last_first_ = top.rows > page_ ? top.rows - page_ : 0;
    top.lines.resize(terminal_.height() - 1);
    std::string foot = top.rows > top.shown ? "q quits, arrows scroll" : "q quits";
    if (!trouble_.empty()) foot = "NOT LIVE: " + trouble_;
    foot.resize(std::min(foot.size(), terminal_.width()));
    top.lines.push_back(std::move(foot));
    terminal_.Draw(top.lines);
  }

  // False: it is over.
  [[nodiscard]] bool Obey(Key key) {
    switch (key) {
      case Key::kQuit:
        return false;
      case Key::kUp:
        first_ -= first_ > 0 ? 1 : 0;
        break;
      case Key::kDown:
        ++first_;
        break;
      case Key::kPageUp:
        first_ -= std::min(first_, page_);
        break;
      case Key::kPageDown:
        first_ += page_;
        break;
      case Key::kHome:
        first_ = 0;
        break;
      case Key::kEnd:
        first_ = last_first_;
        break;
      case Key::kNone:
      case Key::kResized:
        break;
    }
    first_ = std::min(first_, last_first_);
    return true;
  }

  void Refresh() {
    due_ = Clock::now() + interval_;
    absl::StatusOr<Json> fleet = Fetch(target_);
    trouble_ = fleet.ok() ? "" : std::string(fleet.status().message());
    if (fleet.ok()) fleet_ = *std::move(fleet);
  }

  const http::Target& target_;
  const std::chrono::milliseconds interval_;
  http::TopTerminal terminal_;
  Json fleet_;
  Clock::time_point due_;
  std::string trouble_;
  size_t first_ = 0;
  size_t page_ = 1;
  size_t last_first_ = 0;
};

}  // namespace

TopCommand::TopCommand(CLI::App* app)
    : command_(app->add_subcommand("top", "Show the fleet of a running router in the terminal")) {
  target_.AddTo(command_);
  command_->add_option("--interval", interval_, "Seconds between two pictures")
      ->check(CLI::Range(0.2, 3600.0))
      ->capture_default_str();
  command_->add_flag("--once", once_,
                     "Print one picture; the exit code is 0 if all shards are served");
  command_->footer("Keys: q quits; arrows, j, k, space and b scroll.");
}

bool TopCommand::parsed() const { return command_->parsed(); }

int TopCommand::Run(std::ostream& out, std::ostream& errors) const {
  const absl::StatusOr<http::Target> target = target_.Make();
  if (!target.ok()) {
    errors << "bulkhead top: " << target.status().message() << '\n';
    return 2;
  }
  return once_ ? Once(*target, out, errors) : Follow(*target, errors);
}

int TopCommand::Once(const http::Target& target, std::ostream& out, std::ostream& errors) const {
  const absl::StatusOr<Json> fleet = Fetch(target);
  if (!fleet.ok()) {
    errors << "bulkhead top: " << fleet.status().message() << '\n';
    return 2;
  }
  const size_t width = http::TerminalWidth();
  const http::TopLines top = http::RenderTop(
      *fleet, {.width = width == 0 ? 200 : width, .colour = width != 0 && WantsColour()});
  for (const std::string& line : top.lines) out << line << '\n';
  return http::AllServed(*fleet) ? 0 : 1;
}

int TopCommand::Follow(const http::Target& target, std::ostream& errors) const {
  absl::StatusOr<Json> fleet = Fetch(target);
  if (!fleet.ok()) {
    errors << "bulkhead top: " << fleet.status().message() << '\n';
    return 2;
  }
  TopLoop loop(&target, interval_, *std::move(fleet));
  if (!loop.Open()) {
    errors << "bulkhead top: this is no terminal; use --once\n";
    return 2;
  }
  loop.Run();
  return 0;
}

}  // namespace bulkhead
