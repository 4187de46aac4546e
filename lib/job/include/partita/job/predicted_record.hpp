/// Between the input of a run and its prediction.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "partita/job/job.hpp"
#include "partita/predict/prediction.hpp"

namespace partita::job {

/// The sizes of the batches that the training takes, each once, the nominal one first; that one alone where
/// no step is taken.
std::vector<std::int64_t> batches_of(const Input&);

/// The result file of a predicted run, of kind "simulated": what its steps would leave in one that is
/// measured. `predictions` are those of `batches_of`.
results::RunRecord record_of(const Input&, const std::string& command_line, const predict::Subject&,
                             const std::map<std::int64_t, predict::Prediction>& predictions);

}  // namespace partita::job
