#include "proxy/session/prepared_statements.h"

#include <algorithm>
#include <list>
#include <tuple>
#include <utility>

#include "proxy/wire/commands.h"
#include "proxy/wire/execute_messages.h"

namespace bulkhead::session {
namespace {

constexpr size_t kExecuteFlagsOffset = 5;

bool SetsTenant(const sql::StatementInfo& info) {
  return std::any_of(info.assignments.begin(), info.assignments.end(),
                     [](const sql::Assignment& assignment) {
                       return assignment.target == sql::Assignment::Target::kUserVariable &&
                              assignment.name == "tenant";
                     });
}

}  // namespace

StatementText::StatementText(const StatementKey& key)
    : sql_(key.sql),
      mode_(key.mode),
      info(sql::Analyze(sql_, key.mode)),
      sets_tenant(SetsTenant(info)) {}

bool StatementText::operator==(const StatementKey& key) const {
  return sql_ == key.sql && mode_ == key.mode;
}

// --- ClientStatements

ClientStatement* ClientStatements::Add(ClientStatement statement) {
  statement.id = next_id_++;
  // The last id has a meaning of its own, 0 is no id. A client that gets this far has closed the
  // first ones long since.
  if (next_id_ == wire::kLastPreparedStatement) next_id_ = 1;
  last_ = statement.id;
  text_bytes_ += statement.text->sql().size();
  auto& place = statements_[statement.id];
  if (place != nullptr) text_bytes_ -= place->text->sql().size();
  place = std::make_unique<ClientStatement>(std::move(statement));
  return place.get();
}

uint32_t ClientStatements::Resolve(uint32_t id) const {
  return id == wire::kLastPreparedStatement ? last_ : id;
}

ClientStatement* ClientStatements::Find(uint32_t id) {
  const auto it = statements_.find(Resolve(id));
  return it == statements_.end() ? nullptr : it->second.get();
}

bool ClientStatements::Remove(uint32_t id) {
  const auto it = statements_.find(Resolve(id));
  if (it == statements_.end()) return false;
  if (it->first == last_) last_ = 0;
  text_bytes_ -= it->second->text->sql().size();
  statements_.erase(it);
  return true;
}

void ClientStatements::Clear() {
  statements_ = {};
  text_bytes_ = 0;
  next_id_ = 1;
  last_ = 0;
}

bool ClientStatements::AnyLongData() const {
  return std::any_of(statements_.begin(), statements_.end(),
                     [](const auto& entry) { return entry.second->long_data; });
}

bool ClientStatements::AnyCursor() const {
  return std::any_of(statements_.begin(), statements_.end(),
                     [](const auto& entry) { return entry.second->cursor_open; });
}

// --- ServerStatements

struct ServerStatements::Lru {
  using Key = std::tuple<StatementTextPtr, StateVectorPtr, uint32_t>;
  using Entries = std::list<Entry>;

  void Erase(Entries::iterator it) {
    by_key.erase(Key(it->text, it->prepared_in, it->private_id));
    entries.erase(it);
  }

