/// Variances of logarithms.
#include "variance.hpp"

#include <algorithm>
#include <cmath>

#include "partita/results/statistics.hpp"

namespace partita::calibrate {

double log_variance(std::span<const double> seconds) {
  if (seconds.size() < 2) return 0;
  const auto n = static_cast<double>(seconds.size());
  double mean = 0, squares = 0;
  for (const double s : seconds)
    mean += std::log(s) / n;
  for (const double s : seconds)
    squares += (std::log(s) - mean) * (std::log(s) - mean);
  return squares / (n - 1);
}

double robust_log_variance(std::span<const double> seconds) {
  constexpr double quartiles_apart = 1.349;  // deviations of a normal distribution
  const double low = results::percentile(seconds, 25), high = results::percentile(seconds, 75);
  return low > 0 ? std::pow(std::log(high / low) / quartiles_apart, 2) : 0;
}

double robust_log_variance_within(std::span<const std::vector<double>> groups) {
  std::vector<double> factors;  // by which samples differ from their group
  for (const auto& seconds : groups) {
    if (seconds.size() < 2) continue;
    const auto n = static_cast<double>(seconds.size());
    double mean = 0;
    for (const double s : seconds)
      mean += std::log(s) / n;
    for (const double s : seconds)
      factors.push_back(std::exp((std::log(s) - mean) * std::sqrt(n / (n - 1))));
  }
  return factors.empty() ? 0 : robust_log_variance(factors);
}

double Pooled::deviation() const {
  constexpr double most = 2, decimals = 1e4;
  return weight_ > 0 ? std::min(std::round(std::sqrt(sum_ / weight_) * decimals) / decimals, most) : 0;
}

}  // namespace partita::calibrate
