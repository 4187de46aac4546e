/// The rounds of ranks' transfers with what they take: made once for all that are alike.
#pragma once

#include <map>
#include <tuple>
#include <vector>

#include "partita/sim/costs.hpp"
#include "partita/step/alike.hpp"

namespace partita::sim {

class RoundsOfRanks {
 public:
  /// The costs outlive it.
  explicit RoundsOfRanks(const Costs& costs) : costs_(costs) {}

  /// They stay where they are.
  const std::vector<TimedRound>& of(int rank, const step::Program& program, step::TransferId id) {
    const auto& transfer = program.transfers[id];
    const auto [known, is_new] = known_.try_emplace(key_of(rank, program, id));
    if (is_new) known->second = costs_.rounds(rank, transfer);
    return known->second;
  }

 private:
  /// Which of its transfers, by samples of those that are alike; what is no machine's may cost what it likes.
  using Key = std::tuple<int, int, std::int64_t>;
  Key key_of(int rank, const step::Program& program, step::TransferId id) {
    if (!costs_.setting) return {rank, static_cast<int>(id.index()), 0};
    const auto [alike, is_new] = alike_.try_emplace(&program);
    if (is_new) alike->second = step::alike(program).transfers;
    return {rank, alike->second[id],
            program.samples_of(program.transfers[id].microbatch, rank, costs_.setting->batch)};
  }

  const Costs& costs_;
  std::map<const step::Program*, base::IdVector<step::TransferId, int>> alike_;
  std::map<Key, std::vector<TimedRound>> known_;
};

}  // namespace partita::sim
