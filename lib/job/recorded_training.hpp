/// A training and its record, kept up to date together, whatever plans it goes through.
#pragma once

#include "mlperf_log.hpp"
#include "replanner.hpp"
#include "resume.hpp"
#include "run_record.hpp"

namespace partita::job {

class RecordedTraining {
 public:
  /// The record is of the training's plan; all outlive it but the training. Collective over the world.
  RecordedTraining(const Job&, run::Training&, kernels::Backend&, int threads, MlperfLog&, Replanner&);

  /// Goes on from a checkpoint instead of the beginning.
  void continue_from(const Resumed&);
  /// The steps that follow are those of another training, which goes on where this one has ended.
  /// `checkpoint_seconds`: that the checkpoints of the one before took.
  void continue_with(run::Training&, double checkpoint_seconds);
  run::Outcome run();
  /// The final result, whichever way the run ended. Collective; complete on rank 0.
  const results::RunRecord& finish(results::Status);

 private:
  void update();
  void write() const;
  void snapshot();

  const Job& job_;
  run::Training* training_;
  MlperfLog& log_;
  Replanner& replanner_;
  results::RunRecord record_;
  Exchanged earlier_;         ///< before the checkpoint
  Overhead overhead_;         ///< of trainings before this one
  std::size_t recorded_ = 0;  ///< steps of the training
  results::Timeline earlier_timeline_;
  std::size_t timed_ = 0;   ///< steps of the training
  std::size_t pushed_ = 0;  ///< rows of this rank's pushes
  std::vector<results::MemoryRow> earlier_memory_;
  std::vector<results::ReplanRow> earlier_replans_;
};

}  // namespace partita::job
