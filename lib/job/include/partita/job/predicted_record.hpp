/// Between the input of a run and its prediction.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "partita/job/job.hpp"
#include "partita/predict/scaling.hpp"

namespace partita::job {

/// The sizes of the batches that the training takes, each once, the nominal one first; that one alone where
/// no step is taken.
std::vector<std::int64_t> batches_of(const Input&);

/// The result file of a predicted run, of kind "simulated": what its steps would leave in one that is
/// measured. `predictions` are those of `batches_of`, on the machine.
results::RunRecord record_of(const Input&, const std::string& command_line, const predict::Subject&,
                             const machine::Machine&,
                             const std::map<std::int64_t, predict::Prediction>& predictions);

/// The same of a table of numbers of ranks, which has no steps.
results::RunRecord record_of(const Input&, const std::string& command_line,
                             const std::vector<predict::ScalingRow>&);

}  // namespace partita::job
