/// Fills the result record of a training run from what the modules know.
#pragma once

#include <string>

#include "partita/job/record.hpp"
#include "partita/run/record.hpp"
#include "partita/run/training.hpp"

namespace partita::job {

/// What is known before the first step. Collective over the world; complete on rank 0.
results::RunRecord begin_record(const Job&, const run::Training&, kernels::Backend&, int threads);

/// What the ranks exchanged.
struct Exchanged {
  std::vector<collective::TrafficRow> traffic;
  std::vector<collective::PeerRow> peers;
};

/// Adds the steps from `first_step` on, and brings epochs, traffic (on top of the `earlier` one of the same
/// run) and memory up to date. Collective over `world`; complete on rank 0.
void update_record(results::RunRecord&, comm::Communicator& world, run::Training&, std::size_t first_step,
                   const Exchanged& earlier);

/// A row of `/epochs` as the training keeps it.
run::EpochRow epoch_row(const results::EpochRow&);

/// What this process took of rank 0 beside its steps, in seconds.
struct Overhead {
  double planning_seconds = 0;    ///< of strategy=auto
  double checkpoint_seconds = 0;  ///< of all trainings
  std::size_t first_step = 0;     ///< of the record: those before are of earlier processes
};

/// Figures of merit of the finished run, from the record on rank 0. Throughput excludes the first five steps.
std::vector<results::Figure> figures_of_merit(const results::RunRecord&, const run::Training&,
                                              const Overhead&);

/// The spans of the steps that were asked for. Collective over `world`; complete on rank 0.
void add_timeline(results::RunRecord&, comm::Communicator& world, const model::ModelSpec&,
                  const run::Training&);

}  // namespace partita::job
