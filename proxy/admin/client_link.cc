#include "proxy/admin/client_link.h"

#include <mysql.h>

#include <utility>

namespace bulkhead::admin {

namespace {

bool IsNumber(const MYSQL_FIELD& field) {
  switch (field.type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_FLOAT:
    case MYSQL_TYPE_DOUBLE:
    case MYSQL_TYPE_DECIMAL:
    case MYSQL_TYPE_NEWDECIMAL:
      return true;
    default:
      return false;
  }
}

// The two libraries have different words for the same.
void SetTls(MYSQL* mysql, const LinkTarget& target) {
#ifdef MARIADB_PACKAGE_VERSION
  char on = 1;
  char off = 0;
  const bool verify = target.tls == LinkTarget::Tls::kVerify;
  const bool wanted = target.tls != LinkTarget::Tls::kDisabled;
  if (wanted)
    mysql_ssl_set(mysql, nullptr, nullptr, target.ca.empty() ? nullptr : target.ca.c_str(), nullptr,
                  nullptr);
  // In spite of its name it goes on in the clear with a server that has no TLS (libmariadb 3.3,
  // plugins/auth/my_auth.c): Connect looks.
  mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, wanted ? &on : &off);
  mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, verify ? &on : &off);
#else
  unsigned mode = SSL_MODE_PREFERRED;
  switch (target.tls) {
    case LinkTarget::Tls::kDisabled:
      mode = SSL_MODE_DISABLED;
      break;
    case LinkTarget::Tls::kPreferred:
      break;
    case LinkTarget::Tls::kRequired:
      mode = SSL_MODE_REQUIRED;
      break;
    case LinkTarget::Tls::kVerify:
      mode = SSL_MODE_VERIFY_IDENTITY;
      break;
  }
  mysql_options(mysql, MYSQL_OPT_SSL_MODE, &mode);
  if (!target.ca.empty()) mysql_options(mysql, MYSQL_OPT_SSL_CA, target.ca.c_str());
  // The password is asked for by caching_sha2_password in full where the router has a verifier
  // only.
  bool get_key = true;
  mysql_options(mysql, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &get_key);
#endif
}

LinkResult ResultOf(MYSQL_RES* rows) {
  LinkResult result;
  const unsigned columns = mysql_num_fields(rows);
  const MYSQL_FIELD* fields = mysql_fetch_fields(rows);
  for (unsigned i = 0; i < columns; ++i)
    result.columns.push_back({fields[i].name, IsNumber(fields[i])});
  while (MYSQL_ROW row = mysql_fetch_row(rows)) {
    const unsigned long* sizes = mysql_fetch_lengths(rows);
    std::vector<std::optional<std::string>>& cells = result.rows.emplace_back();
    for (unsigned i = 0; i < columns; ++i) {
      if (row[i] == nullptr) {
        cells.emplace_back(std::nullopt);
      } else {
        cells.emplace_back(std::string(row[i], sizes[i]));
      }
    }
  }
  return result;
}

}  // namespace

struct ClientLink::Impl {
  MYSQL* mysql = nullptr;
};

ClientLink::ClientLink() : impl_(std::make_unique<Impl>()) {}

ClientLink::~ClientLink() {
  if (impl_->mysql != nullptr) mysql_close(impl_->mysql);
}

LinkError ClientLink::Error() const {
  return {mysql_errno(impl_->mysql), mysql_sqlstate(impl_->mysql), mysql_error(impl_->mysql)};
}

std::optional<LinkError> ClientLink::Connect(const LinkTarget& target) {
  if (impl_->mysql != nullptr) mysql_close(std::exchange(impl_->mysql, nullptr));
  MYSQL* mysql = impl_->mysql = mysql_init(nullptr);
  if (mysql == nullptr) return LinkError{2008, "HY000", "out of memory"};
  mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &target.connect_timeout);
  SetTls(mysql, target);
  const bool tcp = target.socket.empty();
  unsigned protocol = tcp ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;
  mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol);
  if (mysql_real_connect(mysql, tcp ? target.host.c_str() : nullptr, target.user.c_str(),
                         target.password.reveal().c_str(), nullptr, tcp ? target.port : 0,
                         tcp ? nullptr : target.socket.c_str(), 0) == nullptr)
    return Error();
  const bool needs_tls =
      target.tls == LinkTarget::Tls::kRequired || target.tls == LinkTarget::Tls::kVerify;
  if (needs_tls && !encrypted()) {
    mysql_close(std::exchange(impl_->mysql, nullptr));
    return LinkError{2026, "HY000", "TLS is required, and the server offers none"};
  }
  return std::nullopt;
}

std::optional<LinkError> ClientLink::Query(const std::string& statement,
                                           std::vector<LinkResult>* results) {
  MYSQL* mysql = impl_->mysql;
  if (mysql_real_query(mysql, statement.data(), statement.size()) != 0) return Error();
  while (true) {
    MYSQL_RES* rows = mysql_store_result(mysql);
    if (rows == nullptr && mysql_field_count(mysql) != 0) return Error();
    if (rows != nullptr) {
      results->push_back(ResultOf(rows));
      mysql_free_result(rows);
    } else {
      const char* info = mysql_info(mysql);
      results->push_back({.message = info == nullptr ? "" : info});
    }
    results->back().warnings = mysql_warning_count(mysql);
    const int more = mysql_next_result(mysql);
    if (more < 0) return std::nullopt;
    if (more > 0) return Error();
  }
}

uint64_t ClientLink::id() const { return mysql_thread_id(impl_->mysql); }

std::string ClientLink::server_version() const { return mysql_get_server_info(impl_->mysql); }

bool ClientLink::encrypted() const { return mysql_get_ssl_cipher(impl_->mysql) != nullptr; }

std::string ClientLibrary() {
#ifdef MARIADB_PACKAGE_VERSION
  return "libmariadb " MARIADB_PACKAGE_VERSION;
#else
  return std::string("libmysqlclient ") + mysql_get_client_info();
#endif
}

}  // namespace bulkhead::admin
