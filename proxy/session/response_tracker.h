// Follows the packets of one response from a backend while they pass through to the client.
//
// Purpose: know where a response ends and what it said (OK or error, status flags, ids, session
// state changes), in one pass over the bytes as they come, whatever way they are cut. Rows are
// hopped over: of an ordinary row only the frame header and the first payload byte are read.
// Thread: the worker's that owns the connection.
// Limits: holds no rows. Control packets that are cut between two reads are gathered, at most
// kGatherLimit bytes of each; of an error at most kMessageLimit bytes are kept, of session state
// changes kSessionStateLimit bytes a response. About 130 bytes without those.
// Errors: bytes that contradict the grammar end in kProtocolError; the connection is of no use any
// more then. Sequence ids must count up within a response (except where the client sent data in
// between, and inside compressed streams, where servers and clients do not agree on them).
// Sources: dev.mysql.com page_protocol_com_query_response and its pages,
// page_protocol_com_stmt_prepare, _execute, _fetch, page_protocol_com_field_list,
// page_protocol_com_statistics; sql/protocol_classic.cc, sql/sql_prepare.cc and
// sql-common/client.cc of MySQL; sql/protocol.cc, sql/sql_prepare.cc and sql/sql_cursor.cc of
// MariaDB; MariaDB "Result Set Packets", "COM_STMT_PREPARE", "ERR_Packet" (progress).
#ifndef BULKHEAD_PROXY_SESSION_RESPONSE_TRACKER_H_
#define BULKHEAD_PROXY_SESSION_RESPONSE_TRACKER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/wire/capabilities.h"
#include "proxy/wire/frame.h"

namespace bulkhead::session {

// What may answer a command.
enum class ResponseGrammar : uint8_t {
  kQuery,      // COM_QUERY, COM_PROCESS_INFO: results, one after the other; rows are text
  kExecute,    // COM_STMT_EXECUTE, COM_STMT_BULK_EXECUTE: the same; rows are binary
  kPrepare,    // COM_STMT_PREPARE
  kFetch,      // COM_STMT_FETCH: binary rows, then their end
  kFieldList,  // COM_FIELD_LIST: column definitions, then their end
  kSimple,     // OK, EOF or ERR: ping, init_db, stmt_reset, reset_connection, set_option, debug ...
  kStatistics,  // one packet of text
  kNone,        // nothing: stmt_close, stmt_send_long_data, quit
};

class ResponseTracker {
 public:
  static constexpr size_t kMessageLimit = 512;
  static constexpr size_t kSessionStateLimit = size_t{64} << 10;
  static constexpr size_t kGatherLimit = kSessionStateLimit + 1024;

  enum class Progress : uint8_t {
    kMore,                // all was consumed, more must come
    kDone,                // the response ends behind `consumed`
    kLocalInfileRequest,  // the client must send its data now; afterwards the response goes on
    kProtocolError,       // `consumed` bytes before the offending packet are good
  };
  struct Result {
    size_t consumed = 0;
    Progress progress = Progress::kMore;
  };

  // Begins a new response and forgets the last one. The capabilities are those agreed with the
  // server; the client's must not differ in wire::kResultShapeBits.
  void Start(ResponseGrammar grammar, wire::Capabilities capabilities);

  // After Start(kPrepare): the statement id in the response is replaced by this one as it passes.
  // statement_id() is still the server's.
  void ReplaceStatementId(uint32_t client_id);
  // After Start, where the request had more than one frame, or the server asked for a file: the id
  // of the next packet. Before this is said, any is taken there.
  void ExpectSequence(uint8_t sequence);
  void ExpectAnySequence() { sequence_free_ = true; }

  // Also keeps what passes, at most `limit` bytes, in *out (which must stay until the next Start).
  // For answers to the router's own questions.
  void CaptureInto(std::vector<uint8_t>* out, size_t limit);

  // Takes the next bytes. Changes them only as ReplaceStatementId asks.
  [[nodiscard]] Result Feed(std::span<uint8_t> bytes);

