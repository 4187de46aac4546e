/// The triad, counted as its users count it: two vectors read, one written.
#include "memory.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "partita/results/statistics.hpp"

namespace partita::calibrate {
namespace {

constexpr int samples = 15;
constexpr double sample_seconds = 0.01;

}  // namespace

Triad::Triad(std::int64_t bytes)
    : a_(static_cast<std::size_t>(bytes / 12), 1), b_(a_.size(), 2), c_(a_.size(), 3) {}

void Triad::run() {
  for (std::size_t i = 0; i < a_.size(); ++i)
    a_[i] = b_[i] + 0.5F * c_[i];
  std::swap(a_, b_);
}

double triad_bytes_per_second(comm::Communicator& group, std::int64_t bytes) {
  Triad triad(bytes);
  const auto seconds_of = [&](int calls) {
    const double begin = base::now_seconds();
    for (int call = 0; call < calls; ++call)
      triad.run();
    return (base::now_seconds() - begin) / calls;
  };
  const double once = most(group, seconds_of(2));
  const int calls = std::max(2, static_cast<int>(sample_seconds / once));
  std::vector<double> seconds;
  for (int sample = 0; sample < samples; ++sample) {
    group.barrier();
    seconds.push_back(most(group, seconds_of(calls)));
  }
  return static_cast<double>(triad.bytes()) / results::median(seconds);
}

}  // namespace partita::calibrate
