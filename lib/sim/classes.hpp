/// Which ranks are alike: colours by what a rank does itself, refined by the colours of those with whom it
/// exchanges what, until no more come. Ranks of one colour then have the same times in every step, and one of
/// them stands for all.
///
/// Colours are hashes of 64 bits: that two classes of 100,000 ranks get the same by chance has a probability
/// below 1e-9.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "exchanges.hpp"
#include "lanes.hpp"

namespace partita::sim {

struct Classes {
  std::vector<int> class_of;                      ///< by rank
  std::vector<int> first_rank;                    ///< by class
  std::vector<std::vector<int>> representatives;  ///< by stage, ascending ranks
};

/// None where there are more than `most` classes, or after `most_rounds` rounds still more come.
std::optional<Classes> classes_of(const Setting&, const ExchangeByGroup&, std::size_t most);

/// The exchange between representatives: whom a rank exchanges something with becomes that one's class.
std::shared_ptr<const Exchange> between_classes(const Exchange&, const Setting&, const Classes&);

}  // namespace partita::sim
