/// Shares of a batch for data ranks that are not equally fast.
#pragma once

#include <map>
#include <vector>

#include "partita/cost/kernel_times.hpp"
#include "partita/predict/prediction.hpp"

namespace partita::predict {

/// Weights with which all data ranks compute equally long, as far as their samples decide it, the largest of
/// them 1000; a data rank is as slow as the slowest of its stages and tensor shares. Empty where no weights
/// move a sample. `even` is split into even shares; `speed` as in `Supposed`.
std::vector<double> balanced_weights(const Subject& even, const machine::Machine&,
                                     const std::map<int, double>& speed, const cost::JobTimes&);

/// Whether any rank is of another machine or another speed than the others.
bool ranks_differ(const topology::GridExtent&, const machine::Machine&, const std::map<int, double>& speed);

}  // namespace partita::predict
