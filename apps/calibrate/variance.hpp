/// How far times scatter, of logarithms: what is common to many kernels is pooled.
#pragma once

#include <span>
#include <vector>

namespace partita::calibrate {

/// Variance of the samples' logarithms; 0 of fewer than two.
double log_variance(std::span<const double> seconds);

/// The same from their quartiles, as if they were normal: a few that were interrupted do not count.
double robust_log_variance(std::span<const double> seconds);

/// The same of samples about the mean of their own group; groups of one say nothing, and 0 is where all do.
double robust_log_variance_within(std::span<const std::vector<double>> groups);

/// Variances by their weight.
class Pooled {
 public:
  void add(double variance, double weight) { sum_ += weight * variance, weight_ += weight; }
  /// To four decimals, at most 2, which is the most that a machine file takes; 0 of nothing.
  [[nodiscard]] double deviation() const;

 private:
  double sum_ = 0, weight_ = 0;
};

}  // namespace partita::calibrate
