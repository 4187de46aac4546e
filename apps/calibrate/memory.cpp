/// The triad, counted as its users count it: two vectors read, one written.
#include "memory.hpp"

#include <algorithm>
#include <vector>

#include "partita/results/statistics.hpp"

namespace partita::calibrate {
namespace {

constexpr int samples = 15;
constexpr double sample_seconds = 0.01;

void triad(std::vector<float>& a, const std::vector<float>& b, const std::vector<float>& c) {
  for (std::size_t i = 0; i < a.size(); ++i)
    a[i] = b[i] + 0.5F * c[i];
}

}  // namespace

double triad_bytes_per_second(comm::Communicator& group, std::int64_t bytes) {
  const auto n = static_cast<std::size_t>(bytes / 12);
  std::vector<float> a(n, 1), b(n, 2), c(n, 3);
  const auto seconds_of = [&](int calls) {
    const double begin = base::now_seconds();
    for (int call = 0; call < calls; ++call)
      triad(call % 2 == 0 ? a : b, call % 2 == 0 ? b : a, c);
    return (base::now_seconds() - begin) / calls;
  };
  const double once = most(group, seconds_of(2));
  const int calls = std::max(2, static_cast<int>(sample_seconds / once));
  std::vector<double> seconds;
  for (int sample = 0; sample < samples; ++sample) {
    group.barrier();
    seconds.push_back(most(group, seconds_of(calls)));
  }
  return static_cast<double>(12 * n) / results::median(seconds);
}

}  // namespace partita::calibrate
