// Prints what Analyze costs for a handful of statements: nanoseconds of CPU time each (so that a
// busy machine does not count), and heap allocations.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <new>
#include <string>
#include <vector>

#include "proxy/sql/statement.h"

namespace {
uint64_t allocations = 0;
}  // namespace

void* operator new(size_t size) {
  ++allocations;
  void* memory = std::malloc(size);
  if (memory == nullptr) std::abort();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace bulkhead::sql {
namespace {

double CpuNanoseconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

void Measure(const char* name, const std::string& text) {
  const LexerMode mode;
  uint64_t sum = 0;
  const uint64_t rounds = 1 + 40'000'000 / (200 + text.size() * 4) / 4;
  double best = 1e18;
  uint64_t allocated = 0;
  for (int run = 0; run < 10; ++run) {
    const uint64_t allocations_before = allocations;
    const double begin = CpuNanoseconds();
    for (uint64_t i = 0; i < rounds; ++i) sum += Analyze(text, mode).flags;
    const double elapsed = CpuNanoseconds() - begin;
    best = std::min(best, elapsed / static_cast<double>(rounds));
    allocated = (allocations - allocations_before) / rounds;
  }
  std::printf("%-28s %6zu bytes %9.1f ns %6.2f ns/byte %3llu allocations%s\n", name, text.size(),
              best, best / static_cast<double>(text.size()),
              static_cast<unsigned long long>(allocated), sum == 1 ? " " : "");
}

std::string ManyRows() {
  std::string text = "INSERT INTO t (id, name, price, created) VALUES ";
  for (int i = 0; text.size() < 60'000; ++i) {
    if (i > 0) text += ',';
    text += "(" + std::to_string(i) + ",'some product name',19.99,'2026-01-01 00:00:00')";
  }
  return text;
}

void Run() {
  Measure("point select", "SELECT c FROM sbtest1 WHERE id=12345");
  Measure("select 1", "SELECT 1");
  Measure("version comment", "SELECT @@version_comment LIMIT 1");
  Measure("begin", "BEGIN");
  Measure("commit", "COMMIT");
  Measure("range select",
          "SELECT DISTINCT c FROM sbtest1 WHERE id BETWEEN 5000 AND 5099 ORDER BY c");
  Measure("update", "UPDATE sbtest1 SET k=k+1 WHERE id=12345");
  Measure("insert", "INSERT INTO sbtest1 (id, k, c, pad) VALUES (1, 2, 'abcdefghijkl', 'x')");
  Measure("hint", "SELECT /* tenant=acme */ c FROM sbtest1 WHERE id=12345");
  Measure("set autocommit", "SET autocommit=0");
  Measure("set names", "SET NAMES utf8mb4");
  Measure("join",
          "SELECT `users`.`id`, `users`.`name`, COUNT(`orders`.`id`) AS `n` FROM `users` LEFT JOIN "
          "`orders` ON `orders`.`user_id` = `users`.`id` WHERE `users`.`deleted_at` IS NULL AND "
          "`users`.`email` LIKE '%@example.com' GROUP BY `users`.`id` ORDER BY `n` DESC LIMIT 20");
  Measure("many rows", ManyRows());
  Measure("one large blob", "INSERT INTO t VALUES ('" + std::string(60'000, 'x') + "')");
}

}  // namespace
}  // namespace bulkhead::sql

int main() { bulkhead::sql::Run(); }
