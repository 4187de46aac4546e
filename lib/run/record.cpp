#include "partita/run/record.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

namespace partita::run {
namespace {

/// Numbers of one step on the wire: five spans, the step's seconds, one wait a reduction.
constexpr std::size_t fixed_numbers = 6;

std::string pack(const std::vector<StepRow>& steps, std::size_t first) {
  std::vector<double> numbers;
  for (std::size_t i = first; i < steps.size(); ++i) {
    const auto& s = steps[i].spans;
    numbers.insert(numbers.end(), {s.load, s.forward, s.backward, s.update, s.other, steps[i].seconds});
    numbers.insert(numbers.end(), s.reductions.begin(), s.reductions.end());
  }
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(double)};
}

}  // namespace

std::vector<GatheredStep> gather_steps(comm::Communicator& world, const std::vector<StepRow>& steps,
                                       std::size_t first) {
  const auto texts = world.gather_text(pack(steps, first), 0, collective::Purpose::metric);
  std::vector<GatheredStep> gathered;
  if (world.rank() != 0 || first >= steps.size()) return gathered;
  const std::size_t waits = steps[first].spans.reductions.size(), width = fixed_numbers + waits;
  const std::size_t ranks = texts.size();
  std::vector<std::vector<double>> numbers(ranks);
  for (std::size_t r = 0; r < ranks; ++r) {
    numbers[r].resize(texts[r].size() / sizeof(double));
    std::memcpy(numbers[r].data(), texts[r].data(), texts[r].size());
  }
  for (std::size_t i = 0; first + i < steps.size(); ++i) {
    const auto& row = steps[first + i];
    GatheredStep step{.loss = row.loss, .learning_rate = row.learning_rate, .samples = row.samples};
    const auto number = [&](std::size_t r, std::size_t k) { return numbers[r][i * width + k]; };
    for (std::size_t r = 0; r < ranks; ++r) {
      step.phases.push_back({.load = number(r, 0),
                             .forward = number(r, 1),
                             .backward = number(r, 2),
                             .update = number(r, 3),
                             .other = number(r, 4)});
      step.rank_seconds.push_back(number(r, 5));
      step.seconds = std::max(step.seconds, number(r, 5));
    }
    for (std::size_t w = 0; w < waits; ++w) {
      double shortest = INFINITY;
      for (std::size_t r = 0; r < ranks; ++r)
        shortest = std::min(shortest, number(r, fixed_numbers + w));
      for (std::size_t r = 0; r < ranks; ++r) {
        step.phases[r].exposed_transfer += shortest;
        step.phases[r].straggler += number(r, fixed_numbers + w) - shortest;
      }
    }
    gathered.push_back(std::move(step));
  }
  return gathered;
}

}  // namespace partita::run
