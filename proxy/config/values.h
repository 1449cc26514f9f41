// Texts of single values: durations, sizes, numbers, networks, verifiers. Pure; any thread.
// nullopt: not valid.
#ifndef BULKHEAD_PROXY_CONFIG_VALUES_H_
#define BULKHEAD_PROXY_CONFIG_VALUES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/config/options.h"

namespace bulkhead::config {

// A whole number and ns, us, ms, s, m, h or d, nothing between them; or "0". At most 3650 days.
std::optional<Duration> ParseDuration(std::string_view text);
// A whole number and B, KiB, MiB, GiB or TiB; or "0".
std::optional<uint64_t> ParseSize(std::string_view text);
std::optional<uint64_t> ParseNumber(std::string_view text);
// true, false, yes, no, on, off (YAML 1.1's words).
std::optional<bool> ParseBool(std::string_view text);
// "10.0.0.0/8", "2001:db8::/32", or a single address.
bool IsNetwork(std::string_view text);
// See VerifierKind; "0x" and hex digits stand for the bytes of the sha2 form.
std::optional<Verifier> ParseVerifier(std::string_view text);

// As one would write it, in the largest unit that needs no fraction; read back as the same.
std::string DurationText(Duration duration);
std::string SizeText(uint64_t bytes);

}  // namespace bulkhead::config

#endif  // BULKHEAD_PROXY_CONFIG_VALUES_H_
