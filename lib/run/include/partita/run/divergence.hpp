/// What became infinite or NaN first, once a training cannot go on.
///
/// A lost step is seen by its loss, which all ranks share. From the first gradient on that is not finite (a
/// few elements of each bucket are looked at) a rank updates nothing any more, so that the parameters which
/// led there are still at hand: the step is taken once more, without updates, and every layer's results are
/// looked at.
#pragma once

#include <optional>
#include <string>

#include "partita/comm/communicator.hpp"
#include "partita/model/model.hpp"
#include "partita/step/program.hpp"

namespace partita::run {

class Executor;
class Parameters;
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

/// The first layer of this rank's whose parameters are not finite.
std::optional<Finding> lost_parameters(const step::Program&, const model::ModelSpec&, const Parameters&);

/// In words, the same on every rank: "the output of layer conv2 is the first that is not finite". Collective
/// over the executor's axes and `world`.
std::string explain_divergence(comm::Communicator& world, Executor&, const Parameters&, const step::Program&,
                               const model::ModelSpec&, const Batch&, const kernels::StepValues&);

}  // namespace partita::run
