#include "proxy/control/router_id.h"

#include <sys/random.h>

#include <algorithm>
#include <cstdint>
#include <fstream>

namespace bulkhead::control {

namespace {

constexpr size_t kDigits = 16;
constexpr char kHex[] = "0123456789abcdef";

bool IsId(const std::string& text) {
  return text.size() == kDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

std::string RouterId(const std::string& state_dir) {
  const std::string path = state_dir + "/router_id";
  if (!state_dir.empty()) {
    std::string kept;
    std::ifstream(path) >> kept;
    if (IsId(kept)) return kept;
  }
  uint8_t random[kDigits] = {};
  (void)!getrandom(random, sizeof random, 0);
  std::string id;
  for (const uint8_t byte : random) id += kHex[byte % 16];
  if (!state_dir.empty()) std::ofstream(path) << id << '\n';
  return id;
}

}  // namespace bulkhead::control
