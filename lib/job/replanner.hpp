/// What a training that may change its split knows of its steps, and whether it goes on with another one.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "partita/job/job.hpp"
#include "partita/predict/replan.hpp"
#include "partita/run/training.hpp"

namespace partita::job {

class Replanner {
 public:
  /// The job outlives it, and has a split.
  explicit Replanner(const Job&);

  /// After every epoch: what its steps took. Does nothing where the run keeps its split. Collective.
  void observe(const run::Training&);
  /// After `observe`, where an epoch follows: whether the training is better off with another split. Local;
  /// the same on every rank.
  bool leaves(const run::Training&);
  /// To that split, which is the training's from then on.
  const plan::Split& move();

  [[nodiscard]] const plan::Split& split() const { return split_; }
  /// The same on every rank.
  [[nodiscard]] const std::vector<results::ReplanRow>& rows() const { return rows_; }

 private:
  [[nodiscard]] bool is_asked() const {
    return job_.input.options.automatic.replan || job_.input.options.measures_weights;
  }
  // Of weights that are measured: what data ranks take for their samples, the split in which they would take
  // as long, if it is worth a move, and whether the training goes on with it.
  void observe_data_ranks(const run::Training&, std::int64_t batch);
  [[nodiscard]] std::optional<std::pair<plan::Split, double>> balanced() const;
  bool leaves_for_weights(const run::Training&);
  [[nodiscard]] double predicted_seconds() const;
  /// Whether all ranks decided the same: their searches may differ by rounding where their cores do.
  /// Collective over the world.
  [[nodiscard]] bool are_agreed(const std::string& decision) const;
  /// The best of the splits that this job can run.
  [[nodiscard]] std::optional<std::pair<plan::Split, double>> first_possible(const predict::Replan&) const;
  void tell(const predict::Replan&) const;

  const Job& job_;
  plan::Split split_;
  std::optional<double> expected_;             ///< seconds of a step
  std::size_t seen_ = 0;                       ///< steps of the training
  predict::MeasuredStep measured_;             ///< in the epoch that is over
  std::vector<double> seconds_of_data_ranks_;  ///< for their samples of a batch, then
  std::vector<std::int64_t> samples_of_data_ranks_;
  /// A split, and the seconds of a step that are predicted of it.
  std::optional<std::pair<plan::Split, double>> better_;
  std::vector<results::ReplanRow> rows_;
};

/// What keeps a run from changing its split.
std::vector<base::Violation> check_replanning(const Input&);

/// How a split is called: as a candidate, with how its layers are placed and the layers of its chunks.
std::string name_of(const plan::Split&);

}  // namespace partita::job
