// One connection's thread in a simulated server; for server*.cc alone.
#ifndef BULKHEAD_TESTS_SIM_SERVER_THREAD_H_
#define BULKHEAD_TESTS_SIM_SERVER_THREAD_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/server.h"

namespace bulkhead::sim {

struct Server::Thread {
  uint32_t id = 0;
  std::shared_ptr<Tcp> connection;
  std::shared_ptr<TcpUser> socket;
  Bytes input;           // in the kernel, not read yet
  Bytes command;         // under way
  Bytes dripping;        // answers that leave byte by byte
  uint8_t sequence = 0;  // of the answer's first packet
  bool greeted = false;
  bool busy = false;  // with `command`
  bool due = false;   // it has come to its end, and waits for the process to run
  bool peer_gone = false;
  bool killed = false;
  bool in_transaction = false;
  std::vector<Row> written;  // in the open transaction
  std::map<uint32_t, std::string> prepared;
  uint32_t last_prepared = 0;
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_SERVER_THREAD_H_
