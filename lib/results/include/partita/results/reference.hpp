/// Absolute expectations of a metric, as ReFrame writes them: a target with relative bounds.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "partita/results/comparison.hpp"

namespace partita::results {

/// `metric` must have a median in [target + |target|·lower, target + |target|·upper].
struct Reference {
  std::string metric;
  double target = 0;
  std::optional<double> lower, upper;  ///< fractions of the target, such as -0.05 and 0.05
  std::string unit;                    ///< of the target; empty: the metric's
};

/// "METRIC=TARGET,LOWER,UPPER[,UNIT]". Either bound may be empty or None; blanks about a field do not
/// count. A lower bound is at most 0, an upper one at least 0, both finite, and as in ReFrame none lies
/// beyond 0: the lower one is at least -1 for a target of at least 0, the upper one at most 1 for a negative
/// target. Appends what is wrong under `key`.
std::optional<Reference> parse_reference(const std::string& key, const std::string& text,
                                         std::vector<base::Violation>& violations);

struct CheckedReference {
  Reference reference;
  std::string group;
  std::size_t runs = 0;
  std::string unit;
  double median = not_measured;
  std::optional<double> least, most;
  bool holds = false;  ///< never where the median is not a number
};

/// Lays the references against the medians of a group. Appends to `violations` metrics that the group does
/// not have (with the members of that family, or the nearest name) and units that are not the metric's.
std::vector<CheckedReference> check_references(std::span<const Reference>, const RunGroup&,
                                               std::vector<base::Violation>& violations);

/// The name most similar to `wanted`, by edit distance; empty for no names.
std::string nearest_name(const std::string& wanted, std::span<const std::string> names);

}  // namespace partita::results
