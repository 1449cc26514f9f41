#include "proxy/io/query_connection.h"

#include <utility>

#include "proxy/wire/frame.h"
#include "proxy/wire/result_set.h"

namespace bulkhead::io {

namespace {

using session::LinkErrand;

// Rows of a captured text result set. Column definitions and the EOF behind them come first.
std::vector<QueryConnection::Row> RowsOf(const LinkErrand::Answer& answer, uint64_t capabilities) {
  std::vector<QueryConnection::Row> rows;
  wire::ColumnCount count;
  const size_t eof = (capabilities & wire::kClientDeprecateEof) != 0 ? 0 : 1;
  std::span<const uint8_t> bytes = answer.captured;
  std::vector<uint8_t> scratch;
  for (size_t packet = 0; rows.size() < answer.row_count; ++packet) {
    wire::PacketExtent extent;
    if (wire::FindPacket(bytes, LinkErrand::kCaptureLimit, &extent) != wire::FindResult::kPacket)
      break;
    const std::span<const uint8_t> payload = wire::PacketPayload(bytes, extent, &scratch);
    bytes = bytes.subspan(extent.wire_size);
    if (packet == 0) {
      // The errand's own column count is that of prepared statements.
      if (wire::DecodeColumnCount(payload, capabilities, &count) != wire::DecodeError::kNone) break;
      continue;
    }
    if (packet < 1 + (count.metadata_follows ? count.columns : 0) + eof) continue;
    std::vector<std::optional<std::string_view>> cells(count.columns);
    if (wire::DecodeTextRow(payload, cells) != wire::DecodeError::kNone) break;
    QueryConnection::Row row;
    row.reserve(cells.size());
    for (const auto& cell : cells)
      row.push_back(cell.has_value() ? std::optional<std::string>(*cell) : std::nullopt);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

QueryConnection::QueryConnection(EventLoop* loop, Events events)
    : loop_(loop),
      events_(std::move(events)),
      connection_(std::make_shared<BackendConnection>(loop, this)) {}

QueryConnection::~QueryConnection() {
  Close(/*abort=*/true);
  // Its functions may still be on the stack.
  loop_->DisposeLater(std::move(connection_));
}

void QueryConnection::Open(const Options& options) {
  BackendConnection::Options open;
  open.address = options.address;
  open.tls = options.tls;
  open.timeout_ms = options.open_timeout_ms;
  open.keepalive_s = 5;
  session::BackendLogin& login = open.login;
  login.user = options.account.user;
  login.secret = auth::LoginSecret::Plaintext(auth::Secret(options.account.password));
  login.tls = static_cast<session::BackendTls>(options.tls_mode);
  login.is_unix_socket = options.address.is_unix();
  login.allow_public_key_request =
      login.tls == session::BackendTls::kPreferred || login.tls == session::BackendTls::kDisabled;
  login.required = wire::kClientProtocol41 | wire::kClientSecureConnection |
                   wire::kClientPluginAuth | wire::kClientTransactions;
  login.attributes = {{"program_name", "bulkhead"}, {"_client_name", "bulkhead"}};
  connection_->Open(std::move(open));
}

void QueryConnection::Run(const std::vector<std::string>& statements) {
  auto errand = std::make_unique<LinkErrand>(connection_->capabilities);
  for (const std::string& sql : statements) {
    if (sql.empty()) {
      errand->Add(LinkErrand::Purpose::kPing, wire::Command::kPing, {},
                  session::ResponseGrammar::kSimple);
    } else {
      errand->AddQuery(LinkErrand::Purpose::kOther, sql, /*capture=*/true);
    }
  }
  running_ = true;
  connection_->RunErrand(std::move(errand));
}

void QueryConnection::Close(bool abort) {
  ended_ = true;
  connection_->Close(abort);
}

QueryConnection::Stage QueryConnection::stage() const {
  if (ended_) return Stage::kEnded;
  switch (connection_->stage()) {
    case BackendConnection::Stage::kConnect:
      return Stage::kConnect;
    case BackendConnection::Stage::kGreeting:
      return Stage::kGreeting;
    case BackendConnection::Stage::kLogin:
      return Stage::kLogin;
    case BackendConnection::Stage::kReady:
      return Stage::kReady;
    case BackendConnection::Stage::kClosed:
      return Stage::kEnded;
  }
  return Stage::kEnded;
}

std::optional<bool> QueryConnection::Acknowledged() const { return connection_->Acknowledged(); }

void QueryConnection::OnConnectionReady(BackendConnection* connection) {
  connection->use = session::BackendLink::Use::kErrand;
  if (events_.on_open) events_.on_open();
}

void QueryConnection::OnConnectionFailed(BackendConnection* /*connection*/,
                                         const std::string& why) {
  End(why);
}

void QueryConnection::OnConnectionLost(BackendConnection* connection, bool /*known_dead*/) {
  connection->Close(/*abort=*/false);
  End("the server closed the connection");
}

void QueryConnection::OnErrandDone(BackendConnection* connection, bool ok) {
  const std::unique_ptr<LinkErrand> errand = connection->TakeErrand();
  running_ = false;
  if (!ok || errand == nullptr) {
    connection->Close(/*abort=*/true);
    End("the server's answer makes no sense");
    return;
  }
  std::vector<Answer> answers;
  for (const LinkErrand::Answer& answer : errand->answers()) {
    Answer& taken = answers.emplace_back();
    taken.ok = answer.ok;
    taken.error_code = answer.error_code;
    taken.message = answer.message;
    if (!answer.ok) continue;
    taken.rows = RowsOf(answer, connection->capabilities);
    taken.complete = taken.rows.size() >= answer.row_count;
  }
  if (events_.on_answers) events_.on_answers(std::move(answers));
}

void QueryConnection::End(const std::string& why) {
  if (ended_) return;
  ended_ = true;
  if (events_.on_end) events_.on_end(connection_->failure(), why);
}

}  // namespace bulkhead::io
