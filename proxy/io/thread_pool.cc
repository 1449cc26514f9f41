#include "proxy/io/thread_pool.h"

#include <uv.h>

namespace bulkhead::io {

void EndThreadPool() { uv_library_shutdown(); }

}  // namespace bulkhead::io
