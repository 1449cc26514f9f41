// The status page's own files, which are part of the program.
//
// Purpose: page/ is compiled in (CMakeLists.txt, embed.cmake): nothing is read at run time, nothing
// comes from elsewhere. A browser may keep a file and ask whether it is still the same (ETag).
// Thread: any.
#ifndef BULKHEAD_PROXY_HTTP_ASSET_PAGES_H_
#define BULKHEAD_PROXY_HTTP_ASSET_PAGES_H_

#include <span>
#include <string_view>

#include "proxy/http/http_server.h"

namespace bulkhead::http {

struct Asset {
  std::string_view name;  // "index.html"
  std::string_view bytes;
  std::string_view hash;  // of the bytes
};

// Generated.
[[nodiscard]] std::span<const Asset> Assets();

// "/" is index.html, "/assets/NAME" the others.
void AddAssetPages(Pages* pages);

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_ASSET_PAGES_H_
