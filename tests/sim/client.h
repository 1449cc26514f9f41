// A simulated application: one session after another, one statement after another, and a note in
// the ledger of everything it was told.
//
// Owner: one simulation; runs as the world's own, not on a thread of the router.
#ifndef BULKHEAD_TESTS_SIM_CLIENT_H_
#define BULKHEAD_TESTS_SIM_CLIENT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/checkers.h"
#include "tests/sim/random.h"
#include "tests/sim/worker.h"

namespace bulkhead::sim {

enum class Habit : uint8_t { kWriter, kReader, kTransactions, kPrepared, kLongTexts };
inline constexpr size_t kHabits = 5;

class Client final : public ClientEnd {
 public:
  struct Setup {
    uint32_t number = 0;
    size_t shard = 0;
    std::string tenant;
    Habit habit = Habit::kWriter;
    Ns think = 50 * kMs;           // between statements, on average
    uint32_t leaves_permille = 0;  // of its statements it does not wait for
    bool sets_variables = false;   // its connections have to be brought into its state
    bool is_pinned = false;        // to one, by state that can't be restored
    Worker* worker = nullptr;
    Scheduler* scheduler = nullptr;
    Trace* trace = nullptr;
    Checkers* checkers = nullptr;
    std::shared_ptr<const auth::UserRecord> user;
    Random random{0};
  };
  explicit Client(Setup setup) : setup_(std::move(setup)) {}

  void Start();
  // No new transaction or statement; what is open is ended.
  void Finish() { finishing_ = true; }
  [[nodiscard]] bool busy() const { return sent_ != Sent::kNothing || unit_ != 0; }
  [[nodiscard]] Ns last_ok() const { return last_ok_; }
  [[nodiscard]] const Setup& setup() const { return setup_; }
  [[nodiscard]] std::string Words() const;

 private:
  enum class Sent : uint8_t {
    kNothing,
    kSet,
    kInsert,
    kSelect,
    kPrepare,
    kExecute,
    kBegin,
    kCommit,
    kRollback,
  };

  void OnAnswerBytes(uint32_t session, const Bytes& bytes) override;
  void OnClosed(uint32_t session) override;
  void Connect();
  void Think();
  void Next();
  void NextInTransaction();
  void Send(Sent kind, uint8_t command, std::string_view text);
  void SendInsert(size_t padding);
  void SendExecute();
  // Takes packets off input_. True: the answer is whole; `code` is 0 or an error's.
  bool AnswerIsWhole(uint16_t* code);
  void OnAnswer(uint16_t code);
  void Told(Sent kind, uint16_t code);
  void EndUnit(Fate fate);
  void Leave();
  void LoseSession();

  Setup setup_;
  uint32_t session_ = 0;
  uint64_t statement_ = 0;  // counts, so that an old plan to leave is void
  Sent sent_ = Sent::kNothing;
  Ns sent_at_ = 0;
  uint64_t write_ = 0;  // in the ledger, of what was sent
  uint64_t unit_ = 0;   // the open transaction; 0: none
  uint32_t left_in_unit_ = 0;
  bool wants_rollback_ = false;
  uint32_t prepared_ = 0;  // 0: nothing
  bool has_set_ = false;
  bool finishing_ = false;
  Bytes input_;
  size_t packets_ = 0;  // of the answer, taken so far
  bool in_rows_ = false;
  Ns last_ok_ = 0;
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_CLIENT_H_
