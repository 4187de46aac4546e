/// Between model files and the parameters of a run.
#pragma once

#include <string>
#include <vector>

#include "partita/config/options.hpp"
#include "partita/results/model_file.hpp"
#include "partita/state/parameters.hpp"

namespace partita::job {

/// Which layers of a model its file must have: `shared`: at least one, the others are not loaded; `all`.
enum class Layers { shared, all };

/// What of a model file cannot be loaded: layers of this model's names with other shapes, and layers that it
/// lacks, and tensors of such layers that only the file has. Layers that only the file has are no fault.
std::vector<base::Violation> check_model_file(const results::ModelFile&, const model::ModelSpec&, Layers,
                                              const std::string& path);

/// Takes the layers out of `file` that `load-model.skip` names; refuses patterns that name none of them, and
/// skipping where no model is loaded.
std::vector<base::Violation> skip_layers(std::optional<results::ModelFile>& file, const config::RunOptions&);

/// The tensors of the layers that the model has too, by name.
std::vector<state::LogicalTensor> tensors_of(const results::ModelFile&, const model::ModelSpec&);

/// The parameters, gathered from all ranks, in PyTorch's logical layout, and what is known of the data.
results::ModelFile model_file(const config::RunOptions&, const data::Dataset& train,
                              const std::vector<state::LogicalTensor>&);

}  // namespace partita::job
