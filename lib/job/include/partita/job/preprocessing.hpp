/// Between what a model file says of its training's data and the data of a run.
#pragma once

#include <memory>
#include <vector>

#include "partita/job/job.hpp"

namespace partita::job {

/// What a model file keeps of the data that it was trained on.
results::TrainingData training_data(const config::RunOptions&, const data::Dataset& train);

/// Loads the data normalised as in the training of the model file, with its number of classes unless
/// `data.classes` says another. A file that does not know leaves everything to the options; keys that
/// contradict it are violations.
std::shared_ptr<const data::DataPair> load_as_trained(const config::RunOptions&, const results::ModelFile&,
                                                      DataSets&, std::vector<base::Violation>&);

/// Rank 0 says which normalisation is in use, and in what else the training of the loaded model differs.
void tell_of_model(const Job&, const data::Dataset& used);

}  // namespace partita::job
