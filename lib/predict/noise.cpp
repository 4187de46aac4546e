/// Factors are counter-based draws: the same for a rank's n-th instruction, whatever other ranks do
/// meanwhile.
#include "partita/predict/noise.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "partita/kernels/philox.hpp"
#include "partita/sim/costs.hpp"

namespace partita::predict {
namespace {

/// Draws of what a run has in common, behind those of ranks.
constexpr auto of_all_ranks = std::numeric_limits<std::uint32_t>::max();

/// Of one rank, or of all together.
class Draws {
 public:
  Draws(std::uint64_t seed, std::uint32_t which)
      : stream_(kernels::random_stream(seed, kernels::RandomPurpose::synthetic_data, which)) {}
  double factor(double deviation) {
    return deviation == 0 ? 1 : std::exp(deviation * kernels::random_normal(stream_, next_++));
  }

 private:
  kernels::RandomStream stream_;
  std::uint64_t next_ = 0;
};

}  // namespace

NoisyPlay play_for(const machine::Variance& deviation) {
  const bool runs_differ = deviation.between_runs > 0 || deviation.between_ranks > 0;
  return runs_differ ? NoisyPlay{.steps = 5, .runs = 40} : NoisyPlay{};
}

std::vector<double> noisy_steps(const Subject& subject, const Supposed& supposed, std::int64_t batch,
                                const Noise& noise, int count, int runs) {
  constexpr int run_in = 2;
  const auto roles = roles_of(subject);
  auto costs = costs_of(subject, supposed, roles, batch);
  Draws of_runs(noise.seed, of_all_ranks);
  std::vector<Draws> of_ranks;
  for (std::size_t rank = 0; rank < roles.by_rank.size(); ++rank)
    of_ranks.emplace_back(noise.seed, static_cast<std::uint32_t>(rank));
  std::vector<double> in_this_run(of_ranks.size());
  costs.instruction = [&, quiet = costs.instruction](int rank, const step::Instruction& instruction) {
    const auto r = static_cast<std::size_t>(rank);
    return machine::scaled(quiet(rank, instruction),
                           in_this_run[r] * of_ranks[r].factor(noise.deviation.within_run));
  };
  const auto& cadence = subject.split.plan.cadence;
  const bool is_each = cadence.is_uniform() || cadence.servers.is_asynchronous ||
                       cadence.ends_in_start();  // a step, not a period
  const auto steady = step::steady_steps(cadence, is_each ? run_in + count : 1);
  const int first =
      run_in + static_cast<int>(std::ranges::find(steady.kinds, steady.kinds.back()) - steady.kinds.begin());
  std::vector<double> seconds;
  for (int run = 0; run < runs; ++run) {
    const double of_run = of_runs.factor(noise.deviation.between_runs);
    for (std::size_t rank = 0; rank < in_this_run.size(); ++rank)
      in_this_run[rank] = of_run * of_ranks[rank].factor(noise.deviation.between_ranks);
    const auto simulation =
        sim::simulate(roles.by_rank, costs, static_cast<int>(steady.kinds.size()), {.steady = steady});
    if (!is_each) seconds.push_back(machine::seconds_of(simulation.step_duration()));
    for (int s = first; is_each && s < first + count; ++s)
      seconds.push_back(machine::seconds_of(simulation.end_of(s) - simulation.end_of(s - 1)));
  }
  return seconds;
}

}  // namespace partita::predict