  Entries entries;  // most recently used first
  absl::flat_hash_map<Key, Entries::iterator> by_key;
  size_t limit = kDefaultLimit;
};

ServerStatements::ServerStatements() = default;
ServerStatements::~ServerStatements() = default;
ServerStatements::ServerStatements(ServerStatements&&) noexcept = default;
ServerStatements& ServerStatements::operator=(ServerStatements&&) noexcept = default;

ServerStatements::Lru& ServerStatements::lru() {
  if (lru_ == nullptr) lru_ = std::make_unique<Lru>();
  return *lru_;
}

void ServerStatements::set_limit(size_t limit) { lru().limit = std::max<size_t>(limit, 1); }

ServerStatements::Entry* ServerStatements::Find(const StatementTextPtr& text,
                                                const StateVectorPtr& prepared_in,
                                                uint32_t private_id) {
  if (lru_ == nullptr) return nullptr;
  const auto it = lru_->by_key.find(Lru::Key(text, prepared_in, private_id));
  if (it == lru_->by_key.end()) return nullptr;
  lru_->entries.splice(lru_->entries.begin(), lru_->entries, it->second);
  return &*it->second;
}

std::vector<uint32_t> ServerStatements::Insert(const StatementTextPtr& text,
                                               const StateVectorPtr& prepared_in,
                                               uint32_t server_id, uint32_t private_id,
                                               uint64_t metadata_hash) {
  std::vector<uint32_t> to_close;
  Lru& l = lru();
  if (const Entry* old = Find(text, prepared_in, private_id); old != nullptr) {
    if (old->server_id != server_id) to_close.push_back(old->server_id);
    l.Erase(l.entries.begin());
  }
  auto it = l.entries.end();
  while (l.entries.size() >= l.limit && it != l.entries.begin()) {
    --it;
    if (it->private_id != 0) continue;
    to_close.push_back(it->server_id);
    const auto next = std::next(it);
    l.Erase(it);
    it = next;
  }
  l.entries.push_front({.server_id = server_id,
                        .types = {},
                        .text = text,
                        .prepared_in = prepared_in,
                        .private_id = private_id,
                        .metadata_hash = metadata_hash});
  l.by_key[Lru::Key(text, prepared_in, private_id)] = l.entries.begin();
  return to_close;
}

void ServerStatements::Remove(const StatementTextPtr& text, const StateVectorPtr& prepared_in,
                              uint32_t private_id) {
  if (Find(text, prepared_in, private_id) != nullptr) lru_->Erase(lru_->entries.begin());
}

std::vector<uint32_t> ServerStatements::TakePrivate(uint32_t private_id) {
  std::vector<uint32_t> ids;
  if (lru_ == nullptr) return ids;
  for (auto it = lru_->entries.begin(); it != lru_->entries.end();) {
    const auto entry = it++;
    if (entry->private_id == 0 || (private_id != 0 && entry->private_id != private_id)) continue;
    ids.push_back(entry->server_id);
    lru_->Erase(entry);
  }
  return ids;
}

void ServerStatements::Clear() {
  if (lru_ == nullptr) return;
  lru_->entries.clear();
  lru_->by_key = {};
}

size_t ServerStatements::size() const { return lru_ == nullptr ? 0 : lru_->entries.size(); }

// --- executions

namespace {

// Of a type section, what concerns the placeholders: attributes are the execution's alone, and
// names that a client may have given to placeholders mean nothing.
bool TakePlaceholderTypes(std::span<const uint8_t> section, wire::Capabilities capabilities,
                          size_t parameters, size_t placeholders, BoundTypes* out) {
  const bool named = (capabilities & wire::kClientQueryAttributes) != 0;
  if (!named) {
    const auto kept = section.first(std::min(section.size(), 2 * placeholders));
    out->assign(kept.begin(), kept.end());
    return true;
  }
  wire::ByteReader reader(section);
  out->clear();
  out->reserve(3 * placeholders);
  for (size_t i = 0; i < std::min(parameters, placeholders); ++i) {
    const auto type = reader.ReadBytes(2);
    reader.ReadLenencString();
    if (!reader.ok()) return false;
    out->insert(out->end(), type.begin(), type.end());
    out->push_back(0);
  }
  return true;
}

ExecuteRewrite PatchInPlace(std::span<uint8_t> payload, uint32_t server_id) {
  wire::PatchStatementId(payload, server_id);
  return ExecuteRewrite::kInPlace;
}

ExecuteRewrite RewritePlainExecute(std::span<uint8_t> payload, wire::Capabilities capabilities,
                                   ClientStatement* statement, ServerStatements::Entry* entry,
                                   wire::ByteBuffer* out) {
  wire::StatementExecute execute;
  if (wire::DecodeStatementExecute(payload, capabilities, statement->parameter_count, &execute) !=
      wire::DecodeError::kNone) {
    return ExecuteRewrite::kMalformed;
  }
  if (execute.types_bound) {
    if (!TakePlaceholderTypes(execute.types.Of(payload), capabilities, execute.parameter_count,
                              statement->parameter_count, &statement->types)) {
      return ExecuteRewrite::kMalformed;
    }
    entry->types = statement->types;
    return PatchInPlace(payload, entry->server_id);
  }
  if (statement->parameter_count == 0) return PatchInPlace(payload, entry->server_id);
  if (statement->types.empty()) return ExecuteRewrite::kNoTypes;
  if (entry->types == statement->types) return PatchInPlace(payload, entry->server_id);
  // Attributes can't come without types of their own; a packet that says so is not understood.
  if (execute.parameter_count != statement->parameter_count) return ExecuteRewrite::kMalformed;
  wire::ByteWriter writer(out);
  wire::RebuildStatementExecute(payload, execute, entry->server_id, statement->types, &writer);
  entry->types = statement->types;
  return ExecuteRewrite::kRebuilt;
}

ExecuteRewrite RewriteBulkExecute(std::span<uint8_t> payload, wire::Capabilities capabilities,
                                  ClientStatement* statement, ServerStatements::Entry* entry,
                                  wire::ByteBuffer* out) {
  wire::BulkExecute bulk;
  if (wire::DecodeBulkExecute(payload, statement->parameter_count, &bulk) !=
      wire::DecodeError::kNone) {
    return ExecuteRewrite::kMalformed;
  }
  // MariaDB's command: there are no names in its type section. No server has both.
  if ((capabilities & wire::kClientQueryAttributes) != 0) return ExecuteRewrite::kMalformed;
  if (bulk.types_bound) {
    const auto section = bulk.types.Of(payload);
    statement->types.assign(section.begin(), section.end());
    entry->types = statement->types;
    return PatchInPlace(payload, entry->server_id);
  }
  if (statement->types.empty()) return ExecuteRewrite::kNoTypes;
  if (entry->types == statement->types) return PatchInPlace(payload, entry->server_id);
  wire::ByteWriter writer(out);
  wire::RebuildBulkExecute(payload, bulk, entry->server_id, statement->types, &writer);
  entry->types = statement->types;
  return ExecuteRewrite::kRebuilt;
}

}  // namespace

ExecuteRewrite RewriteExecute(std::span<uint8_t> payload, wire::Capabilities capabilities,
                              ClientStatement* statement, ServerStatements::Entry* entry,
                              wire::ByteBuffer* out) {
  if (payload.empty()) return ExecuteRewrite::kMalformed;
  if (payload[0] == static_cast<uint8_t>(wire::Command::kMariadbStmtBulkExecute)) {
    return RewriteBulkExecute(payload, capabilities, statement, entry, out);
  }
  return RewritePlainExecute(payload, capabilities, statement, entry, out);
}

bool AsksForCursor(std::span<const uint8_t> payload) {
  constexpr uint8_t kCursors =
      wire::kCursorReadOnly | wire::kCursorForUpdate | wire::kCursorScrollable;
  return payload.size() > kExecuteFlagsOffset && (payload[kExecuteFlagsOffset] & kCursors) != 0;
}

}  // namespace bulkhead::session
