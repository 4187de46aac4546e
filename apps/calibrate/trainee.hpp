/// Trains a network and takes the time of every instruction, as the executor runs them.
#pragma once

#include <vector>

#include "networks.hpp"
#include "partita/cost/kernel.hpp"
#include "partita/run/trial.hpp"
#include "partita/step/build.hpp"
#include "partita/step/plan.hpp"
#include "samples.hpp"

namespace partita::calibrate {

/// A network with the plan by which its ranks train it.
struct Split {
  model::ModelSpec model;
  step::Plan plan;
};
Split split(const Network&);

/// How a back-end wants its tensors.
step::TensorFormat format_of(const kernels::Backend&);

class Trainee {
 public:
  /// Collective over `ranks`, those of the network's grid; all but the network outlive the trainee.
  Trainee(const Network&, kernels::Backend&, comm::Communicator& ranks, Samples&);

  struct Step {
    double seconds = 0;                ///< of all of it, as a training loop sees it
    std::vector<double> instructions;  ///< seconds, in program order
  };
  /// Collective over the ranks.
  Step step();

  /// What an instruction runs. One of communication has no kernel.
  struct Kernel {
    machine::KernelKey key;
    double flops = 0;
    double slowdown = 1;  ///< by what is under way meanwhile
  };
  /// Of this rank, in program order.
  [[nodiscard]] std::vector<Kernel> kernels(const cost::Execution&, const std::vector<machine::Cache>&,
                                            const std::vector<machine::Slowdown>&) const;

 private:
  const Network network_;
  Split split_;
  run::Trial trial_;
};

}  // namespace partita::calibrate
