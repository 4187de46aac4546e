/// One rank, with windows and plans alive, throws while the others wait for it.
#include <iostream>
#include <stdexcept>

#include "partita/comm/communicator.hpp"

int main(int argc, char** argv) {
  using namespace partita;
  return comm::run_program(argc, argv, std::cerr, [](comm::MpiEnvironment& environment) {
    auto world = comm::Communicator::world(environment);
    // What a training job holds when it fails: unwinding must not wait for ranks that are elsewhere.
    const auto window = world.allocate_shared(comm::Bytes(4096));
    const auto reduction =
        world.plan_all_reduce(window.view(comm::DataType::float32, comm::Elements(1024)), comm::Combine::sum,
                              comm::Algorithm::window, collective::Purpose::gradient);
    if (world.rank() == 1) throw std::runtime_error("the cause of it all");
    world.barrier();
    return 0;
  });
}
