/// Depths that work out less than every rank by itself.
#pragma once

#include <optional>

#include "exchanges.hpp"
#include "lanes.hpp"
#include "partita/sim/simulate.hpp"

namespace partita::sim {

/// A grid whose costs are those of a machine. Programs and costs outlive it.
class GridSimulation {
 public:
  GridSimulation(const step::ProgramsByRank&, const Costs&);

  /// See `Depth::plane`; `spans_of` as in SimulationOptions.
  [[nodiscard]] Simulation plane(const std::vector<step::StepKind>& kinds,
                                 const std::vector<int>& spans_of) const;
  /// See `Depth::unshared`.
  [[nodiscard]] Simulation unshared(const std::vector<step::StepKind>& kinds,
                                    const std::vector<int>& spans_of) const;
  /// Of representatives, with all that the machine has; none where too few ranks are alike, their transfers
  /// have more than `most_full_rounds` rounds a step, or where cores that poll can see at once what others
  /// do: then it depends on who is first.
  [[nodiscard]] std::optional<Simulation> shared(const std::vector<step::StepKind>& kinds,
                                                 const std::vector<int>& spans_of) const;

 private:
  const step::ProgramsByRank& programs_;
  const Costs& costs_;
  const Skeletons skeletons_;
  Exchanges exchanges_;
  ExchangeByGroup by_group_;
  std::size_t most_classes_;
};

}  // namespace partita::sim
