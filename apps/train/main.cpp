/// partita-train: trains a model on a grid of MPI ranks and records what it cost.
#include "partita/base/end_signals.hpp"
#include "partita/command_line/program.hpp"
#include "partita/job/training_job.hpp"

int main(int argc, char** argv) {
  using namespace partita;
  base::end_on_signals("partita-train");  // until the training notices them itself
  return command_line::run("partita-train", [&] {
    return job::run_main(
        {.name = "partita-train", .read = job::read_training_input, .run = job::run_training}, argc, argv);
  });
}
