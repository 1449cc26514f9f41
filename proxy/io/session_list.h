// One worker's clients and backend connections as rows for people.
//
// Purpose: what SHOW SESSIONS and SHOW POOLS show. Made on the worker's thread, a few hundred
// sessions a turn of its loop, so that no client notices.
// Threads: values. Units: nanoseconds.
#ifndef BULKHEAD_PROXY_IO_SESSION_LIST_H_
#define BULKHEAD_PROXY_IO_SESSION_LIST_H_

#include <cstdint>
#include <string>
#include <vector>

#include "routing/ids.h"

namespace bulkhead::io {

struct SessionRow {
  uint64_t id = 0;
  uint32_t worker = 0;
  std::string user{}, address{}, tenant{}, schema{};
  std::string state{};  // "idle", "running", "held", "waiting", "login", "transaction"
  std::string pins{};   // why it keeps its connection, separated by commas
  routing::ShardId shard{};
  routing::BackendId backend{};     // of the connection it uses or keeps; invalid: none
  uint32_t backend_connection = 0;  // the server's number of it
  uint64_t idle_ns = 0;             // since its client sent something; 0 while something runs
  uint64_t running_ns = 0;          // since its command came; 0 while idle
  bool tls = false;
  std::string statement{};  // digest of what runs
};

struct PoolRow {
  routing::BackendId backend{};
  uint32_t worker = 0;
  std::string user{};
  uint32_t connections = 0, free = 0, kept = 0, lent = 0, busy = 0, opening = 0;
};

struct SessionList {
  uint32_t worker = 0;
  std::vector<SessionRow> sessions{};
  std::vector<PoolRow> pools{};
  uint64_t left_out = 0;  // sessions above the limit
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_SESSION_LIST_H_
