#include "proxy/session/statement_traits.h"

namespace bulkhead::session {

bool NeedsTenant(const sql::StatementInfo& info) {
  using sql::StatementKind;
  if (info.Has(sql::kReferencesTable | sql::kMultiStatement | sql::kUnknownFunction |
               sql::kUsesLockFunction))
    return true;
  switch (info.kind) {
    case StatementKind::kEmpty:
    case StatementKind::kSelect:
    case StatementKind::kBegin:
    case StatementKind::kCommit:
    case StatementKind::kRollback:
    case StatementKind::kSet:
    case StatementKind::kShow:
    case StatementKind::kDo:
    case StatementKind::kUnlockTables:
    case StatementKind::kKill:
      return false;
    // A syntax error, such as the SELECT $$ of a client that probes for it, is answered by any
    // server.
    case StatementKind::kOther:
    case StatementKind::kDml:
    case StatementKind::kDdl:
    case StatementKind::kSavepoint:
    case StatementKind::kUse:
    case StatementKind::kCall:
    case StatementKind::kPrepareText:
    case StatementKind::kExecuteText:
    case StatementKind::kDeallocateText:
    case StatementKind::kLockTables:
    case StatementKind::kHandler:
    case StatementKind::kXa:
    case StatementKind::kAdmin:
      return true;
  }
  return true;
}

bool ReadsOnly(sql::StatementKind kind, uint32_t flags) {
  constexpr uint32_t kMayWrite = sql::kUnknownFunction | sql::kUsesLockFunction |
                                 sql::kMultiStatement | sql::kLockingRead | sql::kIntoOutfile;
  switch (kind) {
    case sql::StatementKind::kSelect:
    case sql::StatementKind::kBegin:
    case sql::StatementKind::kSavepoint:
    case sql::StatementKind::kRollback:
    case sql::StatementKind::kSet:
    case sql::StatementKind::kUse:
    case sql::StatementKind::kShow:
    case sql::StatementKind::kEmpty:
      return (flags & kMayWrite) == 0;
    case sql::StatementKind::kDml:
    case sql::StatementKind::kDdl:
    case sql::StatementKind::kCommit:
    case sql::StatementKind::kKill:
    case sql::StatementKind::kCall:
    case sql::StatementKind::kDo:
    case sql::StatementKind::kPrepareText:
    case sql::StatementKind::kExecuteText:
    case sql::StatementKind::kDeallocateText:
    case sql::StatementKind::kLockTables:
    case sql::StatementKind::kUnlockTables:
    case sql::StatementKind::kHandler:
    case sql::StatementKind::kXa:
    case sql::StatementKind::kAdmin:
    case sql::StatementKind::kOther:
      return false;
  }
  return false;
}

bool IsPlainRead(sql::StatementKind kind, uint32_t flags) {
  constexpr uint32_t kNotPlain = sql::kReadsUserVariable | sql::kWritesUserVariable |
                                 sql::kReadsSystemVariable | sql::kReadsLastInsertId |
                                 sql::kSetsLastInsertId | sql::kReadsFoundRows |
                                 sql::kReadsRowCount | sql::kCalcFoundRows |
                                 sql::kReadsConnectionId | sql::kReadsSessionStatus;
  return kind == sql::StatementKind::kSelect && ReadsOnly(kind, flags) && (flags & kNotPlain) == 0;
}

bool CountsAsWork(sql::StatementKind kind) {
  switch (kind) {
    case sql::StatementKind::kSelect:
    case sql::StatementKind::kDml:
    case sql::StatementKind::kDdl:
    case sql::StatementKind::kBegin:
    case sql::StatementKind::kCall:
    case sql::StatementKind::kDo:
    case sql::StatementKind::kExecuteText:
    case sql::StatementKind::kLockTables:
    case sql::StatementKind::kHandler:
    case sql::StatementKind::kAdmin:
    case sql::StatementKind::kOther:
      return true;
    case sql::StatementKind::kEmpty:
    case sql::StatementKind::kCommit:
    case sql::StatementKind::kRollback:
    case sql::StatementKind::kSavepoint:
    case sql::StatementKind::kSet:
    case sql::StatementKind::kUse:
    case sql::StatementKind::kShow:
    case sql::StatementKind::kKill:
    case sql::StatementKind::kPrepareText:
    case sql::StatementKind::kDeallocateText:
    case sql::StatementKind::kUnlockTables:
    case sql::StatementKind::kXa:
      return false;
  }
  return false;
}

}  // namespace bulkhead::session
