/// Dependences follow from slots: what an instruction reads was written before it or is of an earlier step,
/// nothing touches what is under way, and each bucket has slots of its own, alike on all tensor coordinates.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../models.hpp"
#include "partita/step/build.hpp"
#include "random_chains.hpp"

namespace partita::step {
namespace {

using tests::model_of;

using collective::Operation;
using collective::Purpose;

template <class Id>
bool contains(const std::vector<Id>& ids, Id id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

/// Says of each instruction of a program which rule it breaks.
class Dependences {
 public:
  explicit Dependences(const Program& program) : p_(program), written_(program.slots.size()) {}

  std::string broken() {
    for (std::size_t i = 0; i < p_.instructions.size(); ++i) {
      at_ = i;
      visit(p_.instructions[i]);
    }
    if (!in_flight_.empty()) fail("leaves a transfer that nobody waits for");
    return text_;
  }

 private:
  void fail(const std::string& what) {
    text_ +=
        "\n  " + std::to_string(at_) + " (" + std::string(to_string(p_.instructions[at_].kind)) + ") " + what;
  }

  /// Parameters are of the step before; the metric begins as zeros.
  [[nodiscard]] bool is_there(SlotId s) const {
    const auto& slot = p_.slots[s];
    const bool from_before = slot.lifetime == Lifetime::run && slot.role != SlotRole::parameter_gradients;
    return from_before || written_[s];
  }

  void visit(const Instruction& i) {
    for (const auto s : i.reads)
      if (!is_there(s)) fail("reads slot " + std::to_string(s.value()) + ", which nothing wrote");
    if (i.accumulates || i.kind == Kind::combine)
      for (const auto s : i.writes)
        if (!is_there(s)) fail("adds to slot " + std::to_string(s.value()) + ", which nothing wrote");
    if (i.kind == Kind::wait) in_flight_.erase(*i.transfer);
    for (const auto t : in_flight_) {
      const auto& transfer = p_.transfers[t];
      for (const auto s : {transfer.slot, transfer.target.value_or(transfer.slot)}) {
        const bool only_read = transfer.operation == Operation::send;
        if (touches(i.writes, s) || (!only_read && touches(i.reads, s)))
          fail("touches slot " + std::to_string(s.value()) + ", which is under way");
      }
    }
    if (i.kind == Kind::start) in_flight_.insert(*i.transfer);
    for (const auto s : i.writes)
      written_[s] = true;
  }

  /// Whether one of the slots has memory of another one: the same, or of gradients a part of it.
  [[nodiscard]] bool touches(const std::vector<SlotId>& slots, SlotId other) const {
    const auto& b = p_.slots[other];
    return std::ranges::any_of(slots, [&](SlotId s) {
      const auto& a = p_.slots[s];
      const bool of_gradients = a.role == SlotRole::parameter_gradients && b.role == a.role;
      return s == other || (of_gradients && a.first < b.first + b.fixed && b.first < a.first + a.fixed);
    });
  }

  const Program& p_;
  base::IdVector<SlotId, char> written_;
  std::set<TransferId> in_flight_;
  std::size_t at_ = 0;
  std::string text_;
};

/// The slots in which a unit's tensors lie: trained ones in that of its bucket.
std::set<SlotId> slots_of(const Program& p, UnitId unit) {
  std::set<SlotId> slots;
  for (const auto& tensor : p.parameters[unit].tensors)
    slots.insert(tensor.trained ? p.buckets[*p.parameters[unit].bucket].parameters : p.untrained_slot);
  return slots;
}

/// Of the slots that an instruction names, those with a role; of gathered parameters those of the shares.
std::set<SlotId> with_role(const Program& p, const std::vector<SlotId>& slots, SlotRole role) {
  std::set<SlotId> found;
  for (const auto s : slots)
    if (p.slots[s].role == role) found.insert(p.slots[s].gathered_from.value_or(s));
  return found;
}

/// Copies of shares: out of reduced gradients, or into parameters that are gathered.
void expect_share_is_named(const Program& p, const Instruction& i) {
  ASSERT_TRUE(i.reads.size() == 1 && i.writes.size() == 1);
  const auto& bucket = p.buckets[*i.bucket];
  if (i.reads.front() == bucket.parameters) {
    EXPECT_EQ(p.slots[i.writes.front()].gathered_from, bucket.parameters);
  } else {
    EXPECT_TRUE(i.reads.front() == bucket.gradients.front() && i.writes.front() == bucket.kept_gradients);
  }
}

/// What every instruction says of parameters and their gradients, against the buckets.
void expect_buckets_are_named(const Program& p) {
  std::map<SlotId, int> reduced;
  std::map<BucketId, int> updated;
  std::map<SlotId, int> gathered;
  for (const auto& i : p.instructions) {
    if (i.kind == Kind::share) {
      expect_share_is_named(p, i);
      continue;
    }
    if (i.transfer && p.transfers[*i.transfer].purpose == Purpose::parameter) {
      ++gathered[p.transfers[*i.transfer].slot];
      continue;
    }
    const auto parameters_read = with_role(p, i.reads, SlotRole::parameters),
               parameters_written = with_role(p, i.writes, SlotRole::parameters),
               gradients_read = with_role(p, i.reads, SlotRole::parameter_gradients),
               gradients_written = with_role(p, i.writes, SlotRole::parameter_gradients);
    const bool uses = (i.kind == Kind::forward && i.phase != Phase::statistics) || i.phase == Phase::data;
    const bool takes_norms = i.kind == Kind::update && i.phase == Phase::statistics;
    EXPECT_EQ(parameters_read, takes_norms      ? std::set{p.buckets[*i.bucket].parameters}
                               : uses && i.unit ? slots_of(p, *i.unit)
                                                : std::set<SlotId>());
    const bool moves_statistics = i.kind == Kind::forward && i.phase == Phase::finish;
    if (i.kind == Kind::norm) {
      EXPECT_TRUE(parameters_read.empty() && parameters_written.empty() && gradients_written.empty());
    } else if (i.kind == Kind::update) {
      const auto& bucket = p.buckets[*i.bucket];
      EXPECT_EQ(gradients_read, std::set{bucket.kept_gradients.value_or(bucket.gradients.front())});
      EXPECT_TRUE(contains(i.reads, p.metric_slot)) << "without the loss that says whether to update";
      EXPECT_EQ(parameters_written, takes_norms ? std::set<SlotId>() : std::set{bucket.parameters});
      if (!takes_norms) ++updated[*i.bucket];
    } else {
      EXPECT_EQ(parameters_written, moves_statistics ? std::set{p.untrained_slot} : std::set<SlotId>());
    }
    if (i.kind == Kind::backward && i.phase == Phase::parameters) {
      const auto b = p.parameters[*i.unit].bucket;
      ASSERT_TRUE(b);
      const auto& bucket = p.buckets[*b];
      ASSERT_EQ(gradients_written.size(), 1U);
      EXPECT_TRUE(contains(bucket.units, *i.unit));
      EXPECT_TRUE(contains(bucket.gradients, *gradients_written.begin()));
    }
    if (i.kind == Kind::start && p.transfers[*i.transfer].purpose == Purpose::gradient)
      ++reduced[p.transfers[*i.transfer].slot];
  }
  if (!p.training) return;
  for (const auto b : p.buckets.ids()) {
    const auto& bucket = p.buckets[b];
    EXPECT_EQ(updated[b], 1);
    const bool gathers = bucket.is_split && p.split != Split::parameter;
    EXPECT_EQ(gathered[bucket.parameters], gathers ? 2 : 0) << "started and waited for";
    EXPECT_EQ(reduced[bucket.gradients.front()],
              bucket.axis == topology::Axis::none || bucket.coding ? 0 : 1);
  }
}

/// Each slot of the run belongs to one bucket, and those of a vector lie one behind the other and fill it.
void expect_slots_fill_vectors(const Program& p) {
  std::set<SlotId> owned{p.untrained_slot, p.metric_slot};
  if (p.scale_slot) owned.insert(*p.scale_slot);
  if (p.loss_scale_slot) owned.insert(*p.loss_scale_slot);
  Elements residuals{}, bases{};
  for (const auto& bucket : p.buckets) {
    const auto follows = [&](std::optional<SlotId> slot, Elements& end) {
      if (!slot) return;
      EXPECT_TRUE(owned.insert(*slot).second) << "another bucket's";
      EXPECT_EQ(p.slots[*slot].first, end);
      end += p.slots[*slot].fixed;
    };
    follows(bucket.coding ? bucket.coding->residual : std::nullopt, residuals);
    follows(bucket.coding ? bucket.coding->basis : std::nullopt, bases);
  }
  EXPECT_EQ(residuals, p.residual_count);
  EXPECT_EQ(bases, p.basis_count);
  Elements parameters{}, logical{}, states{};
  std::vector<Elements> gradients(static_cast<std::size_t>(p.gradient_levels));
  for (const auto& bucket : p.buckets) {
    const auto& slot = p.slots[bucket.parameters];
    EXPECT_TRUE(owned.insert(bucket.parameters).second) << "another bucket's";
    EXPECT_EQ(slot.first, parameters);
    EXPECT_EQ(slot.fixed, p.holds_share(bucket) ? bucket.share : bucket.count);
    EXPECT_EQ(bucket.first_state, states);
    parameters += slot.fixed;
    states += bucket.share;
    ASSERT_EQ(bucket.gradients.size(), p.training ? gradients.size() : 0U);
    for (std::size_t level = 0; level < bucket.gradients.size(); ++level) {
      const auto& of_level = p.slots[bucket.gradients[level]];
      EXPECT_TRUE(owned.insert(bucket.gradients[level]).second) << "another bucket's";
      EXPECT_EQ(of_level.fixed, bucket.count);
      if (!bucket.kept_gradients) {
        EXPECT_EQ(of_level.first, logical + p.trained_count * static_cast<std::int64_t>(level));
      }
      EXPECT_LE(of_level.first + of_level.fixed, p.gradient_count);
    }
    if (bucket.kept_gradients) {
      EXPECT_TRUE(owned.insert(*bucket.kept_gradients).second);
    }
    logical += bucket.count;
  }
  EXPECT_EQ(logical, p.trained_count);
  EXPECT_EQ(states, p.state_count);
  const auto& untrained = p.slots[p.untrained_slot];
  EXPECT_EQ(untrained.first, parameters);
  EXPECT_EQ(untrained.fixed, p.parameter_count - p.trained_count);
  EXPECT_EQ(untrained.first + untrained.fixed, p.held_count);
  for (const auto s : p.slots.ids())
    EXPECT_EQ(p.slots[s].lifetime == Lifetime::run, owned.contains(s));
}

/// Of what tensor coordinates have in common: no counts.
void expect_equal_buckets(const Program& a, const Program& b) {
  ASSERT_EQ(a.buckets.size(), b.buckets.size());
  for (const auto i : a.buckets.ids()) {
    EXPECT_EQ(a.buckets[i].axis, b.buckets[i].axis);
    EXPECT_EQ(a.buckets[i].units, b.buckets[i].units);
    EXPECT_EQ(a.buckets[i].closing_unit, b.buckets[i].closing_unit);
  }
}

void expect_sound(const model::ModelSpec& model, const plan::Request& request, const std::string& what) {
  SCOPED_TRACE(what);
  const auto split = plan::choose(model, request);
  for (const auto& build : {build_training_program, build_evaluation_program})
    for (int stage = 0; stage < request.grid.pipeline; ++stage) {
      const Program first = build(model, split, {.pipeline = stage}, {});
      for (int tensor = 0; tensor < request.grid.tensor; ++tensor) {
        const Program program = build(model, split, {.pipeline = stage, .tensor = tensor}, {});
        ASSERT_EQ(Dependences(program).broken(), "");
        expect_buckets_are_named(program);
        expect_slots_fill_vectors(program);
        expect_equal_buckets(program, first);
      }
    }
}

TEST(Buckets, DependencesFollowFromSlotsInRandomChains) {
  tests::ChainDraw draw(20261129);
  for (int i = 0; i < 300 && !::testing::Test::HasFailure(); ++i) {
    const auto c = draw.draw(draw.number(2, 6) * draw.number(1, 2));
    auto request = c.split();
    request.bucket_bytes = Bytes(i % 3 == 0 ? 1 : i % 3 == 1 ? 64 : 1 << 20);
    expect_sound(c.model, request, to_string(c));
  }
}

/// Chunks that share a bucket, and buckets that parts of a chunk lie in.
TEST(Buckets, GrainsAreAddedWithinTheSlotsOfTheirBucket) {
  const auto model =
      model_of("6", {"linear 5", "relu", "linear 4", "linear 3 frozen", "linear 7", "linear 2"});
  for (const std::int64_t bytes : {1, 100, 1 << 20})
    for (const int chunks : {1, 2})
      for (const topology::GridExtent grid : {topology::GridExtent{}, {.data = 2}, {.pipeline = 2}}) {
        const plan::Request request{
            .grid = grid,
            .batch = 16,
            .pipeline = {.schedule = chunks == 1 ? Schedule::one_f_one_b : Schedule::gpipe,
                         .microbatches = 8 / grid.data,
                         .chunks = chunks},
            .bucket_bytes = Bytes(bytes),
            .grains = 8};
        expect_sound(model, request, to_string(grid) + " " + std::to_string(bytes));
        const auto program = build_training_program(model, plan::choose(model, request), {}, {});
        for (const auto& i : program.instructions) {
          if (i.kind != Kind::combine) continue;
          const auto& parts = program.chunk_gradients[*i.chunk];
          ASSERT_EQ(i.reads.size(), parts.size());
          for (std::size_t k = 0; k < parts.size(); ++k) {
            const auto& levels = program.buckets[parts[k].bucket].gradients;
            const auto level = std::find(levels.begin(), levels.end(), i.reads[k]) - levels.begin();
            ASSERT_GT(level, 0);
            EXPECT_EQ(levels[static_cast<std::size_t>(level - 1)], i.writes[k]);
          }
        }
        Elements combined{};
        for (const auto& parts : program.chunk_gradients)
          for (const auto& part : parts)
            combined += part.count;
        EXPECT_EQ(combined, program.trained_count);
      }
}

/// The gradients of a share of the samples are partial on the tensor axis, those of a share of the features
/// are whole.
TEST(Buckets, EndWhereGradientsAreReducedOverOtherAxes) {
  const auto model = model_of("6", {"linear 5 placement=batch", "linear 4 placement=batch",
                                    "linear 7 placement=column", "linear 2 placement=batch"});
  const plan::Request request{.grid = {.data = 2, .tensor = 2}, .batch = 8, .bucket_bytes = Bytes(1 << 20)};
  const auto program = build_training_program(model, plan::choose(model, request), {}, {});
  const auto data = topology::Axis::data, both = data | topology::Axis::tensor;
  ASSERT_EQ(program.buckets.size(), 3U);
  const auto expect_bucket = [&](int b, topology::Axis axis, const std::vector<UnitId>& units, int closing) {
    const auto& bucket = program.buckets[BucketId(b)];
    EXPECT_EQ(bucket.axis, axis);
    EXPECT_EQ(bucket.units, units);
    EXPECT_EQ(bucket.closing_unit, UnitId(closing));
  };
  expect_bucket(0, both, {UnitId(3)}, 2);
  expect_bucket(1, data, {UnitId(2)}, 1);
  expect_bucket(2, both, {UnitId(1), UnitId(0)}, 0);
}

}  // namespace
}  // namespace partita::step
