/// Steps of all ranks at once: every stage's program is walked once, and each of its instructions is an
/// operation on the clocks of all lanes of the stage. A lane is a rank, or stands for ranks that are alike.
#pragma once

#include <memory>
#include <vector>

#include "exchanges.hpp"
#include "partita/sim/simulate.hpp"
#include "partita/step/counterparts.hpp"
#include "walk.hpp"

namespace partita::sim {

/// One program a stage, as if its grid had no other ranks: what follows from the order of instructions.
struct Skeletons {
  explicit Skeletons(const step::ProgramsByRank&);
  Skeletons(const Skeletons&) = delete;
  Skeletons& operator=(const Skeletons&) = delete;

  std::vector<step::Program> programs;
  step::ProgramsByRank by_stage;
  std::unique_ptr<const step::Counterparts> counterparts;

  /// The stages that take part, each with the instruction that starts it.
  [[nodiscard]] std::vector<Side> sides(step::Counterparts::GroupId) const;
};

/// By group of the skeletons; a group that nobody completes has none.
using ExchangeByGroup = base::IdVector<step::Counterparts::GroupId, std::shared_ptr<const Exchange>>;

/// Of a whole grid, ascending.
std::vector<std::vector<int>> ranks_by_stage(const topology::GridExtent&);

class Lanes {
 public:
  using Group = step::Counterparts::GroupId;

  /// `ranks` by stage and lane; spans are kept of those that are among `spans_of`.
  Lanes(const Skeletons&, const Costs&, std::vector<std::vector<int>> ranks, const ExchangeByGroup&,
        const std::vector<int>& spans_of);

  /// One step after the other: of every lane, those of the first stage first.
  std::vector<RankStep> step(step::StepKind);

 private:
  /// A transfer in one step.
  struct Meeting {
    std::shared_ptr<const Exchange> exchange;
    std::size_t missing = 0, waiting = 0;  ///< stages
    std::vector<Picoseconds> clocks;       ///< by seat: first the starts, then the ends
    std::vector<Picoseconds> last_starts;  ///< by seat
  };
  using Kinds = std::vector<int>;  ///< by lane: a number for each role, count of samples and pace
  struct KindsOf {
    Kinds kinds;
    std::vector<int> ranks;  ///< by kind one that is of it
  };
  struct Stage {
    std::vector<int> ranks;
    std::vector<Picoseconds> now, begin, busy, progress, dependency, straggler, exposed;
    std::vector<std::vector<Span>> spans;  ///< by representative
    std::vector<std::size_t> representatives;
    std::vector<std::unique_ptr<const KindsOf>> kinds;  ///< by micro-batch, after what belongs to none
  };

  void visit(int stage, int instruction);
  /// Those that the step is without begin and end where the one before them ended.
  void pass_over(int stage, int instruction);
  void compute(Stage&, const step::Instruction&, int position);
  void start(Stage&, int stage, const step::Instruction&);
  void wait(Stage&, int stage, const step::Instruction&);
  void play(Meeting&) const;
  const KindsOf& kinds_of(Stage&, std::optional<step::MicrobatchId>) const;
  [[nodiscard]] const Core& core_of(const Stage& stage, std::size_t lane) const {
    return costs_.core_of(stage.ranks[lane]);
  }
  [[nodiscard]] const step::Program& program_of(int rank) const {
    return *(*costs_.setting->programs)[static_cast<std::size_t>(rank)];
  }

  const Skeletons& skeletons_;
  const Costs& costs_;
  std::vector<Stage> stages_;
  const ExchangeByGroup& exchanges_;
  Walk walk_;
  base::IdVector<Group, std::unique_ptr<Meeting>> meetings_;
  Play::Units units_;
};

}  // namespace partita::sim
