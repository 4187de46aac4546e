/// Groups along the axes of a transfer, sorted by what their members do and on which nodes they sit.
#include "exchanges.hpp"

#include <algorithm>
#include <optional>
#include <tuple>

#include "partita/base/error.hpp"
#include "partita/step/alike.hpp"
#include "partita/step/counterparts.hpp"

namespace partita::sim {
namespace {

using topology::Axis;
using Numbers = std::vector<std::int64_t>;

/// All of a spec, in numbers.
Numbers numbers_of(const collective::Spec& spec) {
  Numbers numbers{static_cast<std::int64_t>(spec.operation),
                  static_cast<std::int64_t>(spec.algorithm),
                  static_cast<std::int64_t>(spec.combine),
                  static_cast<std::int64_t>(spec.type),
                  spec.elements,
                  spec.peer,
                  spec.keeps_own,
                  static_cast<std::int64_t>(spec.cuts.size())};
  numbers.insert(numbers.end(), spec.cuts.begin(), spec.cuts.end());
  numbers.insert(numbers.end(), spec.receive_cuts.begin(), spec.receive_cuts.end());
  return numbers;
}

/// The coordinates along an axis: all of them if a group has them all, else one.
struct Along {
  int first = 0, end = 1;
};
Along along(Axis axes, Axis axis, int extent, int coordinate) {
  return contains(axes, axis) ? Along{0, extent} : Along{coordinate, coordinate + 1};
}

}  // namespace

int Exchange::first_seat(int stage) const {
  return first_seats[static_cast<std::size_t>(std::ranges::find(stages, stage) - stages.begin())];
}

Exchanges::Exchanges(const Setting& setting) : setting_(setting), grid_(setting.programs->front()->grid) {}

const step::Program& Exchanges::program(int stage, int tensor) const {
  const int rank = topology::rank_of(grid_, {.pipeline = stage, .tensor = tensor});
  return *(*setting_.programs)[static_cast<std::size_t>(rank)];
}

const step::Transfer& Exchanges::transfer(const Side& side, int tensor) const {
  const auto& of = program(side.stage, tensor);
  return of.transfers[*of.instructions[static_cast<std::size_t>(side.instruction)].transfer];
}

Numbers Exchanges::samples_of(const Side& side) const {
  Numbers samples;
  const auto& of = program(side.stage, 0);
  const auto microbatch = transfer(side, 0).microbatch;
  for (int d = 0; d < grid_.data; ++d)
    samples.push_back(microbatch ? of.microbatch(*microbatch, d, setting_.batch).size() : 0);
  return samples;
}

/// Transfers of one key have the same exchange.
Exchanges::Key Exchanges::key_of(const std::vector<Side>& sides) {
  Key key;
  for (const auto& side : sides) {
    key.push_back(side.stage);
    const auto samples = samples_of(side);
    key.insert(key.end(), samples.begin(), samples.end());
    if (const auto& first = transfer(side, 0); first.conversion) {  // which says what all ranks do
      key.insert(key.end(),
                 {-1, static_cast<std::int64_t>(first.operation), static_cast<std::int64_t>(first.algorithm),
                  number_of(*first.conversion, side.stage)});
      continue;
    }
    auto distinct = samples;
    std::ranges::sort(distinct);
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    for (int t = 0; t < grid_.tensor; ++t) {
      const auto& of = transfer(side, t);
      key.push_back(static_cast<std::int64_t>(of.axis));
      key.push_back(static_cast<std::int64_t>(of.algorithm));
      for (const auto count : distinct) {
        const auto [spec, at] =
            step::resolve(program(side.stage, t), of, count, collective::Place(), setting_.site);
        const auto numbers = numbers_of(spec);
        key.push_back(at.in_window);
        key.insert(key.end(), numbers.begin(), numbers.end());
      }
    }
  }
  return key;
}

int Exchanges::number_of(step::ConversionId conversion, int stage) {
  const auto [known, is_new] = conversions_.try_emplace(stage);
  if (is_new) known->second = step::numbers_of_conversions(program(stage, 0));
  return known->second[conversion];
}

std::shared_ptr<const Exchange> Exchanges::of(const std::vector<Side>& sides) {
  auto& known = known_[key_of(sides)];
  if (!known) known = build(sides);
  return known;
}

/// Sorts groups into batches.
class Exchanges::Builder {
 public:
  Builder(Exchanges& all, const std::vector<Side>& sides)
      : all_(all),
        sides_(sides),
        is_message_(step::is_message(all.transfer(sides.front(), 0))),
        differs_by_rank_(step::differs_by_rank(all.transfer(sides.front(), 0))) {}

  void add(const std::vector<Seated>& group) {
    const int place = number_of(all_.place_of(group, is_message_));
    std::vector<int> key{place};
    for (int rank = 0; rank < static_cast<int>(group.size()); ++rank) {
      const auto& member = group[static_cast<std::size_t>(rank)];
      key.push_back(spec_of(member, place, differs_by_rank_ ? rank : 0));
      key.push_back(all_.setting_.machine->part_of(member.rank));
    }
    auto [known, is_new] = batch_of_.emplace(std::move(key), groups_.size());
    if (is_new) groups_.emplace_back();
    auto& seats = groups_[known->second];
    for (const auto& member : group)
      seats.push_back(member.seat);
  }

