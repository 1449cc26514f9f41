// A result table as packets, a piece at a time.
//
// Purpose: rows are encoded only as fast as the client takes them, in the text or the binary
// protocol. Thread: the admin thread's. Units: bytes. Limits: what one Write appends exceeds its
// `most` by one row at most.
// Sources: dev.mysql.com page_protocol_com_query_response_text_resultset,
// page_protocol_binary_resultset (rows: header 0x00, a NULL bitmap that begins at bit 2, values).
#ifndef BULKHEAD_PROXY_ADMIN_RESULT_SENDER_H_
#define BULKHEAD_PROXY_ADMIN_RESULT_SENDER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "proxy/admin/sql_engine.h"
#include "proxy/wire/byte_writer.h"
#include "proxy/wire/capabilities.h"
#include "proxy/wire/result_set.h"

namespace bulkhead::admin {

class ResultSender {
 public:
  struct Form {
    bool binary = false;
    wire::Capabilities capabilities = 0;
    wire::ServerStatus status = 0;
    uint16_t warnings = 0;
  };
  ResultSender(std::shared_ptr<const ResultTable> table, const Form& form, uint8_t first_sequence);

  // True: all of it is written.
  [[nodiscard]] bool Write(size_t most, wire::ByteBuffer* out);
  // Of the next packet.
  [[nodiscard]] uint8_t sequence() const { return sequence_; }

 private:
  void WriteHead(wire::PacketWriter* packets) const;
  void WriteRow(size_t row, wire::PacketWriter* packets) const;
  void WriteTextRow(size_t row, wire::ByteWriter* writer) const;
  void WriteBinaryRow(size_t row, wire::ByteWriter* writer) const;

  const std::shared_ptr<const ResultTable> table_;
  const Form form_;
  uint8_t sequence_;
  bool head_written_ = false;
  size_t row_ = 0;
};

// Of a result's column.
[[nodiscard]] wire::ColumnDefinition DefinitionOf(const ResultTable::ResultColumn& column);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_RESULT_SENDER_H_
