#include "proxy/session/server_defaults.h"

#include <charconv>

namespace bulkhead::session {
namespace {

bool TakeNumber(std::string_view* rest, uint64_t* out) {
  const size_t bar = rest->find('|');
  if (bar == std::string_view::npos) return false;
  const auto [end, error] = std::from_chars(rest->data(), rest->data() + bar, *out);
  if (error != std::errc() || end != rest->data() + bar) return false;
  rest->remove_prefix(bar + 1);
  return true;
}

}  // namespace

std::optional<ServerDefaults> ParseServerDefaults(std::string_view cell) {
  ServerDefaults out;
  if (!TakeNumber(&cell, &out.wait_timeout_s) || !TakeNumber(&cell, &out.interactive_timeout_s)) {
    return std::nullopt;
  }
  const size_t bar = cell.find('|');
  if (bar == std::string_view::npos) return std::nullopt;
  out.charset = cell.substr(0, bar);
  out.sql_mode = cell.substr(bar + 1);
  return out;
}

void ServerDefaultsTable::Set(routing::BackendId backend, const ServerDefaults& defaults) {
  ReadingDefaults reading(defaults.sql_mode, defaults.charset);
  auto it = kinds_.find(reading);
  if (it == kinds_.end()) {
    if (kinds_.size() == kMaxKinds) return;
    it = kinds_.insert(std::move(reading)).first;
  }
  of_[backend] = last_ = &*it;
}

const ReadingDefaults* ServerDefaultsTable::Of(routing::BackendId backend) const {
  const auto it = of_.find(backend);
  return it == of_.end() ? last_ : it->second;
}

}  // namespace bulkhead::session
