/// Factors are counter-based draws: the same for a rank's n-th instruction, whatever other ranks do
/// meanwhile.
#include "partita/predict/noise.hpp"

#include <cmath>

#include "partita/kernels/philox.hpp"
#include "partita/sim/costs.hpp"

namespace partita::predict {

std::vector<double> noisy_steps(const Subject& subject, const Supposed& supposed, std::int64_t batch,
                                const Noise& noise, int count) {
  constexpr int run_in = 2;
  const auto roles = roles_of(subject);
  auto costs = costs_of(subject, supposed, roles, batch);
  std::vector<std::uint64_t> done(roles.by_rank.size());  // instructions of each rank
  costs.instruction = [&, quiet = costs.instruction](int rank, const step::Instruction& instruction) {
    const auto stream = kernels::random_stream(noise.seed, kernels::RandomPurpose::synthetic_data,
                                               static_cast<std::uint32_t>(rank));
    const double z = kernels::random_normal(stream, done[static_cast<std::size_t>(rank)]++);
    return static_cast<machine::Picoseconds>(
        std::llround(static_cast<double>(quiet(rank, instruction)) * std::exp(noise.deviation * z)));
  };
  const auto simulation = sim::simulate(roles.by_rank, costs, run_in + count);
  std::vector<double> seconds;
  for (int s = run_in; s < run_in + count; ++s)
    seconds.push_back(machine::seconds_of(simulation.end_of(s) - simulation.end_of(s - 1)));
  return seconds;
}

}  // namespace partita::predict
