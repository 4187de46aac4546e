/// partita-train: trains a model on a grid of MPI ranks and records what it cost.
#include "train/training_job.hpp"

int main(int argc, char** argv) {
  using namespace partita;
  return job::run_main({.name = "partita-train", .read = train::read_input, .run = train::run_training}, argc,
                       argv);
}
