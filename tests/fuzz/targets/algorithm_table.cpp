/// The text of an algorithm table: violations, or rules that choose for any size and read back as themselves.
#include "partita/collective/algorithm_table.hpp"

#include <cstdlib>

using partita::collective::AlgorithmTable;
using partita::collective::Bytes;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<partita::base::Violation> violations;
  const auto table = AlgorithmTable::parse({reinterpret_cast<const char*>(data), size}, violations);
  if (!violations.empty()) return 0;
  for (const auto reach : partita::collective::all_reaches)
    for (const int ranks : {1, 2, 1 << 20})
      for (const std::int64_t bytes : {std::int64_t{0}, std::int64_t{4096}, INT64_MAX})
        table.choose(reach, ranks, Bytes(bytes));
  const auto again = AlgorithmTable::parse(table.to_text(), violations);
  if (!violations.empty() || again.hash() != table.hash()) std::abort();
  return 0;
}
