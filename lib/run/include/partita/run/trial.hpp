/// A plan tried for some steps: what a step takes when it trains a model so, without a training around it.
#pragma once

#include <memory>
#include <vector>

#include "partita/data/sampler.hpp"
#include "partita/execute/executor.hpp"
#include "partita/run/training.hpp"

namespace partita::run {

class Trial {
 public:
  /// Of `options` batch, optimizer, seed, initialiser and device messages count. Collective over the world;
  /// all outlive the trial but the options.
  Trial(const model::ModelSpec&, const step::Plan&, const TrainingOptions&, kernels::Backend&,
        comm::Communicator& world, const data::Dataset&);

  /// One step of a full batch; its seconds on this rank, as a training loop sees them. Collective over the
  /// world.
  double step();
  /// Of every instruction of the last step.
  [[nodiscard]] const std::vector<execute::InstructionTimes>& times() const { return times_; }
  [[nodiscard]] const step::Program& program() const { return program_; }
  /// Of this rank, on the grid of the plan.
  [[nodiscard]] int rank() const { return topology::rank_of(axes_.grid(), axes_.at()); }

 private:
  comm::Communicator& world_;
  std::int64_t batch_;
  std::uint64_t seed_;
  const data::Dataset& data_;
  comm::Axes axes_;
  step::Program program_;
  state::Parameters parameters_;
  execute::Executor executor_;
  data::Sampler sampler_;
  execute::StepSpans spans_;
  std::vector<execute::InstructionTimes> times_;
  std::int64_t steps_ = 0;
};

}  // namespace partita::run
