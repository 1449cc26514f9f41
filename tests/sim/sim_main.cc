// sim --seeds A..B [--verbose] [--keep-going] [--expect CHECKER,CHECKER...]
//
// Runs simulations and prints what the checkers found, or, of one seed, the whole story. Exit code:
// 0 if nothing was found, 1 if something was. With --expect it is the other way round: 0 as soon as
// each of these checkers was the first to find something in a run, 1 if one of them never was, or
// any other was.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/simulation.h"

namespace bulkhead::sim {
namespace {

struct Arguments {
  uint64_t first = 1;
  uint64_t last = 200;
  Simulation::Options options;
  std::string_view expect;
  bool good = true;
};

Arguments Parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const char* next = i + 1 < argc ? argv[i + 1] : nullptr;
    if (word == "--seeds" && next != nullptr) {
      char* end = nullptr;
      arguments.first = arguments.last = std::strtoull(next, &end, 10);
      if (std::strncmp(end, "..", 2) == 0) arguments.last = std::strtoull(end + 2, &end, 10);
      arguments.good = arguments.good && *end == '\0' && arguments.first <= arguments.last;
      ++i;
    } else if (word == "--expect" && next != nullptr) {
      arguments.expect = next;
      ++i;
    } else if (word == "--verbose") {
      arguments.options.verbose = true;
    } else if (word == "--keep-going") {
      arguments.options.stop_early = false;
    } else {
      arguments.good = false;
    }
  }
  return arguments;
}

std::vector<std::string_view> Split(std::string_view list) {
  std::vector<std::string_view> words;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    words.push_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return words;
}

void Print(const Result& result) {
  for (const Violation& violation : result.violations) {
    std::printf("seed %llu at %.6f s: %s: %s\n", static_cast<unsigned long long>(result.seed),
                static_cast<double>(violation.at) / static_cast<double>(kSecond),
                std::string(ToString(violation.checker)).c_str(), violation.words.c_str());
  }
}

void PrintSum(const Arguments& arguments, const Result& sum, double seconds, uint64_t bad) {
  const double runs = static_cast<double>(arguments.last - arguments.first + 1);
  const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf("%.0f seeds, %llu with violations; %.1f s, %.1f seeds/s, %.0f s of virtual time\n",
              runs, number(bad), seconds, runs / seconds,
              static_cast<double>(sum.time) / static_cast<double>(kSecond));
  std::printf(
      "statements %llu, errors %llu; writes: done %llu, not executed %llu, rolled back "
      "%llu, unknown %llu, left %llu (%llu ran after an outage)\n",
      number(sum.seen.statements), number(sum.seen.errors), number(sum.writes.done),
      number(sum.writes.not_executed), number(sum.writes.rolled_back), number(sum.writes.unknown),
      number(sum.writes.left), number(sum.writes.stragglers));
  std::printf(
      "held: asked %llu, released %llu, refused %llu, left %llu; down %llu times, given up "
      "%llu connections, killed %llu; hash %016llx\n",
      number(sum.held.asked), number(sum.held.released), number(sum.held.refused),
      number(sum.held.left), number(sum.seen.downs), number(sum.seen.given_up),
      number(sum.seen.killed), number(sum.hash));
}

void Add(const Result& result, Result* sum) {
  sum->hash = sum->hash * 31 + result.hash;
  sum->time += result.time;
  sum->writes.done += result.writes.done;
  sum->writes.not_executed += result.writes.not_executed;
  sum->writes.rolled_back += result.writes.rolled_back;
  sum->writes.unknown += result.writes.unknown;
  sum->writes.left += result.writes.left;
  sum->writes.stragglers += result.writes.stragglers;
  sum->held.asked += result.held.asked;
  sum->held.released += result.held.released;
  sum->held.refused += result.held.refused;
  sum->held.left += result.held.left;
  sum->seen.statements += result.seen.statements;
  sum->seen.errors += result.seen.errors;
  sum->seen.downs += result.seen.downs;
  sum->seen.given_up += result.seen.given_up;
  sum->seen.killed += result.seen.killed;
}

int Main(const Arguments& arguments) {
  const auto begin = std::chrono::steady_clock::now();
  Result sum;
  uint64_t bad = 0;
  const std::vector<std::string_view> expected = Split(arguments.expect);
  std::set<std::string_view> caught;
  for (uint64_t seed = arguments.first; seed <= arguments.last; ++seed) {
    const Result result = RunSeed(seed, arguments.options);
    Print(result);
    Add(result, &sum);
    if (result.violations.empty()) continue;
    ++bad;
    if (arguments.expect.empty()) continue;
    const std::string_view first = ToString(result.violations.front().checker);
    if (std::find(expected.begin(), expected.end(), first) == expected.end()) return 1;
    caught.insert(first);
    if (caught.size() == expected.size()) return 0;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  PrintSum(arguments, sum, took.count(), bad);
  return bad == 0 && expected.empty() ? 0 : 1;
}

}  // namespace
}  // namespace bulkhead::sim

int main(int argc, char** argv) {
  const bulkhead::sim::Arguments arguments = bulkhead::sim::Parse(argc, argv);
  if (!arguments.good) {
    std::fprintf(stderr,
                 "usage: sim --seeds A..B [--verbose] [--keep-going] [--expect CHECKER,...]\n");
    return 2;
  }
  return bulkhead::sim::Main(arguments);
}