  // --- where it is
  // Between two packets: here the router may append a packet of its own.
  [[nodiscard]] bool at_packet_boundary() const {
    return place_ == Place::kHeader && header_bytes_ == 0 && !continued_;
  }
  // Of the next packet; 1 where nothing has come yet.
  [[nodiscard]] uint8_t next_sequence() const { return next_sequence_; }
  // Bytes consumed since Start.
  [[nodiscard]] uint64_t bytes_passed() const { return bytes_passed_; }
  // The packet at which it failed was an error whose sequence id is 0: no answer, as those begin
  // with 1, but what the server said before it had read the request (as when it closes an idle
  // connection).
  [[nodiscard]] bool said_before_request() const { return failed_before_request_; }
  // Some byte of a row or an OK was consumed: the client has seen an effect of the statement.
  [[nodiscard]] bool result_passed() const { return result_passed_; }
  [[nodiscard]] bool done() const { return state_ == State::Done; }

  // --- what it said. Meaningful after kDone, and in between for what has come so far.
  [[nodiscard]] bool ok() const { return !error_seen_; }
  [[nodiscard]] bool status_seen() const { return status_seen_; }
  // Of the last OK or EOF.
  [[nodiscard]] wire::ServerStatus status() const { return status_; }
  [[nodiscard]] uint64_t affected_rows() const { return affected_rows_; }  // of the last OK
  // The last one that was not 0; 0: there was none.
  [[nodiscard]] uint64_t last_insert_id() const { return last_insert_id_; }
  [[nodiscard]] uint16_t warnings() const { return warnings_; }  // of the last OK or EOF
  [[nodiscard]] uint64_t rows() const { return rows_; }          // of the last result set
  // Results that have ended: OKs and result sets.
  [[nodiscard]] uint32_t results() const { return results_; }
  // COM_STMT_EXECUTE: the rows are to be fetched.
  [[nodiscard]] bool cursor_opened() const { return cursor_opened_; }

  [[nodiscard]] uint16_t error_code() const { return error_code_; }
  [[nodiscard]] std::string_view sqlstate() const;  // five characters; HY000 where none was sent
  [[nodiscard]] std::string_view error_message() const;

  // COM_STMT_PREPARE.
  [[nodiscard]] uint32_t statement_id() const { return statement_id_; }  // the server's
  [[nodiscard]] uint16_t parameter_count() const { return parameter_count_; }
  [[nodiscard]] uint16_t column_count() const { return column_count_; }
  // Over the definitions of the columns (of parameters, where there are none); equal on two servers
  // that describe the statement alike. With MariaDB's metadata cache also of a COM_STMT_EXECUTE's
  // first result, if columns_told().
  [[nodiscard]] uint64_t metadata_hash() const { return metadata_hash_; }
  [[nodiscard]] bool columns_told() const { return columns_told_; }

  // Session state changes of all OK packets, one behind the other, for wire::SessionStateReader.
  [[nodiscard]] std::string_view session_state() const;
  // Some of them did not fit.
  [[nodiscard]] bool session_state_overflow() const { return session_state_overflow_; }
  // What passed did not fit into the capture.
  [[nodiscard]] bool capture_overflow() const { return capture_overflow_; }

 private:
  // The packet that is awaited.
  enum class State : uint8_t {
    Idle,  // before the first Start
    ExpectResult,
    ExpectLocalInfileResult,
    ExpectSimple,
    ExpectText,
    ExpectDefinition,
    ExpectDefinitionsEnd,
    ExpectRow,
    ExpectFieldDefinition,
    ExpectPrepareOk,
    ExpectParameter,
    ExpectParametersEnd,
    ExpectColumn,
    ExpectColumnsEnd,
    Done,
    Failed,
  };
  // Where in the awaited packet the next byte lies.
  enum class Place : uint8_t { kHeader, kFirstByte, kPayload };
  // What the packet that has begun is.
  enum class Kind : uint8_t {
    kInvalid,
    kRow,
    kDefinition,
    kHashedDefinition,
    kText,
    kOk,
    kErr,
    kEnd,  // EOF, or OK in its place
    kColumnCount,
    kPrepareOk,
    kLocalInfile,
  };
  // Kept only by responses that have such things.
  struct Details {
    std::string message;
    std::string session_state;
  };

  enum class HeaderRead : uint8_t { kWhole, kCut, kInvalid };

