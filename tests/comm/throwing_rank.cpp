/// One rank throws while the others wait for it.
#include <iostream>
#include <stdexcept>

#include "partita/comm/communicator.hpp"

int main(int argc, char** argv) {
  using namespace partita;
  return comm::run_program(argc, argv, std::cerr, [](comm::MpiEnvironment& environment) {
    auto world = comm::Communicator::world(environment);
    if (world.rank() == 1) throw std::runtime_error("the cause of it all");
    world.barrier();
    return 0;
  });
}
