#include "proxy/reloader.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/config/load.h"
#include "proxy/control/topology_store.h"
#include "proxy/listener_setup.h"
#include "proxy/log/log.h"
#include "proxy/log_setup.h"

namespace bulkhead {

namespace {

control::ConfigAnswer Refused(absl::Status status, std::vector<std::string> notes = {}) {
  return {.status = std::move(status), .message = {}, .notes = std::move(notes)};
}

}  // namespace

Reloader::Reloader(Setup setup) : setup_(std::move(setup)) {}

std::optional<BuiltOptions> Reloader::Build(std::shared_ptr<const config::Options> options,
                                            Certificates certificates, std::string* error) const {
  BuiltOptions built{.client_tls = client_tls_, .backend_tls = backend_tls_};
  if (certificates == Certificates::kRead) {
    built.client_tls = MakeClientTls(options->client_tls, client_tls_, error);
    if (built.client_tls == nullptr) return std::nullopt;
    built.backend_tls = MakeBackendTls(*options, error);
    if (!error->empty()) return std::nullopt;
  }
  built.listeners = MakeListeners(*options, built.client_tls, setup_.rsa, error);
  if (!error->empty()) return std::nullopt;
  built.options = std::move(options);
  return built;
}

std::optional<BuiltOptions> Reloader::Begin(std::shared_ptr<const config::Options> from_file,
                                            const config::Overrides& overrides,
                                            std::string* error) {
  from_file_ = std::move(from_file);
  config::PossibleOverrides possible = config::WithPossibleOverrides(from_file_, overrides);
  for (const auto& [name, status] : possible.left_out) {
    log::Warn(log::event::kReload, {},
              absl::StrCat(name, " was SET to ", overrides.find(name)->second,
                           ", which is not possible any more: ", status.message()));
  }
  overrides_ = std::move(possible.taken);
  std::optional<BuiltOptions> built =
      Build(std::move(possible.options), Certificates::kRead, error);
  if (!built.has_value()) return std::nullopt;
  client_tls_ = built->client_tls;
  backend_tls_ = built->backend_tls;
  current_.Set(built->options);
  if (!overrides_.empty() && !SetUpLog(built->options->log).empty())
    log::Warn(log::event::kReload, {}, "the log stays as the file says");
  return built;
}

void Reloader::Swap(BuiltOptions built) {
  client_tls_ = built.client_tls;
  backend_tls_ = built.backend_tls;
  current_.Set(built.options);
  setup_.publish(built);
}

control::ConfigAnswer Reloader::Reload() {
  const config::LoadResult loaded = config::LoadFile(setup_.file);
  std::vector<std::string> notes;
  for (const config::ConfigError& error : loaded.errors) notes.push_back(error.ToString());
  if (!loaded.ok()) {
    std::string first = "the file can't be used";
    for (const config::ConfigError& error : loaded.errors) {
      if (error.severity == config::Severity::kError) {
        first = error.ToString();
        break;
      }
    }
    return Refused(absl::InvalidArgumentError(absl::StrCat("nothing is changed: ", first)),
                   std::move(notes));
  }
  config::ReloadPlan plan = config::PlanReload(*from_file_, *loaded.options);
  auto changed = config::WithOverrides(*plan.options, overrides_);
  if (!changed.ok()) {
    return Refused(
        absl::InvalidArgumentError(absl::StrCat("nothing is changed: with what was SET: ",
                                                std::string(changed.status().message()))),
        std::move(notes));
  }
  std::string error;
  std::optional<BuiltOptions> built = Build(*changed, Certificates::kRead, &error);
  if (!built.has_value())
    return Refused(absl::InvalidArgumentError("nothing is changed: " + error), std::move(notes));
  if (error = SetUpLog(built->options->log); !error.empty())
    return Refused(absl::InvalidArgumentError("nothing is changed: " + error), std::move(notes));
  from_file_ = plan.options;
  Swap(*std::move(built));
  control::ConfigAnswer answer{.message = "the configuration is reloaded from " + setup_.file,
                               .notes = std::move(notes)};
  if (!plan.need_restart.empty()) {
    absl::StrAppend(&answer.message,
                    "; stays as it was until a restart: ", absl::StrJoin(plan.need_restart, ", "));
  }
  const size_t differences =
      control::EditsBetween(*setup_.topology(), *loaded.options->topology, std::nullopt).size();
  if (differences > 1) {  // the version is always another one
    absl::StrAppend(&answer.message, "; its topology seeds an empty store only and differs from ",
                    "the stored one in ", differences - 1, " places");
  }
  return answer;
}

control::ConfigAnswer Reloader::Set(const std::string& name,
                                    const std::optional<std::string>& value) {
  if (absl::Status status = config::CheckSettable(name); !status.ok()) return Refused(status);
  config::Overrides overrides = overrides_;
  if (value.has_value()) {
    overrides[name] = *value;
  } else {
    overrides.erase(name);
  }
  auto changed = config::WithOverrides(*from_file_, overrides);
  if (!changed.ok()) return Refused(changed.status());
  std::string error;
  std::optional<BuiltOptions> built = Build(*changed, Certificates::kKeep, &error);
  if (!built.has_value()) return Refused(absl::InternalError(error));
  if (name.starts_with("log.")) {
    if (error = SetUpLog(built->options->log); !error.empty())
      return Refused(absl::InternalError(error));
  }
  overrides_ = std::move(overrides);
  Swap(*std::move(built));
  std::string now;
  for (const config::Variable& variable : config::ListVariables(*Current())) {
    if (variable.name == name) now = variable.value;
  }
  return {.message = absl::StrCat(name, " is ", now,
                                  value.has_value() ? "" : ", as the configuration file says")};
}

}  // namespace bulkhead
