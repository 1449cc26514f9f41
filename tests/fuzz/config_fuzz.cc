// Any bytes as a configuration: no crash, options exactly if there is no error, and never a secret
// in a message.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "proxy/config/load.h"
#include "routing/tenant_resolution.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using bulkhead::config::Environment;
  constexpr std::string_view kSecret = "S3CRET-of-a-file";
  // The fuzzer learns from comparisons and would write the secret into the file itself.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.find(kSecret) != std::string_view::npos) return 0;
  Environment environment = Environment::Empty();
  environment.variable = [&](const std::string&) { return std::string(kSecret); };
  environment.read_file = [&](const std::string& path,
                              std::string* why) -> std::optional<Environment::File> {
    if (path.size() % 3 == 0) {
      *why = "no such file";
      return std::nullopt;
    }
    return Environment::File{std::string(kSecret), path.size() % 2 == 0};
  };
  const auto result = bulkhead::config::LoadString(text, "fuzz.yaml", environment);
  bool has_error = false;
  for (const auto& error : result.errors) {
    has_error = has_error || error.severity == bulkhead::config::Severity::kError;
    if (error.ToString().find(kSecret) != std::string::npos) std::abort();
  }
  if (result.ok() == has_error) std::abort();
  if (!result.ok()) return 0;
  // What was accepted can be used.
  const auto& options = *result.options;
  for (const auto& user : options.users) {
    const auto login = bulkhead::routing::SplitLoginName(options.tenancy, user.name);
    const auto tenant =
        bulkhead::routing::ResolveTenant(options.tenancy, *options.topology, user.tenants,
                                         {.user_name = login.tenant, .database = user.name});
    if (tenant.found() != tenant.where.found()) std::abort();
    (void)bulkhead::routing::PhysicalDatabase(options.tenancy, tenant.tenant, tenant.where, "app");
    (void)bulkhead::routing::CheckSchema(options.tenancy, *options.topology, tenant.tenant,
                                         tenant.where, user.name);
  }
  return 0;
}
