#include "proxy/topology_command.h"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "proxy/config/load.h"
#include "proxy/control/sqlite_store.h"
#include "proxy/control/topology_yaml.h"

namespace bulkhead {

namespace {

constexpr int kDiffers = 1;
constexpr int kUnusable = 2;

int Fail(std::ostream& errors, const std::string& text) {
  errors << "bulkhead: " << text << '\n';
  return kUnusable;
}

}  // namespace

TopologyCommand::TopologyCommand(CLI::App* app)
    : command_(app->add_subcommand(
          "topology", "Write the stored topology as YAML, read it back, compare the two")),
      export_(command_->add_subcommand(
          "export", "Print the stored topology as YAML; also beside a running router")),
      import_(command_->add_subcommand(
          "import",
          "Replace the stored topology by a file's, whole or not at all; the router is stopped")),
      diff_(command_->add_subcommand(
          "diff", "Print what an import would change; exit code 0: nothing, 1: something")) {
  command_->require_subcommand(1);
  for (CLI::App* one : {export_, import_, diff_}) {
    auto* config = one->add_option("-c,--config", config_, "Configuration that names state_dir");
    one->add_option("--state-dir", state_dir_, "Folder of the store")->excludes(config);
  }
  for (CLI::App* one : {import_, diff_}) {
    one->add_option("FILE", file_,
                    "YAML with `topology:` (and `tenancy: {unassigned: ...}`) as in a "
                    "configuration; - is standard input")
        ->required();
  }
  command_->footer(
      "Examples:\n"
      "  bulkhead topology export --config /etc/bulkhead/bulkhead.yaml > backup.yaml\n"
      "  bulkhead topology diff --state-dir /var/lib/bulkhead backup.yaml");
}

bool TopologyCommand::parsed() const { return command_->parsed(); }

std::string TopologyCommand::StateDir(std::ostream& errors) const {
  if (!state_dir_.empty()) return state_dir_;
  if (config_.empty()) {
    (void)Fail(errors, "say where the store is: --config FILE or --state-dir FOLDER");
    return {};
  }
  const config::LoadResult loaded = config::LoadFile(config_);
  if (loaded.ok()) return loaded.options->state_dir;
  for (const config::ConfigError& error : loaded.errors) errors << error.ToString() << '\n';
  return {};
}

int TopologyCommand::Run(std::ostream& out, std::ostream& errors) const {
  const std::string state_dir = StateDir(errors);
  if (state_dir.empty()) return kUnusable;
  return export_->parsed() ? Export(state_dir, out, errors) : ImportOrDiff(state_dir, out, errors);
}

int TopologyCommand::Export(const std::string& state_dir, std::ostream& out,
                            std::ostream& errors) const {
  const auto store = control::SqliteStore::OpenToRead(state_dir);
  if (!store.ok()) return Fail(errors, std::string(store.status().message()));
  const auto state = (*store)->Load();
  if (!state.ok()) return Fail(errors, std::string(state.status().message()));
  out << control::ToYaml(*state);
  return 0;
}

int TopologyCommand::ImportOrDiff(const std::string& state_dir, std::ostream& out,
                                  std::ostream& errors) const {
  std::error_code error;
  // A stream opens a folder, and throws when it is read.
  if (file_ != "-" && std::filesystem::is_directory(file_, error))
    return Fail(errors, file_ + " can't be read: it is a folder");
  std::ifstream file(file_);
  std::istream& input = file_ == "-" ? std::cin : file;
  if (!input) return Fail(errors, file_ + " can't be read: " + std::strerror(errno));
  const std::string text{std::istreambuf_iterator<char>(input), {}};
  const config::LoadResult wanted = config::LoadTopology(text, file_);
  for (const config::ConfigError& error : wanted.errors) errors << error.ToString() << '\n';
  if (!wanted.ok()) return kUnusable;
  const auto store = diff_->parsed() ? control::SqliteStore::OpenToRead(state_dir)
                                     : control::SqliteStore::Open(state_dir);
  if (!store.ok()) return Fail(errors, std::string(store.status().message()));
  const auto state = (*store)->Load();
  if (!state.ok()) return Fail(errors, std::string(state.status().message()));
  const auto edits = control::EditsForImport(*state, *wanted.options);
  if (!edits.ok()) return Fail(errors, std::string(edits.status().message()));
  for (const std::string& line : control::Describe(*state, *edits)) out << line << '\n';
  if (diff_->parsed()) return edits->empty() ? 0 : kDiffers;
  if (edits->empty()) {
    out << "nothing to change\n";
    return 0;
  }
  const auto revision = (*store)->Commit(state->revision, *edits);
  if (!revision.ok()) return Fail(errors, std::string(revision.status().message()));
  out << "imported: the store is at revision " << *revision << '\n';
  return 0;
}

}  // namespace bulkhead
