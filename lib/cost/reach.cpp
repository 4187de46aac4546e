/// Lays all slots into one space of addresses, cuts it where any instruction's range begins or ends, and
/// plays two steps: the second finds everything where the first left it.
#include "partita/cost/reach.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <tuple>

#include "partita/step/memory.hpp"

namespace partita::cost {
namespace {

using step::Instruction;
using step::Program;
using step::SlotId;
using topology::Range;

constexpr std::int64_t alignment = 64;

/// Where in the space of addresses instructions find their operands.
class Addresses {
 public:
  Addresses(const Program& program, std::int64_t batch, std::size_t states)
      : program_(program), batch_(batch), plan_(plan_memory(program, 0, batch, alignment)) {
    std::int64_t end = plan_.total.value();
    for (const auto s : program.slots.ids()) {
      const auto in_arena = plan_.offset_bytes[s];
      begin_.push_back(in_arena ? *in_arena : end);
      if (!in_arena) end += size_of(s);
    }
    for (const auto b : program.buckets.ids()) {
      states_begin_.push_back(end);
      end += size_of(program.buckets[b].parameters) * static_cast<std::int64_t>(states);
      states_end_.push_back(end);
    }
    for (const auto& instruction : program.instructions) {
      const auto [known, is_new] = code_.try_emplace(name_of(instruction), end);
      if (is_new) end += code_bytes.value();
    }
  }

  [[nodiscard]] std::vector<Range> of(const Instruction& instruction) const {
    std::vector<Range> ranges;
    const auto add = [&](Range range) {
      if (range.size() > 0) ranges.push_back(range);
    };
    for (const auto* touched : {&instruction.reads, &instruction.writes})
      for (const auto s : *touched)
        add(range_of(instruction, s));
    if (instruction.kind == step::Kind::update && instruction.bucket)
      add({states_begin_[*instruction.bucket], states_end_[*instruction.bucket]});
    const auto code = code_.at(name_of(instruction));
    add({code, code + code_bytes.value()});
    return joined(std::move(ranges));
  }

 private:
  using Name = std::tuple<step::Kind, step::Phase, std::optional<step::UnitId>, std::optional<step::BucketId>,
                          std::optional<step::TransferId>, std::optional<step::ConversionId>>;
  /// What instructions have in common that do the same for different micro-batches.
  static Name name_of(const Instruction& i) {
    return {i.kind, i.phase, i.unit, i.bucket, i.transfer, i.conversion};
  }

  /// What is read and written is touched once; what is small last, since a kernel comes back to it again and
  /// again while it goes through what is large.
  static std::vector<Range> joined(std::vector<Range> ranges) {
    std::ranges::sort(ranges, {}, &Range::begin);
    std::vector<Range> whole;
    for (const auto& range : ranges)
      if (!whole.empty() && range.begin <= whole.back().end)
        whole.back().end = std::max(whole.back().end, range.end);
      else
        whole.push_back(range);
    std::ranges::stable_sort(whole, std::greater<>(), &Range::size);
    return whole;
  }

  [[nodiscard]] std::int64_t size_of(SlotId s) const {
    const auto& slot = program_.slots[s];
    const auto samples = slot.microbatch ? program_.microbatch(*slot.microbatch, 0, batch_).size() : 0;
    return bytes_of(slot.type, program_.elements(slot, samples)).value();
  }

  /// All of the slot, or of a bucket's parameters and gradients those of the instruction's unit.
  [[nodiscard]] Range range_of(const Instruction& instruction, SlotId s) const {
    const auto& slot = program_.slots[s];
    const bool are_gradients = slot.role == step::SlotRole::parameter_gradients;
    if (!instruction.unit || (!are_gradients && slot.role != step::SlotRole::parameters))
      return {begin_[s], begin_[s] + size_of(s)};
    Range own{};
    for (const auto& tensor : program_.parameters[*instruction.unit].tensors) {
      if (are_gradients ? !tensor.trained : tensor.slot != s) continue;
      const auto first = tensor.first - slot.first;
      const Range range{begin_[s] + bytes_of(slot.type, first).value(),
                        begin_[s] + bytes_of(slot.type, first + tensor.count).value()};
      own = own.size() == 0 ? range : Range{std::min(own.begin, range.begin), std::max(own.end, range.end)};
    }
    return own;
  }

