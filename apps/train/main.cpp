/// partita-train: trains a model on a grid of MPI ranks and records what it cost.
#include "command_line/program.hpp"
#include "partita/run/signals.hpp"
#include "train/training_job.hpp"

int main(int argc, char** argv) {
  using namespace partita;
  // Also while MPI starts and ends: once the first rank has left with the code of a checkpoint, srun -K1
  // sends SIGTERM to the others.
  const run::StopSignals listening;
  return command_line::run("partita-train", [&] {
    return job::run_main({.name = "partita-train", .read = train::read_input, .run = train::run_training},
                         argc, argv);
  });
}
