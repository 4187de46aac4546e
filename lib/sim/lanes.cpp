/// The rules of `simulate.hpp`, lane by lane.
#include "lanes.hpp"

#include <algorithm>
#include <map>
#include <tuple>

#include "partita/base/error.hpp"
#include "partita/sim/deadlock.hpp"

namespace partita::sim {

using step::Kind;

Skeletons::Skeletons(const step::ProgramsByRank& all) {
  const auto grid = all.front()->grid;
  for (int stage = 0; stage < grid.pipeline; ++stage) {
    const int rank = topology::rank_of(grid, {.pipeline = stage});
    const auto& whole = *all[static_cast<std::size_t>(rank)];
    programs.push_back({.grid = {.pipeline = grid.pipeline},
                        .cadence = whole.cadence,
                        .transfers = whole.transfers,
                        .instructions = whole.instructions});
  }
  for (const auto& program : programs)
    by_stage.push_back(&program);
  counterparts = std::make_unique<const step::Counterparts>(by_stage);
}

std::vector<Side> Skeletons::sides(step::Counterparts::GroupId group) const {
  std::vector<Side> sides;
  for (const auto& member : counterparts->members(group)) {
    const auto& instructions = programs[static_cast<std::size_t>(member.rank)].instructions;
    const auto start = std::ranges::find_if(instructions, [&](const step::Instruction& i) {
      return i.kind == Kind::start && i.transfer == member.transfer;
    });
    sides.push_back({member.rank, static_cast<int>(start - instructions.begin())});
  }
  return sides;
}

std::vector<std::vector<int>> ranks_by_stage(const topology::GridExtent& grid) {
  std::vector<std::vector<int>> ranks(static_cast<std::size_t>(grid.pipeline));
  for (int rank = 0; rank < static_cast<int>(grid.size()); ++rank)
    ranks[static_cast<std::size_t>(topology::coordinate_of(grid, rank).pipeline)].push_back(rank);
  return ranks;
}

Lanes::Lanes(const Skeletons& skeletons, const Costs& costs, std::vector<std::vector<int>> ranks,
             const ExchangeByGroup& exchanges, const std::vector<int>& spans_of)
    : skeletons_(skeletons),
      costs_(costs),
      stages_(ranks.size()),
      exchanges_(exchanges),
      walk_(skeletons.by_stage, *skeletons.counterparts) {
  for (std::size_t s = 0; s < ranks.size(); ++s) {
    auto& stage = stages_[s];
    stage.ranks = std::move(ranks[s]);
    stage.now.resize(stage.ranks.size());
    for (std::size_t lane = 0; lane < stage.ranks.size(); ++lane)
      if (std::ranges::find(spans_of, stage.ranks[lane]) != spans_of.end())
        stage.representatives.push_back(lane);
  }
  meetings_.resize(exchanges_.size());
  const auto& levels = costs.setting->machine->levels;
  for (std::size_t level = 0; level + 1 < levels.size(); ++level)
    for (int rank = 0; rank < static_cast<int>(costs.setting->programs->size()); ++rank) {
      if (rank == 0) units_.emplace_back();
      units_.back().push_back(static_cast<std::int32_t>(rank / levels[level].ranks));
    }
}

std::vector<RankStep> Lanes::step(step::StepKind kind) {
  for (auto& stage : stages_) {
    stage.begin = stage.now;
    for (auto* sum : {&stage.busy, &stage.progress, &stage.dependency, &stage.straggler, &stage.exposed})
      sum->assign(stage.ranks.size(), 0);
    stage.spans.assign(stage.representatives.size(), {});
  }
  const auto positions = walk_.step(kind, [&](int stage, int instruction) { visit(stage, instruction); });
  std::vector<RankStep> done;
  for (std::size_t s = 0; s < stages_.size(); ++s) {
    auto& stage = stages_[s];
    pass_over(static_cast<int>(s), static_cast<int>(skeletons_.programs[s].instructions.size()));
    if (positions[s] != static_cast<int>(skeletons_.programs[s].instructions.size())) {
      const auto deadlock = find_deadlock(skeletons_.by_stage);
      base::expect(false, "programs to simulate end",
                   deadlock ? to_string(*deadlock, skeletons_.by_stage) : "");
    }
    const auto first = done.size();
    for (std::size_t lane = 0; lane < stage.ranks.size(); ++lane)
      done.push_back({.begin = stage.begin[lane],
                      .end = stage.now[lane],
                      .busy = stage.busy[lane],
                      .progress = stage.progress[lane],
                      .dependency = stage.dependency[lane],
                      .straggler = stage.straggler[lane],
                      .exposed_transfer = stage.exposed[lane]});
    for (std::size_t r = 0; r < stage.representatives.size(); ++r)
      done[first + stage.representatives[r]].instructions = std::move(stage.spans[r]);
    for (std::size_t lane = 0; lane < stage.now.size(); ++lane)
      stage.now[lane] += core_of(stage, lane).step;
  }
  return done;
}

void Lanes::pass_over(int number, int position) {
  auto& stage = stages_[static_cast<std::size_t>(number)];
  for (std::size_t r = 0; r < stage.representatives.size(); ++r) {
    const auto now = stage.now[stage.representatives[r]];
    stage.spans[r].resize(static_cast<std::size_t>(position), {.begin = now, .end = now});
  }
}

void Lanes::visit(int number, int position) {
  auto& stage = stages_[static_cast<std::size_t>(number)];
  pass_over(number, position);
  const auto& instruction =
      skeletons_.programs[static_cast<std::size_t>(number)].instructions[static_cast<std::size_t>(position)];
  for (std::size_t r = 0; r < stage.representatives.size(); ++r)
    stage.spans[r].push_back({.begin = stage.now[stage.representatives[r]]});
  if (instruction.kind == Kind::start)
    start(stage, number, instruction);
  else if (instruction.kind == Kind::wait)
    wait(stage, number, instruction);
  else
    compute(stage, instruction, position);
  for (std::size_t r = 0; r < stage.representatives.size(); ++r)
    stage.spans[r].back().end = stage.now[stage.representatives[r]];
}

void Lanes::compute(Stage& stage, const step::Instruction& instruction, int position) {
  const auto& [kinds, ranks] = kinds_of(stage, instruction.microbatch);
  std::vector<Picoseconds> durations;
  for (const int rank : ranks)
    durations.push_back(
        costs_.instruction(rank, program_of(rank).instructions[static_cast<std::size_t>(position)]));
  for (std::size_t lane = 0; lane < kinds.size(); ++lane) {
    const auto duration = durations[static_cast<std::size_t>(kinds[lane])];
    stage.now[lane] += duration;
    stage.busy[lane] += duration;
  }
}

const Lanes::KindsOf& Lanes::kinds_of(Stage& stage, std::optional<step::MicrobatchId> microbatch) const {
  const std::size_t number = microbatch ? microbatch->index() + 1 : 0;
  if (stage.kinds.size() <= number) stage.kinds.resize(number + 1);
  auto& known = stage.kinds[number];
  if (known) return *known;
  auto kinds = std::make_unique<KindsOf>();
  const auto& setting = *costs_.setting;
  std::map<std::tuple<const step::Program*, std::int64_t, Setting::Pace>, int> numbers;
  for (const int rank : stage.ranks) {
    const auto& program = program_of(rank);
    const auto samples = program.samples_of(microbatch, rank, setting.batch);
    const auto [kind, is_new] =
        numbers.emplace(std::tuple(&program, samples, setting.pace_of(rank)), numbers.size());
    if (is_new) kinds->ranks.push_back(rank);
    kinds->kinds.push_back(kind->second);
  }
  known = std::move(kinds);
  return *known;
}

void Lanes::start(Stage& stage, int number, const step::Instruction& instruction) {
  const auto group = *skeletons_.counterparts->group(number, *instruction.transfer);
  auto& meeting = meetings_[group];
  if (!meeting) {
    meeting = std::make_unique<Meeting>();
    meeting->exchange = exchanges_[group];
    base::expect(meeting->exchange != nullptr, "a transfer has all its parties");
    meeting->missing = meeting->waiting = meeting->exchange->stages.size();
    meeting->clocks.resize(static_cast<std::size_t>(meeting->exchange->seats));
  }
  const auto first = meeting->exchange->first_seat(number);
  for (std::size_t lane = 0; lane < stage.now.size(); ++lane) {
    const auto start = core_of(stage, lane).start;
    stage.now[lane] += start;
    stage.progress[lane] += start;
  }
  std::ranges::copy(stage.now, meeting->clocks.begin() + first);
  if (--meeting->missing == 0) play(*meeting);
}

void Lanes::play(Meeting& meeting) const {
  const auto& exchange = *meeting.exchange;
  Play::Units of_seats(units_.size()), units(units_.size());
  for (const int stage : exchange.stages)
    for (std::size_t level = 0; level < units_.size(); ++level)
      for (const int rank : stages_[static_cast<std::size_t>(stage)].ranks)
        of_seats[level].push_back(units_[level][static_cast<std::size_t>(rank)]);
  meeting.last_starts.resize(meeting.clocks.size());
  std::vector<Picoseconds> clocks;
  for (const auto& batch : exchange.batches) {
    const auto gather = [&](const auto& from, auto& to) {
      to.clear();
      for (const int seat : batch.seats)
        to.push_back(from[static_cast<std::size_t>(seat)]);
    };
    gather(meeting.clocks, clocks);
    for (std::size_t level = 0; level < units.size(); ++level)
      gather(of_seats[level], units[level]);
    Play play(*batch.script, batch.lanes, units);
    play.run(clocks);
    for (std::size_t i = 0; i < batch.seats.size(); ++i) {
      const auto seat = static_cast<std::size_t>(batch.seats[i]);
      const auto circle = static_cast<std::size_t>(batch.script->parties[i / batch.lanes].circle);
      meeting.clocks[seat] = clocks[i];
      meeting.last_starts[seat] = play.last_starts()[circle * batch.lanes + i % batch.lanes];
    }
  }
}

void Lanes::wait(Stage& stage, int number, const step::Instruction& instruction) {
  const auto group = *skeletons_.counterparts->group(number, *instruction.transfer);
  auto& meeting = meetings_[group];
  const auto first = static_cast<std::size_t>(meeting->exchange->first_seat(number));
  const auto& transfer =
      skeletons_.programs[static_cast<std::size_t>(number)].transfers[*instruction.transfer];
  auto& lates = is_message(transfer) ? stage.dependency : stage.straggler;
  for (std::size_t lane = 0; lane < stage.now.size(); ++lane) {
    auto& now = stage.now[lane];
    const auto waited = std::max<Picoseconds>(meeting->clocks[first + lane] - now, 0);
    const auto late = std::clamp<Picoseconds>(meeting->last_starts[first + lane] - now, 0, waited);
    lates[lane] += late;
    stage.exposed[lane] += waited - late;
    const auto wait = core_of(stage, lane).wait;
    stage.progress[lane] += wait;
    now += waited + wait;
  }
  if (--meeting->waiting == 0) meeting.reset();
}

}  // namespace partita::sim
