/// Numbers what is new, in the order of the program.
#include "partita/step/alike.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

namespace partita::step {
namespace {

/// Numbers keys in the order in which they come.
template <class Key>
class Numbers {
 public:
  int of(const Key& key) { return known_.try_emplace(key, static_cast<int>(known_.size())).first->second; }

 private:
  std::map<Key, int> known_;
};

class Comparison {
 public:
  explicit Comparison(const Program& program)
      : program_(program), conversions_(numbers_of_conversions(program)) {}

  Alike alike() {
    Alike alike;
    for (const auto& transfer : program_.transfers)
      alike.transfers.push_back(transfers_.of(key_of(transfer)));
    for (const auto& instruction : program_.instructions)
      alike.instructions.push_back(instructions_.of(key_of(instruction, alike.transfers)));
    return alike;
  }

 private:
  static constexpr int none = -1;
  [[nodiscard]] int number_of(std::optional<ConversionId> conversion) const {
    return conversion ? conversions_[*conversion] : none;
  }

  using SlotKey = std::tuple<SlotRole, DataType, Elements, bool, Elements, int, End, Lifetime, bool>;
  [[nodiscard]] SlotKey key_of(const Slot& slot) const {
    return {slot.role,        slot.type,     slot.per_sample,
            slot.batch_share, slot.fixed,    number_of(slot.conversion),
            slot.end,         slot.lifetime, slot.in_window};
  }

  using TransferKey =
      std::tuple<collective::Operation, topology::Axis, collective::Purpose, bool, SlotKey, int,
                 std::optional<int>, DataType, collective::Combine, collective::Algorithm, Elements>;
  [[nodiscard]] TransferKey key_of(const Transfer& t) const {
    return {t.operation,
            t.axis,
            t.purpose,
            t.microbatch.has_value(),
            key_of(program_.slots[t.slot]),
            number_of(t.conversion),
            t.peer,
            t.type,
            t.combine,
            t.algorithm,
            t.coded ? program_.buckets[*t.coded].count : Elements(0)};
  }

  /// A unit, a bucket and a chunk have slots of the same sizes for every micro-batch, and so have equal
  /// conversions; inputs and labels are both loaded.
  using InstructionKey = std::tuple<Kind, Phase, std::optional<UnitId>, std::optional<ChunkId>, bool,
                                    std::optional<BucketId>, int, int, bool, SlotRole>;
  [[nodiscard]] InstructionKey key_of(const Instruction& i,
                                      const base::IdVector<TransferId, int>& transfers) const {
    const auto written = i.writes.empty() ? SlotRole::metric : program_.slots[i.writes.front()].role;
    return {i.kind,
            i.phase,
            i.unit,
            i.chunk,
            i.microbatch.has_value(),
            i.bucket,
            i.transfer ? transfers[*i.transfer] : none,
            number_of(i.conversion),
            i.accumulates,
            written};
  }

  const Program& program_;
  base::IdVector<ConversionId, int> conversions_;
  Numbers<TransferKey> transfers_;
  Numbers<InstructionKey> instructions_;
};

}  // namespace

Alike alike(const Program& program) { return Comparison(program).alike(); }

base::IdVector<ConversionId, int> numbers_of_conversions(const Program& program) {
  std::vector<const Conversion*> different;
  base::IdVector<ConversionId, int> numbers;
  for (const auto& c : program.conversions) {
    const auto known = std::ranges::find_if(different, [&](const Conversion* other) {
      return other->shape == c.shape && other->from == c.from && other->to == c.to;
    });
    numbers.push_back(static_cast<int>(known - different.begin()));
    if (known == different.end()) different.push_back(&c);
  }
  return numbers;
}

}  // namespace partita::step
