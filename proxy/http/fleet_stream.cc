#include "proxy/http/fleet_stream.h"

#include <absl/strings/str_cat.h>

#include <utility>

namespace bulkhead::http {

std::optional<std::string> FleetStream::Next() {
  std::shared_ptr<const FleetPicture> picture = sampler_->Picture();
  const std::shared_ptr<const FleetPicture> before = std::exchange(sent_, picture);
  if (before != nullptr && before->number == picture->number) return "";
  const bool whole = before == nullptr || before->topology != picture->topology;
  return absl::StrCat(whole ? "event: fleet\ndata: " : "event: changes\ndata: ",
                      whole ? picture->Whole() : picture->ChangesSince(*before), "\n\n");
}

}  // namespace bulkhead::http
