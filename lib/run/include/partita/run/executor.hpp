/// Runs step programs on one rank: kernels for compute instructions, `comm` for the rest, one span per
/// instruction.
///
/// Communicates on the axes that the program names, nowhere else. After the first step with a given number of
/// samples a step allocates nothing.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "partita/comm/communicator.hpp"
#include "partita/data/batch.hpp"
#include "partita/nn/operator.hpp"
#include "partita/run/parameters.hpp"
#include "partita/step/memory.hpp"
#include "partita/step/program.hpp"

namespace partita::run {

/// This rank's part of one batch.
struct BatchShare {
  const data::Dataset* dataset = nullptr;
  std::span<const std::int64_t> indices;  ///< of the share's samples in the data set
  std::int64_t global_batch = 0;          ///< samples of the batch over all ranks
  nn::StepPosition position;
};

/// Seconds of one step on this rank by what the rank did; `reductions` holds the wait for each reduction, in
/// program order. Their sum is the step: spans follow each other without gaps.
struct StepSpans {
  double load = 0, forward = 0, backward = 0, update = 0, other = 0;
  std::vector<double> reductions;
};

class Executor {
 public:
  struct Options {
    std::int64_t largest_share = 0;  ///< samples; sizes the arena
    comm::Algorithm algorithm = comm::Algorithm::automatic;
  };
  /// Collective over `axis`, the communicator of the data axis, when the program reduces anything.
  Executor(const step::Program&, const model::ModelSpec&, kernels::Backend&, comm::Communicator& axis,
           Parameters&, const Options&);
  ~Executor();

  /// One pass over the program. Returns the loss sums: of the whole batch when the program reduces them, of
  /// this rank's share otherwise. `optimizer` is read by updates only.
  kernels::LossSums run(const BatchShare&, const kernels::SgdStep& optimizer, StepSpans&);

  [[nodiscard]] kernels::Bytes activation_bytes() const { return activations_bytes_; }
  [[nodiscard]] std::span<const std::unique_ptr<comm::Collective>> reductions() const { return reductions_; }

 private:
  struct Bound;
  Bound& bind(std::int64_t samples);
  void compute(const step::Instruction&, Bound&, const BatchShare&, const kernels::SgdStep&);
  void load(Bound&, const BatchShare&);
  void loss(Bound&, const BatchShare&);

  const step::Program& program_;
  const model::ModelSpec& model_;
  kernels::Backend& backend_;
  comm::Communicator& axis_;
  Parameters& parameters_;
  std::array<double, 2> metric_{};  ///< loss sum, correct
  kernels::Bytes activations_bytes_{};
  memory::HostBuffer activations_, workspace_;
  std::map<std::int64_t, std::unique_ptr<Bound>> bound_;  ///< by samples of the share
  std::vector<std::unique_ptr<comm::Collective>> reductions_;
};

}  // namespace partita::run
