/// Splits of a training that a search tries, and what each makes of a run.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "partita/config/options.hpp"
#include "partita/cost/kernel_times.hpp"
#include "partita/predict/prediction.hpp"

namespace partita::predict {

/// The keys of a run that say how it is split.
struct Candidate {
  topology::GridExtent grid;
  step::PipelineOptions pipeline;
  /// Which of the best placements it has, from 1, and how layer lines name it; of the first one, which a run
  /// chooses by itself, they name nothing.
  int placement = 1;
  std::vector<std::string> words = {};
  /// Where its chunks begin, which layer lines name by their stages; empty: as a run cuts it.
  step::Partition cut = {};
  /// What ranks with the same parameters have shares of only; none: as the run says.
  std::optional<step::Split> split = {};
  /// Of data ranks that are not equally fast, `grid.weights`; empty: as the run says.
  std::vector<double> weights = {};
  friend bool operator==(const Candidate& a, const Candidate& b) { return a.name() == b.name(); }
  /// "data=2 pipeline=4 tensor=1, 1f1b, 8 micro-batches, split of state, cut 3|5|9, weights 1000+250".
  [[nodiscard]] std::string name() const;
  /// The same grid and pipeline, placed, cut and shared out as a run chooses.
  [[nodiscard]] Candidate without_variant() const {
    return {.grid = grid, .pipeline = pipeline, .split = split};
  }
};

/// The run split as the candidate says. What layer lines of the run name stays as it is.
config::RunOptions with(config::RunOptions, const Candidate&);

/// Whether candidates differ in what ranks share besides: where memory counts, and the run says nothing else.
enum class Shares { as_the_run_says, all };

/// All grids of `ranks` ranks, with all schedules, chunks and numbers of micro-batches that leave a training
/// what it is; placed and cut as a run chooses. Of several data ranks also with all that these can share.
std::vector<Candidate> candidates_of(const config::RunOptions&, int ranks, Shares = Shares::as_the_run_says);

/// Best placements and cuts that are candidates of their own.
inline constexpr std::size_t default_choices = 3;

/// Splits a run as candidates say, one after the other. What several of them share is found once: placements
/// of as many data and tensor ranks, cuts of pipelines that differ in their schedule.
class Splitter {
 public:
  /// The run and the machine outlive it. `speed` of ranks that are not as fast as the machine's.
  Splitter(const config::RunOptions& run, const machine::Machine& machine, std::map<int, double> speed = {},
           std::size_t choices = default_choices)
      : run_(run), machine_(machine), speed_(std::move(speed)), choices_(choices) {}

  /// Nothing, with the violations, where the run refuses it.
  std::optional<plan::Split> split(const Candidate&, std::vector<base::Violation>& violations);

  /// A candidate of `candidates_of`, then the same with each other of the best placements, and with each
  /// other of the best cuts; where data ranks are not equally fast, and the run says nothing else, each of
  /// these with balanced weights, too. Itself alone where the run refuses it.
  std::vector<Candidate> variants_of(const Candidate&);

 private:
  /// Data and tensor ranks; stages, chunks and micro-batches besides.
  using Plane = std::pair<int, int>;
  using Pipeline = std::tuple<Plane, int, int, int, int>;
  static Plane plane_of(const Candidate& c) { return {c.grid.data, c.grid.tensor}; }
  static Pipeline pipeline_of(const Candidate& c) {
    return {plane_of(c), c.placement, c.grid.pipeline, c.pipeline.chunks, c.pipeline.microbatches};
  }
  const std::vector<std::vector<std::string>>& words_for(const Candidate&);
  /// With which data ranks compute equally long; empty where no weights do better.
  std::vector<double> weights_for(const Candidate&);

  const config::RunOptions& run_;
  const machine::Machine& machine_;
  std::map<int, double> speed_;
  std::size_t choices_;
  std::map<Plane, std::vector<std::vector<std::string>>> words_;      ///< of the best placements
  std::map<std::pair<Plane, int>, step::ModelPlacement> placements_;  ///< with their place among the best
  std::map<Pipeline, std::vector<step::Partition>> cuts_;
  std::optional<cost::JobTimes> kernels_;  ///< made where ranks differ
};

/// How each of so many ranks runs its programs on a machine.
cost::Execution execution_of(const config::RunOptions&, std::int64_t ranks, const machine::Machine&);

/// What a training of these options would be when split so.
Subject subject_of(const config::RunOptions&, plan::Split, const machine::Machine&,
                   const collective::AlgorithmTable&);

}  // namespace partita::predict