  std::vector<Batch> finish() && {
    std::vector<Batch> batches(groups_.size());
    for (const auto& [key, number] : batch_of_) {
      const auto& groups = groups_[number];
      const auto parties = (key.size() - 1) / 2, lanes = groups.size() / parties;
      auto& batch = batches[number];
      batch = {.script = all_.script_of(key), .lanes = lanes, .seats = std::vector<int>(groups.size())};
      for (std::size_t lane = 0; lane < lanes; ++lane)
        for (std::size_t party = 0; party < parties; ++party)
          batch.seats[party * lanes + lane] = groups[lane * parties + party];
    }
    return batches;
  }

 private:
  int number_of(collective::Place place) {
    auto key = place.node_of;
    const auto [known, is_new] = all_.place_numbers_.emplace(std::move(key), all_.places_.size());
    if (is_new) all_.places_.push_back(std::move(place));
    return known->second;
  }
  int spec_of(const Seated& member, int place, int rank) {
    const auto [known, is_new] =
        spec_numbers_.emplace(std::tuple(member.side, member.tensor, member.samples, place, rank), 0);
    if (is_new) {
      auto at = all_.places_[static_cast<std::size_t>(place)];
      at.rank = rank;
      known->second = all_.spec_of(member, sides_, at);
    }
    return known->second;
  }

  Exchanges& all_;
  const std::vector<Side>& sides_;
  bool is_message_, differs_by_rank_;
  std::map<std::vector<int>, std::size_t> batch_of_;
  std::vector<std::vector<int>> groups_;  ///< by batch the seats of its groups, one after the other
  std::map<std::tuple<std::size_t, int, std::int64_t, int, int>, int> spec_numbers_;
};

std::shared_ptr<const Exchange> Exchanges::build(const std::vector<Side>& sides) {
  auto exchange = std::make_shared<Exchange>();
  std::vector<Numbers> samples;
  for (const auto& side : sides) {
    exchange->stages.push_back(side.stage);
    exchange->first_seats.push_back(exchange->seats);
    exchange->seats += grid_.data * grid_.tensor;
    samples.push_back(samples_of(side));
  }
  const auto axis = transfer(sides.front(), 0).axis;
  Builder builder(*this, sides);
  for (int d0 = 0; d0 < (contains(axis, Axis::data) ? 1 : grid_.data); ++d0)
    for (int t0 = 0; t0 < (contains(axis, Axis::tensor) ? 1 : grid_.tensor); ++t0) {
      const auto data = along(axis, Axis::data, grid_.data, d0);
      const auto tensor = along(axis, Axis::tensor, grid_.tensor, t0);
      std::vector<Seated> group;
      for (int d = data.first; d < data.end; ++d)
        for (std::size_t s = 0; s < sides.size(); ++s)
          for (int t = tensor.first; t < tensor.end; ++t)
            group.push_back(
                {.rank = topology::rank_of(grid_, {.data = d, .pipeline = sides[s].stage, .tensor = t}),
                 .seat = exchange->first_seats[s] + d * grid_.tensor + t,
                 .tensor = t,
                 .side = s,
                 .samples = samples[s][static_cast<std::size_t>(d)]});
      builder.add(group);
    }
  exchange->batches = std::move(builder).finish();
  return exchange;
}

collective::Place Exchanges::place_of(const std::vector<Seated>& group, bool is_message) const {
  std::vector<int> nodes;
  const auto& node_of = setting_.site.node_of;
  for (const auto& member : group)
    nodes.push_back(node_of.empty() || is_message ? 0 : node_of[static_cast<std::size_t>(member.rank)]);
  return {.node_of = collective::numbered_nodes(nodes)};
}

int Exchanges::spec_of(const Seated& member, const std::vector<Side>& sides, const collective::Place& place) {
  const auto& side = sides[member.side];
  auto resolved = step::resolve(program(side.stage, member.tensor), transfer(side, member.tensor),
                                member.samples, place, setting_.site);
  auto key = numbers_of(resolved.spec);
  key.push_back(resolved.at.in_window);
  key.push_back(resolved.at.reached);
  const auto [known, is_new] = spec_numbers_.emplace(std::move(key), specs_.size());
  if (is_new) specs_.push_back({std::move(resolved.spec), resolved.at.in_window, resolved.at.reached});
  return known->second;
}

std::shared_ptr<const Script> Exchanges::script_of(const std::vector<int>& key) {
  auto& known = scripts_[key];
  if (known) return known;
  auto at = places_[static_cast<std::size_t>(key[0])];
  const auto& first = specs_[static_cast<std::size_t>(key[1])];
  at.in_window = first.in_window;
  at.reached = first.reached;
  std::vector<Member> members;
  for (std::size_t i = 1; i < key.size(); i += 2)
    members.push_back({&specs_[static_cast<std::size_t>(key[i])].spec, key[i + 1]});
  known = std::make_shared<const Script>(
      sim::script_of(members, at, machine::TransferTimes(*setting_.machine, setting_.crowding)));
  return known;
}

}  // namespace partita::sim
