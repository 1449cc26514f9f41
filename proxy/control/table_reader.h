// Asks one server which schemas hold only transactional tables (routing/transactional_tables.h).
//
// Thread: the control loop's. Limits: one question at a time, 5 s; an answer of more than 1,000
// schemas is not known. Only an account with SELECT on *.* sees all tables: without it nothing is
// known, and that is said once. Sources: "INFORMATION_SCHEMA TABLES, TRIGGERS, USER_PRIVILEGES" in
// the manuals of MariaDB and MySQL (rows of objects without a privilege are left out).
#ifndef BULKHEAD_PROXY_CONTROL_TABLE_READER_H_
#define BULKHEAD_PROXY_CONTROL_TABLE_READER_H_

#include <functional>
#include <memory>
#include <optional>

#include "proxy/io/query_connection.h"
#include "routing/transactional_tables.h"

namespace bulkhead::control {

class TableReader {
 public:
  // `seen`: the account may see all tables. Without an answer: not known.
  using Done =
      std::function<void(std::optional<routing::TransactionalTables::Server> answer, bool seen)>;

  TableReader(io::EventLoop* loop, io::QueryConnection::Options options);
  ~TableReader();
  // Does nothing while a question is under way.
  void Ask(Done done);
  // For questions to come.
  void SetConnection(io::QueryConnection::Options options) { options_ = std::move(options); }

 private:
  struct Task;
  void Finish(std::optional<routing::TransactionalTables::Server> answer, bool seen);

  io::EventLoop* const loop_;
  io::QueryConnection::Options options_;
  std::shared_ptr<Task> task_;
  Done done_;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_TABLE_READER_H_