  const Program& program_;
  std::int64_t batch_;
  step::MemoryPlan plan_;
  base::IdVector<SlotId, std::int64_t> begin_;
  base::IdVector<step::BucketId, std::int64_t> states_begin_, states_end_;
  std::map<Name, std::int64_t> code_;
};

/// Bytes of pieces by the time at which they were touched last (Fenwick 1994, doi:10.1002/spe.4380240306).
class LastTouches {
 public:
  explicit LastTouches(std::size_t times) : sums_(times + 1) {}
  void add(std::size_t time, double bytes) {
    all_ += bytes;
    for (std::size_t i = time + 1; i < sums_.size(); i += i & (~i + 1))
      sums_[i] += bytes;
  }
  /// Touched later than at this time.
  [[nodiscard]] double since(std::size_t time) const {
    double until = 0;
    for (std::size_t i = time + 1; i > 0; i -= i & (~i + 1))
      until += sums_[i];
    return all_ - until;
  }

 private:
  std::vector<double> sums_;
  double all_ = 0;
};

struct Piece {
  double bytes = 0;
  std::size_t touched = 0;  ///< when, last
  bool is_known = false;    ///< touched at all
};

/// Of each cache, what a rank has of it beside others that are active.
std::vector<double> bytes_of_rank(std::span<const machine::Cache> caches, int active_ranks) {
  std::vector<double> bytes;
  for (const auto& cache : caches)
    bytes.push_back(static_cast<double>(cache.bytes.value()) /
                    std::clamp(active_ranks, 1, std::max(cache.cores, 1)));
  return bytes;
}

/// The share of bytes at such a distance that a cache does not hold. Real caches are not exactly those of the
/// least recently used, and not for one's own use alone.
double share_beyond(double distance, double cache_bytes) {
  return std::clamp(distance / cache_bytes - 0.5, 0.0, 1.0);
}

}  // namespace

std::vector<std::vector<std::int64_t>> beyond_caches(const Program& program, std::int64_t batch,
                                                     const Execution& execution,
                                                     std::span<const machine::Cache> caches) {
  const auto cache_bytes = bytes_of_rank(caches, execution.active_ranks);
  const Addresses addresses(program, batch, states_of(execution));
  std::vector<std::vector<Range>> touched;
  std::vector<std::int64_t> cuts;
  for (const auto& instruction : program.instructions) {
    touched.push_back(addresses.of(instruction));
    for (const auto& range : touched.back())
      cuts.insert(cuts.end(), {range.begin, range.end});
  }
  std::ranges::sort(cuts);
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i + 1 < cuts.size(); ++i)
    pieces.push_back({.bytes = static_cast<double>(cuts[i + 1] - cuts[i])});
  const auto piece_at = [&](std::int64_t address) {
    return static_cast<std::size_t>(std::ranges::lower_bound(cuts, address) - cuts.begin());
  };
  std::size_t touches = 0;
  for (const auto& ranges : touched)
    for (const auto& range : ranges)
      touches += piece_at(range.end) - piece_at(range.begin);

  constexpr std::size_t steps = 2;
  LastTouches last(steps * touches);
  std::size_t now = 0;
  std::vector<std::vector<std::int64_t>> percents;
  for (std::size_t step = 0; step < steps; ++step)
    for (const auto& ranges : touched) {
      double all = 0;
      std::vector<double> beyond(cache_bytes.size());
      for (const auto& range : ranges)
        for (auto p = piece_at(range.begin); p < piece_at(range.end); ++p, ++now) {
          auto& piece = pieces[p];
          if (piece.is_known) {
            const double distance = last.since(piece.touched) + piece.bytes;
            for (std::size_t c = 0; c < cache_bytes.size(); ++c)
              beyond[c] += piece.bytes * share_beyond(distance, cache_bytes[c]);
            last.add(piece.touched, -piece.bytes);
          }
          all += piece.bytes;
          piece.touched = now, piece.is_known = true;
          last.add(now, piece.bytes);
        }
      if (step + 1 < steps) continue;
      percents.emplace_back();
      for (const double bytes : beyond)
        percents.back().push_back(all > 0 ? std::llround(10 * bytes / all) * 10 : 0);
    }
  return percents;
}

}  // namespace partita::cost
