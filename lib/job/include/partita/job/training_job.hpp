/// One training run on the ranks of a communicator, from its input to its result file: what partita-train
/// does once and partita-sweep many times.
#pragma once

#include "partita/job/job.hpp"
#include "partita/results/named_path.hpp"

namespace partita::job {

/// `read_input` and what else a training run refuses: a plan that does not fit, files that it may not
/// write. `rank` 0 checks the files.
Input read_training_input(int argc, const char* const* argv, int rank, int world_size);

/// The same without the files that are written, for one of several runs in a process, which share data sets.
Input read_shared_input(int argc, const char* const* argv, int world_size, DataSets&,
                        Kernels = Kernels::run_here);

/// What a run reads and what it writes.
std::vector<results::NamedPath> files_of(const Input&);

/// What of the files that a run would write stands in its way.
std::vector<base::Violation> check_files(const Input&);

/// Trains, writes snapshots, the result and the model, prints the last lines; or describes the run where
/// nothing is written. The exit code. Collective over the job's world.
int run_training(const Job&);

}  // namespace partita::job
