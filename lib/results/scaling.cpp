/// Speed-up and efficiency of each group against the first: strong scaling if the global batch is the same,
/// else weak. If more than grid and batch differ, those keys are named in place of a table.
#include "partita/results/scaling.hpp"

#include <algorithm>

#include "partita/results/configuration.hpp"

namespace partita::results {
namespace {

/// What a study of scaling must not vary.
void add_obstacles(std::vector<std::string>& keys, const RunRecord& a, const RunRecord& b,
                   base::RoleOf role_of) {
  for (const auto& d : configuration_differences(a, b, role_of))
    if (d.role != base::KeyRole::split && d.role != base::KeyRole::batch &&
        std::ranges::find(keys, d.key) == keys.end())
      keys.push_back(d.key);
}

const RunRecord& first_of(const RunGroup& group) { return group.runs.front().record; }

double throughput_of(const RunGroup& group) {
  std::vector<double> rates;
  for (const auto& run : group.runs)
    for (const auto& metric : metrics_of(run.record))
      if (metric.name == "samples_per_second") rates.push_back(metric.value);
  return rates.size() == group.runs.size() ? median(rates) : not_measured;
}

}  // namespace

std::string_view to_string(Scaling kind) { return kind == Scaling::strong ? "strong" : "weak"; }

ScalingTable scaling_table(const std::vector<RunGroup>& groups, base::RoleOf role_of) {
  const auto& base = first_of(groups.front());
  const auto grid = [](const RunGroup& group) { return first_of(group).attributes.grid; };
  const bool scaled =
      std::ranges::any_of(groups, [&](const RunGroup& group) { return grid(group) != base.attributes.grid; });
  if (!scaled || !check_comparable(groups, role_of).empty()) return {};
  ScalingTable table;
  for (const auto& group : groups)
    add_obstacles(table.obstacles, base, first_of(group), role_of);
  if (!table.obstacles.empty()) return table;
  auto& rows = table.rows;
  for (const auto& group : groups) {
    const auto& a = first_of(group).attributes;
    ScalingRow row{.name = group.name, .grid = a.grid, .ranks = a.grid.size(), .batch = a.batch};
    row.kind = a.batch == base.attributes.batch ? Scaling::strong : Scaling::weak;
    row.samples_per_second = throughput_of(group);
    const auto& first = rows.empty() ? row : rows.front();
    row.speed_up = row.samples_per_second / first.samples_per_second;
    row.efficiency = row.speed_up * static_cast<double>(first.ranks) / static_cast<double>(row.ranks);
    rows.push_back(std::move(row));
  }
  if (std::ranges::none_of(rows, [](const ScalingRow& row) { return std::isfinite(row.speed_up); }))
    return {};
  return table;
}

}  // namespace partita::results
