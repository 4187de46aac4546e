/// partita-train: trains a model on a grid of MPI ranks and records what it cost.
#include "partita/run/signals.hpp"
#include "train/training_job.hpp"

int main(int argc, char** argv) {
  using namespace partita;
  const auto run = [](const job::Job& job) {
    const run::StopSignals listening;
    return train::run_training(job);
  };
  return job::run_main({.name = "partita-train", .read = train::read_input, .run = run}, argc, argv);
}
