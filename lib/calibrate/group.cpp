/// Waiting that leaves the core to others.
#include "partita/calibrate/group.hpp"

#include <chrono>
#include <span>
#include <thread>

namespace partita::calibrate {

double most(comm::Communicator& group, double mine) {
  group.all_reduce(std::span(&mine, 1), comm::Combine::max, collective::Purpose::metric);
  return mine;
}

void gather_asleep(comm::Communicator& group) {
  const auto barrier = group.plan_barrier();
  barrier->start();
  while (!barrier->test())
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  barrier->wait();
}

}  // namespace partita::calibrate
