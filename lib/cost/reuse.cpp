/// Lays all slots into one space of addresses, and plays a step over what another one left.
#include "partita/cost/reuse.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "partita/cost/work.hpp"
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
  Addresses(const Program& program, std::int64_t batch, const kernels::OptimizerDescription& rule)
      : program_(program), batch_(batch), rule_(rule), plan_(plan_memory(program, 0, batch, alignment)) {
    std::int64_t end = plan_.total.value();
    for (const auto s : program.slots.ids()) {
      const auto in_arena = plan_.offset_bytes[s];
      begin_.push_back(in_arena ? *in_arena : end);
      if (!in_arena) end += size_of(s);
    }
    for (const auto b : program.buckets.ids()) {
      states_begin_.push_back(end);
      end += bytes_of(program.type, program.buckets[b].share).value() * std::ssize(rule.states);
      states_end_.push_back(end);
    }
    std::map<Name, std::int64_t> code;
    for (const auto& instruction : program.instructions) {
      const auto [known, is_new] = code.try_emplace(name_of(instruction), end);
      if (is_new) end += code_bytes.value();
      code_begin_.push_back(known->second);
    }
  }

  /// Of the program's instruction of this number.
  [[nodiscard]] std::vector<Range> of(std::size_t number) const {
    const auto& instruction = program_.instructions[number];
    std::vector<Range> ranges;
    ranges.reserve(instruction.reads.size() + instruction.writes.size() + 2);
    const auto add = [&](Range range) {
      if (range.size() > 0) ranges.push_back(range);
    };
    for (const auto* touched : {&instruction.reads, &instruction.writes})
      for (const auto s : *touched)
        add(range_of(instruction, s));
    if (instruction.kind == step::Kind::update && instruction.bucket &&
        moves_states(rule_, instruction.phase))
      add({states_begin_[*instruction.bucket], states_end_[*instruction.bucket]});
    const auto code = code_begin_[number];
    add({code, code + code_bytes.value()});
    join(ranges);
    return ranges;
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
  static void join(std::vector<Range>& ranges) {
    std::ranges::sort(ranges, {}, &Range::begin);
    std::size_t whole = 0;
    for (const auto& range : ranges)
      if (whole > 0 && range.begin <= ranges[whole - 1].end)
        ranges[whole - 1].end = std::max(ranges[whole - 1].end, range.end);
      else
        ranges[whole++] = range;
    ranges.resize(whole);
    std::ranges::sort(ranges, {}, [](const Range& range) { return std::pair(-range.size(), range.begin); });
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
      if (are_gradients ? !tensor.trained : !program_.holds(s, tensor)) continue;
      const auto first = tensor.offset;
      const Range range{begin_[s] + bytes_of(slot.type, first).value(),
                        begin_[s] + bytes_of(slot.type, first + tensor.count).value()};
      own = own.size() == 0 ? range : Range{std::min(own.begin, range.begin), std::max(own.end, range.end)};
    }
    return own;
  }

  const Program& program_;
  std::int64_t batch_;
  const kernels::OptimizerDescription& rule_;
  step::MemoryPlan plan_;
  base::IdVector<SlotId, std::int64_t> begin_;
  base::IdVector<step::BucketId, std::int64_t> states_begin_, states_end_;
  std::vector<std::int64_t> code_begin_;  ///< by instruction
};

/// Numbers one behind the other, seven bits a byte.
class Text {
 public:
  void add(std::int64_t number) {
    auto rest = static_cast<std::uint64_t>(number);
    for (; rest >= 128; rest >>= 7)
      text_.push_back(static_cast<char>(rest % 128 + 128));
    text_.push_back(static_cast<char>(rest));
  }
  template <class Id>
  void add(std::optional<Id> id) {
    add(id ? id->value() + 1 : 0);
  }
  void add(const std::vector<SlotId>& slots) {
    add(std::ssize(slots));
    for (const auto s : slots)
      add(s.value());
  }
  std::string take() && { return std::move(text_); }

 private:
  std::string text_;
};

