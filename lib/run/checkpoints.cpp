/// What is due between two steps (checkpoint, snapshot, stop), and the state from which a training goes on.
#include <algorithm>
#include <utility>

#include "partita/run/training.hpp"
#include "partita/state/restore.hpp"

namespace partita::run {

using collective::Activity;
using collective::Purpose;

void Training::restore(const std::filesystem::path& folder, const results::Manifest& manifest,
                       std::vector<EpochRow> epochs) {
  state::restore(folder, manifest, model_, training_program_, *parameters_);
  if (plan_.compression.is_on() || !manifest.own_states.empty()) {
    auto carried = step::carried_by(roles());
    if (const auto rank = static_cast<std::size_t>(world_.rank()); carried.states[rank].empty())
      carried.states[rank] = step::as_carried_states(step::updated_pieces(training_program_, axes_.at().data),
                                                     static_cast<int>(manifest.states.size()));
    state::restore_carried(folder, manifest, model_, carried, world_.rank(), *parameters_);
  }
  progress_ = manifest.progress;
  checkpointed_step_ = committed_step_ = considered_step_ = progress_.step;
  if (parameters_->is_waiting()) waiting_ = step::StepKind::first;
  epochs_ = std::move(epochs);
  // An epoch that the checkpoint lies inside of gets its row when it is over.
  std::erase_if(epochs_, [&](const auto& row) { return row.epoch > progress_.step / steps_per_epoch(); });
}

void Training::begin_checkpoint(const Observer& observer) {
  const double begun = world_.now_seconds();
  world_.ledger().set_activity(Activity::record);
  double diverged = executor_->non_finite_step() ? 1 : 0;
  world_.all_reduce(std::span(&diverged, 1), comm::Combine::max, Purpose::metric);
  if (diverged > 0)
    return world_.ledger().set_activity(Activity::train);  // as the next step's loss tells all ranks
  checkpointed_step_ = progress_.step;
  add_local_losses();
  executor_->settle();
  parameters_->keep_waiting(training_program_, waiting_);
  checkpointer_->begin(progress_, observer.on_checkpoint());
  world_.ledger().set_activity(Activity::train);
  checkpoint_seconds_ += world_.now_seconds() - begun;
}

void Training::finish_checkpoint() {
  if (!checkpointer_) return;
  const double begun = world_.now_seconds();
  committed_step_ = std::max(committed_step_, checkpointer_->finish());
  checkpoint_seconds_ += world_.now_seconds() - begun;
}

/// What is due once a step, or the epoch that it ends, is over. False when somebody asked to stop.
bool Training::between_steps(Boundary& boundary, const Observer& observer) {
  if (checkpointer_) {
    const double begun = world_.now_seconds();
    checkpointer_->after_step(steps_.back().seconds);
    checkpoint_seconds_ += world_.now_seconds() - begun;
  }
  // Ranks have parameters of their own.
  if (!steps_.back().ends_stretch) return true;
  const auto due = boundary.after_step();
  if (checkpointer_) {
    const auto every = options_.checkpoint.every;
    const auto before = std::exchange(considered_step_, progress_.step);
    if (due.stop || due.checkpoint || (every > 0 && progress_.step / every > before / every)) {
      begin_checkpoint(observer);
      boundary.restart_checkpoint();
    }
  }
  if (due.stop) return false;
  if (due.snapshot) {
    world_.ledger().set_activity(Activity::record);
    observer.on_snapshot();
    world_.ledger().set_activity(Activity::train);
  }
  return true;
}

}  // namespace partita::run
