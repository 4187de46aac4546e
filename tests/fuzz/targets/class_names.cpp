/// A text taken for names of classes: refused with one complaint, or names that come out of it again.
#include "partita/data/class_names.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<partita::base::Violation> violations;
  const auto names = partita::data::parse_class_names({data, size}, "the text", violations);
  if (names.has_value() == !violations.empty() || violations.size() > 1) std::abort();
  if (!names) return 0;
  std::string text;
  for (const auto& name : *names)
    text += name + "\n";
  const auto again = partita::data::parse_class_names(
      {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, "the text", violations);
  if (again != names) std::abort();
  return 0;
}
