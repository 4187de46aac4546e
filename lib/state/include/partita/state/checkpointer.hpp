/// Writes checkpoints beside the training: a copy of what this rank owns at once, everything else in slices
/// between the steps that follow.
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <string>

#include "partita/base/sliced.hpp"
#include "partita/memory/arena.hpp"
#include "partita/results/checkpoint.hpp"
#include "partita/state/parameters.hpp"
#include "partita/step/shards.hpp"

namespace partita::state {

struct CheckpointOptions {
  std::filesystem::path dir;  ///< empty: no checkpoints
  std::int64_t every = 0;     ///< steps; 0: not by steps
  double seconds = 0;         ///< between two; 0: not by time
  int keep = 2;               ///< the newest ones
  /// What stays the same: identity, config.
  std::function<results::Manifest()> describe = [] { return results::Manifest{}; };
};

/// What became of a checkpoint, on rank 0.
struct CheckpointReport {
  std::int64_t step = 0;
  kernels::Bytes bytes{};  ///< of all files; 0 when it failed
  std::string failure;     ///< empty: committed
};

class Checkpointer {
 public:
  /// `owned`: by rank, what is its own to store; `carried`: by codecs. Collective over `world`, which
  /// outlives it, as do the parameters.
  Checkpointer(comm::Communicator& world, const model::ModelSpec&, const Parameters&, CheckpointOptions,
               std::vector<std::vector<step::Piece>> owned, step::Carried carried);
  ~Checkpointer();

  /// Begins the checkpoint of the state as it is now; one under way is finished first. `result` on rank 0:
  /// the image of the result so far. To be called on every rank at the same step.
  void begin(const results::TrainingProgress&, std::vector<std::byte> result);
  /// Spends at most about 1 % of the time of the steps on what is left to do. After every step.
  void after_step(double step_seconds);
  /// Whether this rank has something left to do.
  [[nodiscard]] bool is_writing() const { return !work_.is_done(); }
  /// All that is left. The step of the newest checkpoint that this object committed, the same on every rank;
  /// -1: none.
  std::int64_t finish();
  /// Called on rank 0 whenever a checkpoint is committed or has failed.
  std::function<void(const CheckpointReport&)> on_report = [](const CheckpointReport&) {};

 private:
  /// What every rank tells the others of its shard.
  struct Receipt {
    std::array<char, 64> sha256{};
    std::int64_t bytes = 0;  ///< 0: nothing to store
    std::array<char, 192> failure{};
  };
  base::Sliced write(results::TrainingProgress progress, std::vector<std::byte> result);
  base::Sliced commit(results::TrainingProgress progress, std::vector<std::byte> result);
  struct Copied {
    std::vector<results::FilledBlock> owned;
    std::vector<results::CarriedBlock> carried;
  };
  [[nodiscard]] Copied copy_state();
  [[nodiscard]] results::Manifest manifest(const results::TrainingProgress&) const;

  comm::Communicator& world_;
  const model::ModelSpec& model_;
  const Parameters& parameters_;
  CheckpointOptions options_;
  std::vector<std::vector<step::Piece>> owned_;  ///< by rank
  step::Carried carried_;
  std::int64_t first_update_ = 0;       ///< of the state that is written: training moves it meanwhile
  std::array<double, 2> loss_scale_{};  ///< of the state that is written
  std::vector<std::string> names_;      ///< of what is written besides weights
  memory::HostBuffer copy_;
  std::vector<Receipt> receipts_;
  std::int64_t committed_step_ = -1;  ///< rank 0's word, given to all
  std::unique_ptr<comm::Collective> gather_receipts_, tell_committed_;
  base::Sliced work_;
  double allowance_seconds_ = 0;
};

}  // namespace partita::state
