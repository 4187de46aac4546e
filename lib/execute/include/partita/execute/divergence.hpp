/// What became infinite or NaN first, once a training cannot go on.
///
/// A step that is not finite shows in its loss, which all ranks share. From the first gradient on that is not
/// finite (a few elements of each bucket are tested) a rank stops updating, so that it still has the
/// parameters that led there: the step is taken once more, without updates, and the results of every layer
/// are examined.
#pragma once

#include <optional>
#include <string>

#include "partita/comm/communicator.hpp"
#include "partita/kernels/backend.hpp"
#include "partita/model/model.hpp"
#include "partita/step/program.hpp"

namespace partita::state {
class Parameters;
}

namespace partita::execute {

class Executor;
struct Batch;

/// In the order in which a step comes to them.
enum class Quantity { parameters, output, loss, parameter_gradient, input_gradient };

struct Finding {
  Quantity quantity = Quantity::parameters;
  int layer = 0;
  /// Grows in the order in which a step of a net of `layers` comes to the quantities: forward by layer, then
  /// the loss, then backward from the last layer.
  [[nodiscard]] int order(int layers) const;
};

[[nodiscard]] bool all_finite(kernels::ConstView);

/// In words, the same on every rank: "the output of layer conv2 is the first that is not finite". Collective
/// over the executor's axes and `world`.
std::string explain_divergence(comm::Communicator& world, Executor&, const state::Parameters&,
                               const step::Program&, const model::ModelSpec&, const Batch&,
                               const kernels::StepValues&);

}  // namespace partita::execute
