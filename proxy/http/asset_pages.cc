#include "proxy/http/asset_pages.h"

#include <absl/strings/str_cat.h>

#include <string>

namespace bulkhead::http {

namespace {

std::string_view TypeOf(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  return "application/octet-stream";
}

Response Give(const Asset& asset, const Request& request) {
  Response response;
  const std::string tag = "\"" + std::string(asset.hash) + "\"";
  response.content_type = TypeOf(asset.name);
  response.headers = {{"ETag", tag}, {"Cache-Control", "no-cache"}};
  if (request.if_none_match == tag) {
    response.status = 304;
  } else {
    response.body = asset.bytes;
  }
  return response;
}

}  // namespace

void AddAssetPages(Pages* pages) {
  for (const Asset& asset : Assets()) {
    const std::string path =
        asset.name == "index.html" ? std::string("/") : "/assets/" + std::string(asset.name);
    (*pages)[path] = [&asset](const Request& request) { return Give(asset, request); };
  }
}

}  // namespace bulkhead::http