/// Sums over times (Fenwick 1994, doi:10.1002/spe.4380240306).
class Sums {
 public:
  /// Of what there is at each time.
  explicit Sums(const std::vector<std::int64_t>& amounts) : sums_(amounts.size() + 1) {
    for (std::size_t i = 1; i < sums_.size(); ++i) {
      sums_[i] += amounts[i - 1];
      if (const auto next = i + (i & (~i + 1)); next < sums_.size()) sums_[next] += sums_[i];
    }
  }
  void add(std::size_t time, std::int64_t amount) {
    for (std::size_t i = time + 1; i < sums_.size(); i += i & (~i + 1))
      sums_[i] += amount;
  }
  [[nodiscard]] std::int64_t before(std::size_t time) const {
    std::int64_t sum = 0;
    for (std::size_t i = time; i > 0; i -= i & (~i + 1))
      sum += sums_[i];
    return sum;
  }

 private:
  std::vector<std::int64_t> sums_;
};

/// What a step touches that comes again and again.
class Touches {
 public:
  /// All ranges, in the order in which a step touches them: it has done so once.
  explicit Touches(const std::vector<Range>& ranges) : cuts_(cuts_of(ranges)), touched_(cuts_.size(), never) {
    for (std::size_t now = 0; now < ranges.size(); ++now) {
      const auto& [begin, end] = parts_.emplace_back(part_at(ranges[now].begin), part_at(ranges[now].end));
      for (auto part = begin; part < end; ++part)
        touched_[part] = now;
    }
    std::vector<std::int64_t> amounts(2 * ranges.size());
    for (std::size_t part = 0; part < touched_.size(); ++part)
      if (touched_[part] != never) amounts[touched_[part]] += size_of(part, part + 1);
    all_ = std::accumulate(amounts.begin(), amounts.end(), std::int64_t{0});
    bytes_ = Sums(amounts);
  }

  /// Touches the range of this number once more; each in its turn. `found`: of what was touched together
  /// before, the bytes, and how many different ones were touched from then on.
  template <class Found>
  void touch(std::size_t number, const Found& found) {
    const auto now = parts_.size() + number;
    const auto [begin, end] = parts_[number];
    for (auto part = begin; part < end;) {
      const auto first = part;
      const auto last = touched_[part];
      for (; part < end && touched_[part] == last; ++part)
        touched_[part] = now;
      const auto size = size_of(first, part);
      found(size, all_ - bytes_.before(last));
      bytes_.add(last, -size);
    }
    bytes_.add(now, size_of(begin, end));
  }

 private:
  static constexpr auto never = std::numeric_limits<std::size_t>::max();

  /// Where ranges begin and end: no part between two cuts is touched without the rest of it.
  static std::vector<std::int64_t> cuts_of(const std::vector<Range>& ranges) {
    std::vector<std::int64_t> cuts;
    for (const auto& range : ranges)
      cuts.insert(cuts.end(), {range.begin, range.end});
    std::ranges::sort(cuts);
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    return cuts;
  }
  [[nodiscard]] std::size_t part_at(std::int64_t cut) const {
    return static_cast<std::size_t>(std::ranges::lower_bound(cuts_, cut) - cuts_.begin());
  }
  [[nodiscard]] std::int64_t size_of(std::size_t begin, std::size_t end) const {
    return cuts_[end] - cuts_[begin];
  }

  std::vector<std::int64_t> cuts_;
  std::vector<std::size_t> touched_;  ///< by part: when last; those behind no range never
  std::vector<std::pair<std::size_t, std::size_t>>
      parts_;             ///< by range: its first part, and the one behind it
  Sums bytes_{{}};        ///< by the time of their last touch, but for those of a touch under way
  std::int64_t all_ = 0;  ///< bytes that are touched
};

/// Of each cache, what a rank has of it beside others that are active, and those that share its core.
std::vector<double> bytes_of_rank(std::span<const machine::Cache> caches, const Execution& execution) {
  std::vector<double> bytes;
  for (const auto& cache : caches)
    bytes.push_back(static_cast<double>(cache.bytes.value()) / execution.crowding /
                    std::clamp(execution.active_ranks, 1, std::max(cache.cores, 1)));
  return bytes;
}

