/// Going on from a checkpoint: which one, whether it fits, and what of the result is known already.
#pragma once

#include <optional>
#include <string>

#include "partita/job/job.hpp"
#include "partita/results/record.hpp"
#include "partita/run/training.hpp"

namespace partita::job {

/// The run's output, as its manifests name it; empty where there is none.
std::string output_seen_from_checkpoints(const config::RunOptions&);

/// What keeps a run that begins anew from deleting the checkpoints that it finds: another output's.
std::vector<base::Violation> check_overwritten(const config::RunOptions&);

/// What must stay the same in a training that goes on from a checkpoint of this run.
results::TrainingIdentity identity_of(const config::RunOptions&, const data::DataPair&);

/// What keeps the run from going on as `--resume` asks: a checkpoint of another training, an output of
/// another configuration. For one rank, which reads the files.
std::vector<base::Violation> check_resume(const Input&);

/// How the output's run ended, when `--resume` finds that it has; on every rank. Collective over the world.
struct Ended {
  int exit_code = success;
  results::RunRecord record;  ///< on rank 0
};
std::optional<Ended> find_ended(const Job&);

/// From where the run goes on.
struct Resumed {
  std::int64_t step = 0;
  bool same_run =
      false;  ///< on rank 0: the checkpoint is of the same configuration and output, whose result goes on
  std::vector<results::ChangeRow> changes;  ///< of the configuration, since the checkpoint was written
  results::RunRecord record;                ///< of the checkpoint, on rank 0
};

/// Restores the newest checkpoint that is whole; damaged ones are named on stderr and set aside. Nothing when
/// there is no checkpoint. Throws `base::ConfigError` when none of them is whole. Collective over the world.
std::optional<Resumed> resume(const Job&, run::Training&);

/// Puts what the checkpoint's result holds before what this run adds. On rank 0.
void continue_record(results::RunRecord&, const Resumed&);

}  // namespace partita::job
