// `bulkhead topology export | import | diff`: the stored topology as YAML, from the command line.
//
// Purpose: backups and moves without a running router. export and diff only read, and may be used
// beside a running router; import wants the store for itself.
// Exit codes: 0 done (diff: the same), 1 wrong (diff: it differs), 2 the store or the file can't be
// used.
#ifndef BULKHEAD_PROXY_TOPOLOGY_COMMAND_H_
#define BULKHEAD_PROXY_TOPOLOGY_COMMAND_H_

#include <iosfwd>
#include <string>

namespace CLI {
class App;
}

namespace bulkhead {

class TopologyCommand {
 public:
  // Adds the subcommand with its own.
  explicit TopologyCommand(CLI::App* app);
  [[nodiscard]] bool parsed() const;
  [[nodiscard]] int Run(std::ostream& out, std::ostream& errors) const;

 private:
  // Where the store is, from --state-dir or the configuration; "" after an error was printed.
  [[nodiscard]] std::string StateDir(std::ostream& errors) const;
  [[nodiscard]] int Export(const std::string& state_dir, std::ostream& out,
                           std::ostream& errors) const;
  [[nodiscard]] int ImportOrDiff(const std::string& state_dir, std::ostream& out,
                                 std::ostream& errors) const;

  CLI::App* command_;
  CLI::App* export_;
  CLI::App* import_;
  CLI::App* diff_;
  std::string config_;
  std::string state_dir_;
  std::string file_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_TOPOLOGY_COMMAND_H_
