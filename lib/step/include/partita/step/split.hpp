/// What each of the ranks that train the same parameters keeps a share of only, instead of all.
#pragma once

#include <string_view>

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

}  // namespace partita::step
