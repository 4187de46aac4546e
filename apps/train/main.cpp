/// partita-train: trains a model on a grid of MPI ranks and records what it cost.
#include "command_line/program.hpp"
#include "partita/base/end_signals.hpp"
#include "train/training_job.hpp"

int main(int argc, char** argv) {
  using namespace partita;
  base::end_on_signals("partita-train");  // until the training notices them itself
  return command_line::run("partita-train", [&] {
    return job::run_main({.name = "partita-train", .read = train::read_input, .run = train::run_training},
                         argc, argv);
  });
}
