/// What every rank measured, brought together on rank 0: phases of steps, and the timeline.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "partita/run/training.hpp"
#include "partita/step/counterparts.hpp"

namespace partita::run {

/// Seconds by phase of one step on one rank. Waiting is split by what the ranks saw together, on aligned
/// clocks: until the peer of a message had it ready (`dependency`: a bubble of the pipeline), until the last
/// rank had come to a collective (`straggler`), and the rest, while data moved (`exposed_transfer`).
struct PhaseSeconds {
  double load = 0, forward = 0, backward = 0, update = 0;
  double exposed_transfer = 0, dependency = 0, straggler = 0, other = 0;
};

/// One step of the run; `phases` and `rank_seconds` by rank.
struct GatheredStep {
  double loss = 0, seconds = 0, learning_rate = 0;  ///< seconds: of the slowest rank
  std::optional<double> gradient_norm;              ///< before it was clipped, where it is
  step::StepKind kind = step::StepKind::synchronous;
  bool ends_stretch = true;  ///< all data ranks have the same parameters behind it
  std::int64_t samples = 0;
  std::vector<double> rank_seconds;
  std::vector<PhaseSeconds> phases;
};

/// Steps from `first` on, on rank 0; nothing elsewhere. `programs` are read on rank 0 alone. Collective over
/// `world`.
std::vector<GatheredStep> gather_steps(comm::Communicator& world, const step::ProgramsByRank& programs,
                                       const std::vector<StepRow>&, const comm::Clocks&, std::size_t first);

/// One span of the timeline: an instruction, or a transfer from its start to the end of its wait.
struct TimelineSpan {
  int rank = 0;
  std::int64_t step = 0;
  double begin_seconds = 0, end_seconds = 0;  ///< on rank 0's clock
  int instruction = -1;                       ///< of the rank's program
  bool in_flight = false;  ///< the whole transfer that the instruction starts, not the instruction itself
  kernels::Bytes bytes{};
  std::int64_t flow = -1;  ///< the same for both halves of a message
};

/// Makes spans of the times of instructions, and numbers the messages between ranks.
class TimelineSpans {
 public:
  /// The programs of all ranks, which outlive it.
  explicit TimelineSpans(const step::ProgramsByRank&);
  /// One step of a batch of `batch` samples on a rank; `times` of each instruction, in seconds. Steps of a
  /// rank in their order: what one of them starts the next one may wait for.
  /// Of the turns of an asynchronous server those with `worker`, unless that is below 0.
  void append(int rank, std::int64_t step, std::int64_t batch, step::StepKind, int worker,
              const std::function<execute::InstructionTimes(std::size_t instruction)>& times);
  [[nodiscard]] std::vector<TimelineSpan> take() { return std::move(spans_); }

 private:
  TimelineSpan in_flight(int rank, std::int64_t step, std::int64_t batch, std::size_t start, double begin,
                         double end);

  const step::ProgramsByRank& programs_;
  step::Counterparts counterparts_;
  /// By step, rank and transfer of the send.
  std::map<std::tuple<std::int64_t, int, step::TransferId>, std::int64_t> flows_;
  /// By rank and transfer: the instruction that started it last, and when.
  std::map<std::pair<int, step::TransferId>, std::pair<std::size_t, double>> started_;
  std::vector<TimelineSpan> spans_;
};

/// What servers have taken of workers, from each rank's row `first` on, server by server, on rank 0; nothing
/// elsewhere. Collective over `world`.
std::vector<PushRow> gather_pushes(comm::Communicator& world, const Training&, std::size_t first);

/// The recorded spans of all ranks on rank 0; nothing elsewhere. Collective over `world`.
std::vector<TimelineSpan> gather_timeline(comm::Communicator& world, const Training&, const comm::Clocks&);

}  // namespace partita::run
