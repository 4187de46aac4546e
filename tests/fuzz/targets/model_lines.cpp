/// A model as text: the input's shape, the loss, then layer lines: violations, or layers whose shapes follow
/// on each other and whose lines read back as themselves.
#include <cstdlib>
#include <sstream>

#include "partita/model/parse.hpp"

namespace model = partita::model;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::istringstream lines(std::string(reinterpret_cast<const char*>(data), size));
  model::ModelText text;
  std::getline(lines, text.input);
  std::getline(lines, text.loss);
  for (std::string line; std::getline(lines, line) && text.layers.size() < 64;)
    text.layers.push_back(line);
  std::vector<partita::base::Violation> violations;
  const auto parsed = model::parse_model(text, violations);
  if (!violations.empty()) return 0;
  text.layers.clear();
  auto shape = parsed.input;
  for (const auto& layer : parsed.layers) {
    if (layer.input != shape) std::abort();
    for (const auto extent : layer.output.extents())
      if (extent < 1) std::abort();
    shape = layer.output;
    text.layers.push_back(layer.line());
  }
  const auto again = model::parse_model(text, violations);
  if (!violations.empty() || again.layers.size() != parsed.layers.size()) std::abort();
  return 0;
}
