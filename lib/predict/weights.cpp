/// What a data rank takes is nearly a line over its samples: some of it remains without any. Where all lines
/// reach the same height the samples are those of the batch; then they are drawn anew at these samples.
#include "weights.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

namespace partita::predict {
namespace {

/// A part of the machine, and how fast a rank of it is against it.
using Pace = std::pair<int, double>;

Pace pace_of(int rank, const machine::Machine& machine, const std::map<int, double>& speed) {
  const auto known = speed.find(rank);
  return {machine.part_of(rank), known == speed.end() ? 1 : known->second};
}

/// Those of a data rank by stage: on which it depends how long it takes.
using Paces = std::vector<std::set<Pace>>;

/// Seconds of a step with so many samples.
struct Line {
  double fixed = 0, of_sample = 0;
};

class DataRanks {
 public:
  DataRanks(const Subject& even, const machine::Machine& machine, const std::map<int, double>& speed,
            const cost::JobTimes& kernels)
      : even_(even), kernels_(kernels), grid_(even.split.plan.grid) {
    for (int data = 0; data < grid_.data; ++data) {
      Paces paces(static_cast<std::size_t>(grid_.pipeline));
      for (int stage = 0; stage < grid_.pipeline; ++stage)
        for (int tensor = 0; tensor < grid_.tensor; ++tensor)
          paces[static_cast<std::size_t>(stage)].insert(pace_of(
              topology::rank_of(grid_, {.data = data, .pipeline = stage, .tensor = tensor}), machine, speed));
      by_paces_[std::move(paces)].push_back(data);
    }
    if (by_paces_.size() > 1)
      for (int stage = 0; stage < grid_.pipeline; ++stage)
        programs_.push_back(program_of(even, {.pipeline = stage, .tensor = grid_.tensor - 1}));
  }

  [[nodiscard]] std::vector<double> weights() const {
    if (by_paces_.size() < 2) return {};
    const auto batch = static_cast<double>(even_.split.batch);
    std::vector<double> samples(by_paces_.size(), batch / grid_.data);
    constexpr int rounds = 4;
    for (int round = 0; round < rounds; ++round)
      samples = levelled(lines_at(samples), batch);
    if (std::ranges::all_of(samples, [&](double n) { return std::abs(n - batch / grid_.data) < 0.5; }))
      return {};
    constexpr double finest = 1000;
    const double most = *std::ranges::max_element(samples);
    std::vector<double> weights(static_cast<std::size_t>(grid_.data));
    std::size_t kind = 0;
    for (const auto& [paces, ranks] : by_paces_) {
      for (const int data : ranks)
        weights[static_cast<std::size_t>(data)] = std::max(1.0, std::round(finest * samples[kind] / most));
      ++kind;
    }
    return weights;
  }

 private:
  /// By kind of data ranks, which have so many samples each: of their slowest rank.
  [[nodiscard]] std::vector<Line> lines_at(const std::vector<double>& samples) const {
    std::vector<Line> lines;
    for (const auto& [paces, ranks] : by_paces_) {
      const double n = samples[lines.size()];
      Line slowest;
      for (std::size_t stage = 0; stage < paces.size(); ++stage)
        for (const auto& [part, speed] : paces[stage]) {
          const auto line = line_of(programs_[stage], part, speed, n);
          if (line.fixed + line.of_sample * n >= slowest.fixed + slowest.of_sample * n) slowest = line;
        }
      lines.push_back(slowest);
    }
    return lines;
  }

  /// Of times, which are whole picoseconds.
  static constexpr double least_seconds = 1e-15;

  [[nodiscard]] Line line_of(const step::Program& program, int part, double speed, double samples) const {
    const auto of_microbatch =
        std::max<std::int64_t>(1, std::llround(samples / static_cast<double>(program.microbatches)));
    const cost::ProgramTimes times(kernels_.of_part(part), program, even_.split.batch);
    double fixed = 0, of_samples = 0;
    for (const auto& i : program.instructions) {
      if (i.kind == step::Kind::start || i.kind == step::Kind::wait) continue;
      const double seconds = machine::seconds_of(times.of(i, i.microbatch ? of_microbatch : 0).time) / speed;
      (i.microbatch ? of_samples : fixed) += seconds;
    }
    const double of_sample = of_samples / static_cast<double>(of_microbatch * program.microbatches);
    return {fixed, std::max(of_sample, least_seconds)};
  }

  /// Samples, of all that there are, with which all take as long; none for those that take longer without
  /// any.
  [[nodiscard]] std::vector<double> levelled(const std::vector<Line>& lines, double all) const {
    std::vector<bool> works(lines.size(), true);
    std::vector<double> samples(lines.size());
    for (bool is_changed = true; is_changed;) {
      // Σ count·(level − fixed)/of_sample = all
      double slopes = 0, offsets = 0;
      std::size_t kind = 0;
      for (const auto& [paces, ranks] : by_paces_) {
        const auto& [fixed, of_sample] = lines[kind];
        if (works[kind++]) {
          slopes += static_cast<double>(ranks.size()) / of_sample;
          offsets += static_cast<double>(ranks.size()) * fixed / of_sample;
        }
      }
      const double level = (all + offsets) / slopes;
      is_changed = false;
      for (kind = 0; kind < lines.size(); ++kind) {
        samples[kind] = works[kind] ? (level - lines[kind].fixed) / lines[kind].of_sample : 0;
        if (samples[kind] < 0) works[kind] = false, is_changed = true;
      }
    }
    return samples;
  }

  const Subject& even_;
  const cost::JobTimes& kernels_;
  const topology::GridExtent& grid_;
  std::map<Paces, std::vector<int>> by_paces_;  ///< data ranks that take as long
  std::vector<step::Program>
      programs_;  ///< by stage: of the last tensor rank, whose share is not the largest
};

}  // namespace

std::vector<double> balanced_weights(const Subject& even, const machine::Machine& machine,
                                     const std::map<int, double>& speed, const cost::JobTimes& kernels) {
  return DataRanks(even, machine, speed, kernels).weights();
}

bool ranks_differ(const topology::GridExtent& grid, const machine::Machine& machine,
                  const std::map<int, double>& speed) {
  for (int rank = 1; rank < static_cast<int>(grid.size()); ++rank)
    if (pace_of(rank, machine, speed) != pace_of(0, machine, speed)) return true;
  return false;
}

}  // namespace partita::predict
