/// What can only be checked once the world and the data are known.
#include "partita/config/options.hpp"

namespace partita::config {

using base::Violation;

std::vector<Violation> fit_to_world(RunOptions& options, int world) {
  if (!options.data_ranks) options.data_ranks = world;
  options.grid.data = *options.data_ranks;
  if (options.train.batch_per_rank) options.train.batch = *options.train.batch_per_rank * options.grid.data;
  if (options.grid.size() == world) return {};
  std::string nearest;
  for (const auto& grid : topology::nearest_grids(options.grid, world))
    if (grid.pipeline == 1 && grid.tensor == 1) nearest += (nearest.empty() ? "" : ", ") + to_string(grid);
  return {{"grid", to_string(options.grid),
           "needs " + std::to_string(options.grid.size()) + " ranks but the job has " +
               std::to_string(world) + "; the nearest valid grid is " + nearest}};
}

std::vector<Violation> check_data(const RunOptions& options, const data::DataPair& data) {
  std::vector<Violation> violations;
  const auto& model = options.model;
  if (model.input != data.train.sample_shape)
    violations.push_back({"model.input", to_string(model.input),
                          "the samples of " + data.train.name + " have shape " +
                              to_string(data.train.sample_shape) +
                              (model.input.elements() == data.train.sample_shape.elements()
                                   ? "; use that as input and begin with a flatten layer"
                                   : "")});
  const auto outputs = model.layers.back().output.elements().value();
  const bool classifies = data.train.task == data::Task::classification;
  if (classifies != (model.loss == model::Loss::cross_entropy))
    violations.push_back(
        {"model.loss", std::string(to_string(model.loss)),
         data.train.name + " has " + (classifies ? "labels: use cross-entropy" : "targets: use mse")});
  else if (classifies && outputs < data.train.classes)
    violations.push_back({"model.layer", model.layers.back().line(),
                          "the last layer has " + std::to_string(outputs) + " outputs, " + data.train.name +
                              " has " + std::to_string(data.train.classes) + " classes"});
  else if (!classifies && outputs != data.train.target_shape.elements().value())
    violations.push_back({"model.layer", model.layers.back().line(),
                          "the last layer has " + std::to_string(outputs) + " outputs, a target of " +
                              data.train.name + " has " +
                              std::to_string(data.train.target_shape.elements().value()) + " elements"});
  return violations;
}

}  // namespace partita::config
