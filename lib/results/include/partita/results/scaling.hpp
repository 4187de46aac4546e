/// How throughput grows with the ranks, of runs that differ in their grid only.
#pragma once

#include <string>
#include <vector>

#include "partita/results/comparison.hpp"

namespace partita::results {

/// `strong`: the global batch is that of the first group; `weak`: the batch of a data rank is.
enum class Scaling { strong, weak };
std::string_view to_string(Scaling);

struct ScalingRow {
  std::string name;
  topology::GridExtent grid;
  std::int64_t ranks = 1, batch = 0;
  Scaling kind = Scaling::strong;
  double samples_per_second = not_measured;  ///< median over runs
  double speed_up = not_measured;    ///< throughput over that of the first group; strong: its time over ours
  double efficiency = not_measured;  ///< speed-up over the growth of the ranks
};

struct ScalingTable {
  std::vector<ScalingRow> rows;  ///< a row a group, the first with speed-up 1
  /// Without rows: the keys, besides grid and batch, in which the groups are configured differently.
  std::vector<std::string> obstacles;
};

/// Empty unless the groups train the same thing (`check_comparable` finds nothing) with more than one grid
/// among them.
ScalingTable scaling_table(const std::vector<RunGroup>&, base::RoleOf role_of = nullptr);

}  // namespace partita::results
