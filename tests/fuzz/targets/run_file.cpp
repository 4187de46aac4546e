/// The text of a run file: violations, or options that print and read back as themselves.
#include <cstdlib>
#include <string_view>

#include "partita/config/options.hpp"

namespace config = partita::config;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<partita::base::Violation> violations;
  const auto options = config::parse_text({reinterpret_cast<const char*>(data), size}, violations);
  if (!violations.empty()) return 0;
  const auto printed = config::print_config(options);
  const auto again = config::parse_text(printed, violations);
  if (!violations.empty() || config::print_config(again) != printed ||
      config::config_hash(again) != config::config_hash(options))
    std::abort();
  return 0;
}
