/// A machine that is not there: another one with some figures changed.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/machine/machine.hpp"

namespace partita::predict {

/// A machine whose ranks may differ in speed.
struct Supposed {
  machine::Machine machine;
  std::map<int, double> speed;  ///< of ranks that are not as fast as the machine's; below 1: slower
};

/// What a prediction can be asked about: the name of a figure and what a factor does to the machine.
struct Knob {
  std::string_view name, meaning;
  bool more_is_better;
  void (*turn)(machine::Machine&, double factor);
};
const std::vector<Knob>& knobs();

/// Changes as "network.bandwidth=2x; rank.17.speed=0.5x": a figure and the factor that it is multiplied by.
/// `network.LEVEL.bandwidth` is that of a level alone. Everything that names nothing is a violation of
/// `what-if`, with the nearest name.
Supposed suppose(const machine::Machine&, std::string_view changes, int ranks,
                 std::vector<base::Violation>& violations);

}  // namespace partita::predict
