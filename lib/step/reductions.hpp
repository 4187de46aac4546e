/// What is reduced at the end of a step: gradients in buckets, each as soon as its last gradient exists, and
/// the loss sums.
#pragma once

#include "assembly.hpp"

namespace partita::step {

class Reductions {
 public:
  explicit Reductions(Assembly&);

  /// The gradients of a unit are complete: takes them into the open bucket. It is closed, and its reduction
  /// started, before a unit that is reduced over other axes, and after one that makes it large enough or is
  /// the last. Sizes are even shares, not this rank's, so that all tensor coordinates close the same buckets;
  /// those of a rank without a share of their layers are empty.
  void complete(int unit);
  void start_metric();
  /// Waits for each bucket and updates its parameters, then waits for the metric.
  void update();

 private:
  void close_bucket();

  Assembly& a_;
  Bucket open_;
  Elements open_share_{};  ///< what a rank has of the open bucket when shares are even
  int open_units_ = 0, trained_units_left_ = 0;
  std::vector<int> bucket_reduction_;
  int metric_reduction_ = -1;
};

}  // namespace partita::step
