/// Rows of one kernel on several shapes, from which its time on any shape follows.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "partita/cost/kernel_times.hpp"

namespace partita::cost {

using Extents = std::vector<std::int64_t>;

/// A part of what a kernel takes: so many calls, FLOPs or bytes.
struct Part {
  enum class Of { calls, flops, bytes };
  Of of;
  double amount;
  /// Whether the model counts it before anything is measured; else measurements alone say what it takes.
  bool is_modelled = true;
};

/// At most eight, always as many for one kernel and number of extents.
std::vector<Part> parts_of(const std::string& kernel, const Extents& shape, kernels::Bytes of_element);

class KernelFamily {
 public:
  struct Row {
    Extents shape;
    double seconds;
  };
  /// At least one row; all shapes have as many extents.
  KernelFamily(std::string kernel, kernels::Bytes of_element, std::vector<Row>, const machine::Machine&);

  struct Time {
    double seconds;
    Basis basis;
  };
  [[nodiscard]] Time at(const Extents& shape) const;
  /// The shape of the nearest row.
  [[nodiscard]] const Extents& nearest(const Extents& shape) const;

 private:
  [[nodiscard]] double fitted(const Extents& shape) const;
  [[nodiscard]] bool encloses(const std::vector<double>& point) const;

  struct Point {
    Extents shape;
    std::vector<double> at;  ///< logarithms of the extents
    double seconds;
    double log_excess;  ///< of the row's seconds over the fitted ones
  };
  std::string kernel_;
  kernels::Bytes of_element_;
  std::vector<double> seconds_of_parts_;  ///< each part, of one call, FLOP or byte
  std::vector<Point> points_;
};

}  // namespace partita::cost
