// Any bytes as what a logged-in client of the admin listener sends, in pieces of any size: each
// whole command gets an answer or ends the connection.
#include <algorithm>
#include <cstdlib>

#include "tests/admin/admin_session_support.h"

using namespace bulkhead;
using namespace bulkhead::admin;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  constexpr wire::Capabilities kClients[] = {kPlainClient, kModernClient, kMariadbClient};
  SessionHarness h(kClients[data[0] % 3], (data[0] & 0x80) != 0);
  const size_t piece = data[1] + 1u;
  std::span<const uint8_t> rest(data + 2, size - 2);
  size_t works = 0;
  while (!rest.empty() && !h.shell.closed) {
    const size_t take = std::min(piece, rest.size());
    h.session.OnBytes(rest.first(take));
    rest = rest.subspan(take);
    // Whatever it waits for comes, or it is killed.
    for (int i = 0; i < 8 && h.session.busy() && !h.shell.closed; ++i) {
      if (h.shell.work != nullptr && works++ < 4) {
        h.DoWork();
      } else if (h.shell.work != nullptr) {
        SqlWork none;
        none.error = StatementError{.code = 1317, .message = "the query was interrupted"};
        h.shell.work = nullptr;
        h.session.OnWorkDone(none);
      } else if (h.shell.change_user_sequence >= 0) {
        h.session.OnClientGone();
        return 0;
      } else {
        h.session.OnProgress("working");
        h.Reply(i % 2 == 0, 9420, "an answer");
      }
      h.shell.full = false;
      h.session.OnWritable();
    }
    if (h.shell.sent.size() > (size_t{64} << 20)) std::abort();
  }
  h.session.OnClientGone();
  return 0;
}
