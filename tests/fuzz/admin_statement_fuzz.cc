// Any text as an admin statement: it is understood, or explained; what is logged of it is one line;
// and SQL over the tables never does anything but read.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "proxy/admin/help.h"
#include "proxy/admin/sql_engine.h"
#include "proxy/admin/sql_text.h"
#include "proxy/admin/statement.h"
#include "proxy/admin/text_scan.h"
#include "tests/admin/admin_session_support.h"

using namespace bulkhead::admin;

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void Query(const std::string& sql) {
  static FakeSource* const source = new FakeSource;
  static SqlEngine* const engine = new SqlEngine({.user = "u", .address = "a", .version = "10"});
  if (engine->Prepare(sql).has_value()) return;
  if (sql.find("RECURSIVE") != std::string::npos || sql.find("recursive") != std::string::npos)
    return;  // it may take its two seconds
  ResultTable table;
  (void)engine->Run(source->state, &table);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ParsedStatement parsed = ParseStatement(text);
  if (const auto* error = std::get_if<StatementError>(&parsed.meaning)) {
    Require(error->code != 0 && !error->message.empty() && error->position <= size);
  } else if (const auto* query = std::get_if<ReadQuery>(&parsed.meaning)) {
    Require(!parsed.changes);
    Query(query->sql);
  } else if (const auto* help = std::get_if<GetHelp>(&parsed.meaning)) {
    const HelpAnswer answer = Help(help->topic);
    Require(answer.error.has_value() || !answer.rows.empty());
  }
  const std::string logged = ForLog(text);
  Require(logged.size() <= 2048 && std::none_of(logged.begin(), logged.end(), [](char c) {
            return static_cast<unsigned char>(c) < ' ';
          }));
  (void)MysqlToSqlite(text);
  Require(EndOfStatement(text, 0) <= size);
  const auto placeholders = FindPlaceholders(text);
  const std::string filled =
      FillPlaceholders(text, placeholders, std::vector<std::string>(placeholders.size(), "NULL"));
  Require(filled.size() == size + 3 * placeholders.size());
  return 0;
}
