// libuv's pool of threads, which resolves names and computes password exchanges.
#ifndef BULKHEAD_PROXY_IO_THREAD_POOL_H_
#define BULKHEAD_PROXY_IO_THREAD_POOL_H_

namespace bulkhead::io {

// Ends its threads; waits for what they are at. Once, when no loop runs any more, and before
// OpenSSL's own end: each thread may have a random generator there, which is then left behind.
// Source: uv_library_shutdown in libuv's documentation ("Miscellaneous utilities").
void EndThreadPool();

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_THREAD_POOL_H_
