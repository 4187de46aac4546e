/// A file taken for an archive of CIFAR, plain or gzip: refused, or whole samples with labels of the set and
/// a name for every class or none.
#include "partita/data/cifar.hpp"

#include "scratch_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static partita::fuzz::ScratchFile file;
  std::vector<partita::base::Violation> violations;
  const auto pair = partita::data::read_cifar(file.holding({data, size}), violations);
  if (pair.has_value() == !violations.empty()) std::abort();
  if (!pair) return 0;
  for (const auto* set : {&pair->train, &pair->test}) {
    const auto samples = static_cast<std::size_t>(set->samples.value());
    if (samples == 0 || set->labels.size() != samples || set->images.size() != samples * 3072) std::abort();
    for (const auto label : set->labels)
      if (label < 0 || label >= set->classes) std::abort();
    if (!set->class_names.empty() && static_cast<std::int64_t>(set->class_names.size()) != set->classes)
      std::abort();
  }
  return 0;
}
