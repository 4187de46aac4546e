/// Lays all slots into one space of addresses and plays two steps over it.
#include "partita/cost/reuse.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

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
    if (instruction.kind == step::Kind::update && instruction.bucket)
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
  explicit Sums(std::size_t times) : sums_(times + 1) {}
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

/// When each address was touched last.
class Touches {
 public:
  explicit Touches(std::size_t times) : bytes_(times) {}

  /// Touches a range at `now`, which no earlier touch had. `found`: of each part of it that was known, the
  /// bytes, and when it was touched last.
  template <class Found>
  void touch(Range range, std::size_t now, const Found& found) {
    split(range.begin);
    split(range.end);
    const auto first = std::ranges::lower_bound(parts_, range.begin, {}, &Part::begin);
    auto part = first;
    std::int64_t known = 0;
    for (; part != parts_.end() && part->begin < range.end; ++part) {
      const auto size = part->end - part->begin;
      found(size, part->touched);
      bytes_.add(part->touched, -size);
      known += size;
    }
    all_ += range.size() - known;
    bytes_.add(now, range.size());
    const Part whole{range.begin, range.end, now};
    if (first == part) return void(parts_.insert(first, whole));
    *first = whole;
    parts_.erase(first + 1, part);
  }
  /// How many different bytes were touched from then on.
  [[nodiscard]] std::int64_t bytes_from(std::size_t time) const { return all_ - bytes_.before(time); }

 private:
  struct Part {
    std::int64_t begin, end;
    std::size_t touched;
  };
  /// Makes an address the begin of a part, if it lies in one.
  void split(std::int64_t at) {
    auto part = std::ranges::upper_bound(parts_, at, {}, &Part::begin);
    if (part == parts_.begin()) return;
    --part;
    if (part->begin == at || part->end <= at) return;
    const Part rest{at, part->end, part->touched};
    part->end = at;
    parts_.insert(part + 1, rest);
  }

  std::vector<Part> parts_;  ///< by their begin; they do not overlap
  Sums bytes_;               ///< by the time of their last touch, but for those of a touch under way
  std::int64_t all_ = 0;     ///< bytes that were touched
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

}  // namespace

std::string text_of_touched(const Program& program, std::int64_t batch) {
  Text text;
  text.add(std::ssize(program.slots));
  for (const auto& slot : program.slots) {
    const auto samples = slot.microbatch ? program.microbatch(*slot.microbatch, 0, batch).size() : 0;
    for (const auto number :
         {static_cast<std::int64_t>(slot.role), static_cast<std::int64_t>(slot.lifetime),
          static_cast<std::int64_t>(slot.type), slot.first.value(), program.elements(slot, samples).value()})
      text.add(number);
  }
  text.add(std::ssize(program.buckets));
  for (const auto& bucket : program.buckets)
    text.add(bucket.parameters.value());
  text.add(std::ssize(program.parameters));
  for (const auto& of_unit : program.parameters) {
    text.add(std::ssize(of_unit.tensors));
    for (const auto& tensor : of_unit.tensors)
      for (const auto number :
           {static_cast<std::int64_t>(tensor.trained), static_cast<std::int64_t>(tensor.slot.value()),
            tensor.first.value(), tensor.count.value()})
        text.add(number);
  }
  for (const auto& i : program.instructions) {
    text.add(static_cast<std::int64_t>(i.kind));
    text.add(static_cast<std::int64_t>(i.phase));
    text.add(i.unit);
    text.add(i.bucket);
    text.add(i.transfer);
    text.add(i.conversion);
    text.add(i.reads);
    text.add(i.writes);
  }
  return std::move(text).take();
}

std::vector<std::vector<std::int64_t>> beyond_caches(const Program& program, std::int64_t batch,
                                                     const Execution& execution,
                                                     std::span<const machine::Cache> caches) {
  const auto cache_bytes = bytes_of_rank(caches, execution);
  const Addresses addresses(program, batch, states_of(execution));
  std::vector<std::vector<Range>> touched;
  std::size_t ranges = 0;
  for (std::size_t i = 0; i < program.instructions.size(); ++i)
    ranges += touched.emplace_back(addresses.of(i)).size();
  Touches touches(2 * ranges);
  std::size_t now = 0;
  std::vector<double> beyond(cache_bytes.size());
  std::vector<std::vector<std::int64_t>> percents;
  for (const bool counts : {false, true})  // the second step finds everything where the first left it
    for (const auto& of_instruction : touched) {
      double all = 0;
      std::ranges::fill(beyond, 0);
      for (const auto& range : of_instruction)
        touches.touch(range, now++, [&](std::int64_t size, std::size_t last) {
          if (!counts) return;
          const auto bytes = static_cast<double>(size),
                     distance = static_cast<double>(touches.bytes_from(last));
          all += bytes;
          for (std::size_t c = 0; c < beyond.size(); ++c)
            beyond[c] += bytes * share_beyond(distance, cache_bytes[c]);
        });
      if (!counts) continue;
      percents.emplace_back();
      for (const double bytes : beyond)
        percents.back().push_back(all > 0 ? std::llround(10 * bytes / all) * 10 : 0);
    }
  return percents;
}

}  // namespace partita::cost
