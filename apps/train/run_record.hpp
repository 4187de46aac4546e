/// Fills the result record of a training run from what the modules know.
#pragma once

#include <string>

#include "partita/config/options.hpp"
#include "partita/results/model_file.hpp"
#include "partita/results/record.hpp"
#include "partita/run/record.hpp"
#include "partita/run/training.hpp"

namespace partita::train {

/// Attributes, environment and model: what is known before the first step. Collective over `world`; complete
/// on rank 0.
results::RunRecord begin_record(const config::RunOptions&, comm::MpiEnvironment&, comm::Communicator& world,
                                const data::DataPair&, const run::Training&, int threads,
                                const std::string& command_line);

/// Adds the steps from `first_step` on, and brings epochs, traffic and memory up to date. Collective over
/// `world`; complete on rank 0.
void update_record(results::RunRecord&, comm::Communicator& world, const run::Training&,
                   std::size_t first_step);

/// Figures of merit of the finished run, from the record on rank 0. Throughput excludes the first five steps.
std::vector<results::Figure> figures_of_merit(const results::RunRecord&, const run::Training&);

/// What of a model file cannot be loaded: layers of this model's names with other shapes, or no such layer at
/// all. Layers that only one side has are no fault.
std::vector<base::Violation> check_model_file(const results::ModelFile&, const model::ModelSpec&,
                                              const std::string& path);

/// Starts from the layers of the file that the model has too, by name. Every rank loads the same file.
void load_parameters(const results::ModelFile&, const model::ModelSpec&, run::Training&);

/// The spans of the steps that were asked for. Collective over `world`; complete on rank 0.
void add_timeline(results::RunRecord&, comm::Communicator& world, const run::Training&);

/// The parameters, gathered from all ranks, in PyTorch's logical layout.
results::ModelFile model_file(const config::RunOptions&, const run::Training&,
                              const std::vector<run::LogicalTensor>&);

}  // namespace partita::train
