/// How the ranks' clocks differ: ping-pong with rank 0; ranks of one host share a clock.
#include <algorithm>
#include <cmath>

#include "partita/base/clock.hpp"
#include "state.hpp"

namespace partita::comm {
namespace {

constexpr int repetitions = 10;

void run(Collective& operation) {
  operation.start();
  operation.wait();
}

}  // namespace

Clocks Communicator::measure_clocks() {
  Clocks clocks{.offset_seconds = std::vector<double>(static_cast<std::size_t>(size()), 0.0)};
  if (virtual_clock() != nullptr) return clocks;
  double worst = 0;
  for (int r = 1; r < size(); ++r) {
    if (nodes()[static_cast<std::size_t>(r)] == nodes()[0]) continue;
    if (rank() != 0 && rank() != r) continue;
    double theirs = 0, shortest = INFINITY;
    const View view(std::span(&theirs, 1));
    const auto question = rank() == 0 ? plan_send(view, r, 0, collective::Purpose::control)
                                      : plan_receive(view, 0, 0, collective::Purpose::control);
    const auto answer = rank() == 0 ? plan_receive(view, r, 1, collective::Purpose::control)
                                    : plan_send(view, 0, 1, collective::Purpose::control);
    for (int i = 0; i < repetitions; ++i) {
      const double asked = base::now_seconds();
      run(*question);
      theirs = base::now_seconds();
      run(*answer);
      const double answered = base::now_seconds();
      if (rank() != 0 || answered - asked >= shortest) continue;
      shortest = answered - asked;
      clocks.offset_seconds[static_cast<std::size_t>(r)] = theirs - 0.5 * (asked + answered);
    }
    worst = std::max(worst, 0.5 * shortest);
  }
  clocks.uncertainty_seconds = rank() == 0 ? worst : 0;
  return clocks;
}

}  // namespace partita::comm
