/// The words for statuses and phases, by which software and when a result was made, and a step's row spread
/// over the columns.
#include "partita/results/record.hpp"

#include <algorithm>
#include <ctime>
#include <utility>

#include "partita/base/error.hpp"
#include "partita/base/version.hpp"

namespace partita::results {

std::string_view to_string(Status status) {
  switch (status) {
    case Status::running:
      return "running";
    case Status::complete:
      return "complete";
    case Status::aborted:
      return "aborted";
    case Status::invalid:
      return "invalid";
  }
  return "unknown";
}

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::load:
      return "load";
    case Phase::forward:
      return "forward";
    case Phase::backward:
      return "backward";
    case Phase::update:
      return "update";
    case Phase::exposed_transfer:
      return "exposed_transfer";
    case Phase::dependency:
      return "dependency";
    case Phase::straggler:
      return "straggler";
    case Phase::other:
      return "other";
  }
  return "unknown";
}

Attributes new_attributes() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char created[sizeof "2000-01-01T00:00:00Z"] = {};
  std::strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &utc);
  const auto build = base::version();
  return {.software_version = std::string(build.software_version),
          .git_commit = std::string(build.git_commit),
          .git_dirty = build.git_dirty,
          .created = created};
}

void Steps::append(const StepRow& row) {
  base::expect(static_cast<std::int64_t>(row.phases.size()) == ranks &&
                   static_cast<std::int64_t>(row.rank_seconds.size()) == ranks,
               "a step has one row of phases and one duration a rank", row.phases.size(),
               row.rank_seconds.size(), ranks);
  loss.push_back(row.loss);
  samples.push_back(row.samples);
  seconds.push_back(row.seconds);
  learning_rate.push_back(row.learning_rate);
  if (row.gradient_norm) {
    gradient_norm.resize(loss.size() - 1, not_measured);  // of steps that had none
    gradient_norm.push_back(*row.gradient_norm);
  } else if (!gradient_norm.empty()) {
    gradient_norm.push_back(not_measured);
  }
  if (row.is_synchronised) {
    synchronised.resize(loss.size() - 1, 1);  // of steps of another run that went before
    synchronised.push_back(*row.is_synchronised ? 1 : 0);
  } else if (!synchronised.empty()) {
    synchronised.push_back(1);
  }
  rank_seconds.insert(rank_seconds.end(), row.rank_seconds.begin(), row.rank_seconds.end());
  for (const auto& rank : row.phases)
    for (std::size_t p = 0; p < phase_count; ++p)
      phase[p].push_back(rank[p]);
}

std::vector<Steps::Stretch> Steps::stretches(std::size_t first) const {
  std::vector<Stretch> all;
  const auto n = static_cast<std::size_t>(ranks);
  std::vector<double> of_rank(n);
  Stretch open;
  const auto close = [&] {
    if (open.steps > 1) open.seconds = *std::ranges::max_element(of_rank);
    all.push_back(std::exchange(open, {}));
    std::ranges::fill(of_rank, 0.0);
  };
  for (auto i = first; i < count(); ++i) {
    ++open.steps, open.samples += samples[i], open.seconds = seconds[i];
    for (std::size_t r = 0; r < n; ++r)
      of_rank[r] += rank_seconds[i * n + r];
    if (synchronised.empty() || synchronised[i] != 0) close();
  }
  if (all.empty() && open.steps > 0) close();
  return all;
}

}  // namespace partita::results
