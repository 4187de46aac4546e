/// Two ranks on one core: what a message takes longer than one to oneself is the yield of who waits for it.
#include "sharing.hpp"

#include <sched.h>

#include <algorithm>
#include <vector>

#include "partita/results/statistics.hpp"

namespace partita::calibrate {
namespace {

using collective::Purpose;

constexpr int messages = 100, repetitions = 21;
/// Of a node: more on one core would take seconds to say that they are there.
constexpr int most_ranks = 8;

/// The first core that this process may use.
int first_core() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(0, sizeof allowed, &allowed);
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &allowed)) return core;
  return 0;
}

/// This process on one core, as long as it lives.
class Bound {
 public:
  explicit Bound(int core) {
    CPU_ZERO(&before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    worked_ =
        sched_getaffinity(0, sizeof before_, &before_) == 0 && sched_setaffinity(0, sizeof one, &one) == 0;
  }
  ~Bound() {
    if (worked_) sched_setaffinity(0, sizeof before_, &before_);
  }
  Bound(const Bound&) = delete;
  Bound& operator=(const Bound&) = delete;
  [[nodiscard]] bool worked() const { return worked_; }

 private:
  cpu_set_t before_{};
  bool worked_ = false;
};

/// Of a message there and one back, half the median; `answers`: this rank waits first.
double one_way_seconds(comm::Communicator& ranks, int other, bool answers) {
  float out = 0, in = 0;
  const auto send = ranks.plan_send(kernels::View(std::span(&out, 1)), other, 0, Purpose::control);
  const auto receive = ranks.plan_receive(kernels::View(std::span(&in, 1)), other, 0, Purpose::control);
  const auto pass_on = [&] {
    send->start();
    send->wait();
  };
  std::vector<double> seconds;
  for (int i = 0; i < repetitions; ++i) {
    const double begin = base::now_seconds();
    for (int message = 0; message < messages; ++message) {
      receive->start();
      if (!answers) pass_on();
      receive->wait();
      if (answers) pass_on();
    }
    const int one_ways = other == ranks.rank() ? messages : 2 * messages;
    seconds.push_back((base::now_seconds() - begin) / one_ways);
  }
  return results::percentile(seconds, quick_share);
}

}  // namespace

machine::Cores measure_sharing(comm::MpiEnvironment& environment, comm::Communicator& world,
                               comm::Communicator& self, int cores) {
  machine::Cores found{.number = cores};
  if (most(world, world.local_size()) > most_ranks) return found;
  const Bound bound(static_cast<int>(most(world, world.rank() == 0 ? first_core() : 0)));
  if (most(world, bound.worked() ? 0 : 1) > 0) return found;
  // Made on one core for all, its waits yield as soon as they do where ranks share cores.
  auto crowded = comm::Communicator::world(environment);
  const bool meet = crowded.size() > 1 && crowded.nodes()[0] == crowded.nodes()[1];
  if (meet && crowded.rank() < 2) {
    const double one_way = one_way_seconds(crowded, 1 - crowded.rank(), crowded.rank() == 1);
    if (crowded.rank() == 0) found.yield_seconds = std::max(0.0, one_way - one_way_seconds(self, 0, false));
  }
  gather_asleep(crowded);
  return found;
}

}  // namespace partita::calibrate
