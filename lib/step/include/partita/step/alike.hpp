/// Which parts of a program are the same for different micro-batches: whoever weighs them need look at one of
/// each.
#pragma once

#include <vector>

#include "partita/step/program.hpp"

namespace partita::step {

/// Numbers from 0. Instructions of one number run the same kernel on slots of the same sizes, and transfers
/// of one number exchange the same with the same ranks, where their micro-batches have as many samples.
struct Alike {
  std::vector<int> instructions;  ///< by instruction; starts of alike transfers are alike, and so are waits
  base::IdVector<TransferId, int> transfers;
};

Alike alike(const Program&);

/// Equal ones have one number.
base::IdVector<ConversionId, int> numbers_of_conversions(const Program&);

}  // namespace partita::step
