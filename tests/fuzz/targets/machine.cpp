/// The text of a machine file: violations, or a machine that reads back as itself.
#include "partita/machine/machine.hpp"

#include <cstdint>
#include <cstdlib>

using partita::machine::Machine;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<partita::base::Violation> violations;
  const auto machine = Machine::parse({reinterpret_cast<const char*>(data), size}, violations);
  if (!violations.empty()) return 0;
  const auto again = Machine::parse(machine.to_text(), violations);
  if (!violations.empty() || again != machine) std::abort();
  return 0;
}
