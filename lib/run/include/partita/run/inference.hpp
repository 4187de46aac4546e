/// Inference of a saved model on one rank of a grid: a data set in batches, in micro-batches through the
/// pipeline, with whole outputs.
///
/// A model whose layers are all frozen: there are no gradients and no states of an optimizer.
#pragma once

#include <memory>
#include <vector>

#include "partita/run/evaluator.hpp"

namespace partita::run {

struct InferenceOptions {
  std::int64_t batch = 1;        ///< of the whole grid
  std::int64_t samples = 0;      ///< the first ones of the data set
  std::int64_t repetitions = 1;  ///< passes over the samples: so many batch by batch, as many back to back
  std::int64_t warmup = 2;       ///< batches before them
  collective::DeviceMessages device_messages = collective::DeviceMessages::automatic;
};

/// What was inferred, complete on rank 0; means and throughput on every rank.
struct Inferred {
  std::vector<std::int64_t>
      predictions;  ///< [sample]: the lowest of the classes with the largest output; of classifiers
  std::vector<double> outputs;  ///< [sample, feature]; of regressions
  double loss = 0;              ///< mean over the samples
  double accuracy = 0;          ///< of classifiers
  /// [repetition, batch], of batches that start when all ranks are ready: from the start on the first rank to
  /// the end on the last.
  std::vector<double> latency_seconds;
  double samples_per_second = 0;  ///< of batches back to back, no rank waiting for all others between them
};

class Inference {
 public:
  /// Collective over the world. `world` and the data outlive the inference. The plan is of the frozen model,
  /// and leaves outputs whole. Parameters are zero until set.
  Inference(const model::ModelSpec&, const step::Plan&, const InferenceOptions&, kernels::Backend&,
            comm::Communicator& world, const data::Dataset&);

  /// Overwrites this rank's part of one tensor.
  void set_parameter(const state::LogicalTensor&);

  /// Warm-up, then the passes. Batches and the reduction of their sums are booked as `evaluate`, the warm-up
  /// as `setup`, what is needed for timing and gathering as `record`. Collective over the world.
  Inferred run();

  [[nodiscard]] const model::ModelSpec& model() const { return model_; }
  [[nodiscard]] const Evaluator& evaluator() const { return *evaluator_; }

 private:
  void keep(const execute::BatchOutputs&);
  void one_batch(std::int64_t index);
  void warm_up();
  /// Begin and end of every batch on this rank.
  std::vector<double> time_batches();
  [[nodiscard]] double time_back_to_back();
  void gather_kept(Inferred&);
  [[nodiscard]] bool classifies() const { return model_.loss == model::Loss::cross_entropy; }

  model::ModelSpec model_;
  InferenceOptions options_;
  comm::Communicator& world_;
  step::Plan plan_;
  comm::Axes axes_;
  std::unique_ptr<state::Parameters> parameters_;
  std::unique_ptr<Evaluator> evaluator_;
  std::unique_ptr<comm::Collective> barrier_;
  std::int64_t width_;                   ///< numbers kept of a sample: its class, or its outputs
  std::vector<double> kept_;             ///< [sample, width], of the samples whose outputs this rank has
  std::vector<topology::Range> ranges_;  ///< those samples
  std::int64_t first_sample_ = 0;        ///< of the batch that runs
  bool notes_ranges_ = false;
  kernels::LossSums sums_;
};

/// From begin and end of every batch on each rank, and how much each rank's clock is ahead.
std::vector<double> latencies(const std::vector<std::vector<double>>& begin_end_by_rank,
                              const std::vector<double>& offset_seconds);

}  // namespace partita::run
