/// Goes through the rounds forwards for what must be fetched before each, and backwards for what is final
/// after it. Stores into other ranks' windows cannot be followed here: there all of the buffer is copied.
#include "partita/collective/staging.hpp"

#include <algorithm>

namespace partita::collective {
namespace {

/// A set of elements as disjoint ranges in order.
class Elements {
 public:
  /// The parts of `range` that are not in the set; they are from now on.
  std::vector<Range> add(Range range) {
    std::vector<Range> missing;
    for (const auto& part : parts_) {
      if (part.end <= range.begin || part.begin >= range.end) continue;
      if (part.begin > range.begin) missing.push_back({range.begin, part.begin});
      range.begin = std::max(range.begin, part.end);
    }
    if (range.begin < range.end) missing.push_back(range);
    parts_.insert(parts_.end(), missing.begin(), missing.end());
    std::sort(parts_.begin(), parts_.end(), [](Range a, Range b) { return a.begin < b.begin; });
    join_neighbours();
    return missing;
  }

 private:
  /// Many chunks that follow each other stay one part.
  void join_neighbours() {
    std::size_t last = 0;
    for (std::size_t i = 1; i < parts_.size(); ++i)
      if (parts_[i].begin == parts_[last].end)
        parts_[last].end = parts_[i].end;
      else
        parts_[++last] = parts_[i];
    if (!parts_.empty()) parts_.resize(last + 1);
  }

  std::vector<Range> parts_;
};

/// What one round reads and writes of the buffer.
struct Touched {
  std::vector<Range> reads, writes;
};

Touched touched_by(const MessageRound& round) {
  Touched touched;
  if (round.send_to >= 0) touched.reads.push_back(round.send);
  if (round.receive_from < 0) return touched;
  if (round.combine != Combine::copy) touched.reads.push_back(round.receive);
  touched.writes.push_back(round.receive);
  return touched;
}

Touched touched_by(const WindowRound& round) {
  Touched touched{.reads = {round.stage_in, round.exposed}, .writes = {}};
  for (const auto& load : round.loads) {
    if (load.combine != Combine::copy) touched.reads.push_back(load.range);
    touched.writes.push_back(load.range);
  }
  return touched;
}

bool stores_into_others(const Round& round) {
  const auto* window = std::get_if<WindowRound>(&round);
  return window && !window->store_to.empty();
}

void append(std::vector<Range>& to, const std::vector<Range>& ranges) {
  to.insert(to.end(), ranges.begin(), ranges.end());
}

}  // namespace

std::string_view to_string(DeviceMessages way) {
  static constexpr std::string_view names[] = {"auto", "staged", "direct", "ipc"};
  return names[static_cast<std::size_t>(way)];
}

std::vector<StagedRound> staging_of(const Rounds& rounds, std::int64_t elements, bool in_place) {
  std::vector<StagedRound> staged(rounds.size());
  if (std::any_of(rounds.begin(), rounds.end(), stores_into_others)) {
    if (elements == 0) return staged;
    staged.front().fetch = {{0, elements}};
    staged.back().store = {{0, elements}};
    return staged;
  }
  std::vector<Touched> touched;
  for (const auto& round : rounds)
    touched.push_back(std::visit([](const auto& of_kind) { return touched_by(of_kind); }, round));
  Elements on_host, final;
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    for (const auto& range : touched[i].reads)
      append(staged[i].fetch, on_host.add(range));
    if (in_place)
      for (const auto& range : touched[i].writes)
        on_host.add(range);
  }
  for (std::size_t i = rounds.size(); i-- > 0;)
    for (const auto& range : touched[i].writes)
      append(staged[i].store, final.add(range));
  return staged;
}

kernels::Elements staged_elements(const std::vector<StagedRound>& rounds) {
  std::int64_t elements = 0;
  for (const auto& round : rounds)
    for (const auto* ranges : {&round.fetch, &round.store})
      for (const auto& range : *ranges)
        elements += range.size();
  return kernels::Elements(elements);
}

}  // namespace partita::collective