  [[nodiscard]] Result Advance(std::span<uint8_t> bytes);
  [[nodiscard]] Result Fail(bool began_here, size_t packet_start, uint8_t first_sequence);
  [[nodiscard]] size_t HopRows(std::span<const uint8_t> bytes, size_t at);
  [[nodiscard]] std::span<uint8_t> WholePacket(std::span<uint8_t> bytes);
  [[nodiscard]] bool SequenceFits(uint8_t sequence) const;
  void BeginFrame(const wire::FrameHeader& header);
  [[nodiscard]] bool BeginPacket(uint8_t first);
  [[nodiscard]] HeaderRead TakeHeader(std::span<const uint8_t> bytes, size_t* at);
  [[nodiscard]] Kind Classify(uint8_t first) const;
  [[nodiscard]] Kind ClassifyResult(uint8_t first) const;
  [[nodiscard]] bool SizeFits(Kind kind) const;
  void TakePayload(std::span<uint8_t> piece, bool whole);
  void PatchStatementId(std::span<uint8_t> piece) const;
  void HashPiece(std::span<const uint8_t> piece);
  [[nodiscard]] Progress FinishFrame(std::span<const uint8_t> whole);
  [[nodiscard]] bool FinishPacket(std::span<const uint8_t> payload);
  [[nodiscard]] bool FinishOk(std::span<const uint8_t> payload);
  [[nodiscard]] bool FinishErr(std::span<const uint8_t> payload);
  [[nodiscard]] bool FinishEnd(std::span<const uint8_t> payload);
  [[nodiscard]] bool FinishColumnCount(std::span<const uint8_t> payload);
  [[nodiscard]] bool FinishPrepareOk(std::span<const uint8_t> payload);
  void FinishDefinition();
  [[nodiscard]] bool OpensCursor() const;
  void FinishResult();
  void ExpectColumnsOfPrepare();
  void ExpectRows();
  [[nodiscard]] bool TakeOkFields(std::span<const uint8_t> payload);
  [[nodiscard]] bool TakeEndFields(std::span<const uint8_t> payload);
  void KeepSessionState(std::string_view changes);
  [[nodiscard]] Details& details();
  [[nodiscard]] bool Has(wire::Capabilities capability) const {
    return (capabilities_ & capability) != 0;
  }

  wire::Capabilities capabilities_ = 0;
  uint64_t rows_ = 0;
  uint64_t bytes_passed_ = 0;
  uint64_t affected_rows_ = 0;
  uint64_t last_insert_id_ = 0;
  uint64_t metadata_hash_ = 0;
  bool columns_told_ = false;
  uint64_t packet_seen_ = 0;  // payload bytes of the packet under way
  std::vector<uint8_t>* capture_ = nullptr;
  std::unique_ptr<Details> details_;
  std::vector<uint8_t> gathered_;  // of a control packet that was cut
  size_t capture_limit_ = 0;
  uint32_t frame_size_ = 0;  // of the frame under way
  uint32_t frame_left_ = 0;  // of it, not yet seen
  uint32_t definitions_left_ = 0;
  uint32_t results_ = 0;
  uint32_t statement_id_ = 0;
  uint32_t replacement_id_ = 0;
  uint16_t status_ = 0;
  uint16_t warnings_ = 0;
  uint16_t error_code_ = 0;
  uint16_t parameter_count_ = 0;
  uint16_t column_count_ = 0;
  char sqlstate_[5] = {'H', 'Y', '0', '0', '0'};
  uint8_t header_[4] = {};
  uint8_t header_bytes_ = 0;
  uint8_t next_sequence_ = 1;
  uint8_t highest_row_byte_ = 0;  // first bytes up to this one are rows' for certain
  ResponseGrammar grammar_ = ResponseGrammar::kNone;
  State state_ = State::Idle;
  Place place_ = Place::kHeader;
  Kind kind_ = Kind::kInvalid;
  bool continued_ : 1 = false;      // the next frame belongs to the packet that has begun
  bool sequence_free_ : 1 = false;  // the next frame may have any sequence id
  bool first_ : 1 = true;           // no frame has come yet
  bool before_request_ : 1 =
      false;  // the packet under way has the id of a packet before the request
  bool failed_before_request_ : 1 = false;
  bool replace_id_ : 1 = false;
  bool out_parameters_ : 1 = false;   // the result set under way is of OUT parameters
  bool metadata_follows_ : 1 = true;  // of COM_STMT_PREPARE
  bool error_seen_ : 1 = false;
  bool status_seen_ : 1 = false;
  bool result_passed_ : 1 = false;
  bool cursor_opened_ : 1 = false;
  bool session_state_overflow_ : 1 = false;
  bool capture_overflow_ : 1 = false;
};

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_RESPONSE_TRACKER_H_