/// The share of bytes at such a distance that a cache does not hold. Real caches are not exactly those of the
/// least recently used, and not for one's own use alone.
double share_beyond(double distance, double cache_bytes) {
  return std::clamp(distance / cache_bytes - 0.5, 0.0, 1.0);
}

/// Of a step of these instructions, one after the other.
std::vector<std::vector<std::int64_t>> beyond_caches(const Addresses& addresses,
                                                     const std::vector<std::size_t>& instructions,
                                                     const std::vector<double>& cache_bytes) {
  std::vector<Range> ranges;
  std::vector<std::size_t> ends;  // by instruction: of its ranges among all
  for (const auto i : instructions) {
    const auto touched = addresses.of(i);
    ranges.insert(ranges.end(), touched.begin(), touched.end());
    ends.push_back(ranges.size());
  }
  Touches touches(ranges);
  std::vector<std::vector<std::int64_t>> percents;
  std::size_t next = 0;
  for (const auto end : ends) {
    double all = 0;
    std::vector<double> beyond(cache_bytes.size());
    for (; next < end; ++next)
      touches.touch(next, [&](std::int64_t size, std::int64_t distance) {
        const auto bytes = static_cast<double>(size);
        all += bytes;
        for (std::size_t c = 0; c < beyond.size(); ++c)
          beyond[c] += bytes * share_beyond(static_cast<double>(distance), cache_bytes[c]);
      });
    auto& of_instruction = percents.emplace_back();
    for (const double bytes : beyond)
      of_instruction.push_back(all > 0 ? std::llround(10 * bytes / all) * 10 : 0);
  }
  return percents;
}

}  // namespace

std::string text_of_touched(const Program& program, std::int64_t batch) {
  Text text;
  text.add(std::ssize(program.slots));
  for (const auto& slot : program.slots) {
    const auto samples = slot.microbatch ? program.microbatch(*slot.microbatch, 0, batch).size() : 0;
    for (const auto number :
         {static_cast<std::int64_t>(slot.role), static_cast<std::int64_t>(slot.lifetime),
          static_cast<std::int64_t>(slot.type), slot.first.value(), program.elements(slot, samples).value(),
          static_cast<std::int64_t>(slot.gathered_from ? slot.gathered_from->value() : -1)})
      text.add(number);
  }
  text.add(std::ssize(program.buckets));
  for (const auto& bucket : program.buckets) {
    text.add(bucket.parameters.value());
    text.add(bucket.share.value());
  }
  text.add(std::ssize(program.parameters));
  for (const auto& of_unit : program.parameters) {
    text.add(std::ssize(of_unit.tensors));
    for (const auto& tensor : of_unit.tensors)
      for (const auto number :
           {static_cast<std::int64_t>(tensor.trained), static_cast<std::int64_t>(tensor.slot.value()),
            tensor.offset.value(), tensor.count.value()})
        text.add(number);
  }
  for (const auto& i : program.instructions) {
    text.add(static_cast<std::int64_t>(i.kind));
    text.add(static_cast<std::int64_t>(i.phase));
    text.add(i.unit);
    text.add(i.bucket);
    text.add(i.transfer);
    text.add(i.conversion);
    text.add(i.in.number());
    text.add(i.reads);
    text.add(i.writes);
  }
  return std::move(text).take();
}

std::vector<std::vector<std::int64_t>> beyond_caches(const Program& program, std::int64_t batch,
                                                     const Execution& execution,
                                                     std::span<const machine::Cache> caches) {
  const Addresses addresses(program, batch, rule_of(execution));
  const auto cache_bytes = bytes_of_rank(caches, execution);
  std::vector<std::vector<std::int64_t>> percents(program.instructions.size());
  for (const auto kind : step::kinds_by_use(program.cadence)) {
    std::vector<std::size_t> numbers;
    for (std::size_t i = 0; i < program.instructions.size(); ++i)
      if (program.instructions[i].in.has(kind)) numbers.push_back(i);
    auto of_kind = beyond_caches(addresses, numbers, cache_bytes);
    for (std::size_t n = 0; n < numbers.size(); ++n)
      if (auto& known = percents[numbers[n]]; known.empty()) known = std::move(of_kind[n]);
  }
  return percents;
}

}  // namespace partita::cost
