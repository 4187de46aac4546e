/// Rows of one kernel on several shapes, from which its time on any shape follows.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "partita/cost/kernel_times.hpp"

namespace partita::cost {

using Extents = std::vector<std::int64_t>;

/// On what a kernel runs, and how.
struct Run {
  Extents shape;
  Extents beyond;             ///< per cent of what it touches that lie beyond each cache
  std::vector<double> marks;  ///< 1 for each addition that it has ("+relu"), else 0; always as many
  int active_ranks = 1;       ///< of the node
  double own_flops = 0;       ///< of a convolution by own loops (partita/kernels/few_channels.hpp)
  friend bool operator==(const Run&, const Run&) = default;
};

/// A part of what a kernel takes: so many calls, FLOPs or bytes.
struct Part {
  enum class Of { calls, flops, bytes };
  Of of;
  double amount;
  /// Whether the model counts it before anything is measured; else measurements alone say what it takes.
  bool is_modelled = true;
};

/// At most eight, always as many for one kernel, number of extents and number of caches.
std::vector<Part> parts_of(const std::string& kernel, const Run&, kernels::Bytes of_element);

/// Where a run lies among others of its kernel: those near it take nearly as many times what their parts
/// take. Always as many for one kernel, number of extents and number of caches.
std::vector<double> coordinates_of(const std::string& kernel, const Run&);

/// What must lie within that of the rows, each for itself, if a time is to be interpolated.
std::vector<double> extents_of(const Run&);

class KernelFamily {
 public:
  struct Row {
    machine::KernelKey key;
    Run run;  ///< of the key
    double seconds;
    double variance = 0;  ///< of the logarithm of `seconds`: how far it may lie from the true one
  };
  /// At least one row; all shapes have as many extents, and all know of as many caches.
  KernelFamily(std::string kernel, kernels::Bytes of_element, std::vector<Row>, const machine::Machine&);

  struct Time {
    double seconds;
    Basis basis;
  };
  [[nodiscard]] Time at(const Run&) const;
  /// The row that is nearest.
  [[nodiscard]] const Row& nearest(const Run&) const;

 private:
  struct Point {
    Row row;
    double log_excess;  ///< of the row's seconds over the fitted ones
  };
  struct Near {
    double squared;  ///< distance
    std::size_t point;
  };
  [[nodiscard]] double fitted(const Run&) const;
  [[nodiscard]] bool encloses(const Run&) const;
  /// Of all points.
  [[nodiscard]] std::vector<Near> distances_from(std::span<const double> at) const;
  /// Where all points are so far away.
  [[nodiscard]] double excess_at(std::vector<Near>) const;

  std::string kernel_;
  kernels::Bytes of_element_;
  std::vector<double> seconds_of_parts_;  ///< each part, of one call, FLOP or byte
  std::vector<Point> points_;
  std::vector<double> coordinates_;         ///< the first of all points, then the second, and so on
  double usual_excess_ = 0, variance_ = 0;  ///< the middle of all, and how far they lie from it
  std::vector<double> least_, most_;        ///< extents of the rows
};

}  // namespace partita::cost
