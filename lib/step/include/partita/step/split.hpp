/// How the ranks that train the same parameters share them: what each keeps a share of only, instead of all,
/// and what they tell each other in place of gradients.
#pragma once

#include <string_view>

#include "partita/kernels/codec.hpp"

namespace partita::step {

/// Each adds to the one before it: states of the optimizer, which only an update needs; reduced gradients;
/// parameters, which are gathered whenever a pass needs them. The stages of ZeRO (Rajbhandari et al. 2020,
/// arXiv:1910.02054).
enum class Split { none, state, gradient, parameter };

constexpr std::string_view to_string(Split split) {
  constexpr std::string_view words[] = {"none", "state", "gradient", "parameter"};
  return words[static_cast<int>(split)];
}

/// How long gathered parameters stay: for the step, or for one use, at most two neighbouring uses at a time.
enum class Gather { step, use };

constexpr std::string_view to_string(Gather gather) { return gather == Gather::step ? "step" : "use"; }

/// By which codec gradients are sent (partita/step/compression.hpp).
struct Compression {
  kernels::Codec codec = kernels::Codec::none;
  double ratio = 0.01;    ///< of a tensor's elements that topk sends
  int rank = 2;           ///< of the factors of powersgd
  int bits = 24;          ///< behind the binary point of secure sums
  bool residuals = true;  ///< whether ranks add what was not sent to their next gradients
  [[nodiscard]] bool is_on() const { return codec != kernels::Codec::none; }
  [[nodiscard]] bool is_secure() const { return codec == kernels::Codec::secure; }
  friend bool operator==(const Compression&, const Compression&) = default;
};

}  // namespace partita::step
