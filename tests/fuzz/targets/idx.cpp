/// A file taken for an IDX data set, plain or gzip: refused with exactly one complaint, or as many values as
/// its extents say.
#include "partita/data/idx.hpp"

#include "scratch_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static partita::fuzz::ScratchFile file;
  const auto path = file.holding({data, size});
  for (const int dimensions : {1, 3}) {
    std::vector<partita::base::Violation> violations;
    const auto array = partita::data::read_idx(path, dimensions, violations);
    if (array.has_value() == !violations.empty() || violations.size() > 1) std::abort();
    if (!array) continue;
    std::uint64_t product = 1;
    for (const auto extent : array->extents)
      product *= static_cast<std::uint64_t>(extent);
    if (product != array->values.size() || array->extents.size() != static_cast<std::size_t>(dimensions))
      std::abort();
  }
  return 0;
}
