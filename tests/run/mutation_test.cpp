/// Broken programs are caught: each mutation makes training another one.
#include <gtest/gtest.h>

#include "drift.hpp"
#include "harness.hpp"

namespace partita::tests {
namespace {

using collective::Operation;
using collective::Purpose;
using step::Instruction;
using step::Kind;
using step::Program;
using step::Schedule;

double drift(std::size_t net, const Decomposition& d, const Harness::Mutate& mutate) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto c = cases()[net];
  References references(*backend);
  const auto& reference = references.of(c, d);
  Harness harness(c, d, *backend, {.mutate = mutate});
  harness.train();
  const auto tensors = harness.gather_parameters();
  const double drifted = largest_drift(c.model, reference.start, reference.end, tensors);
  return std::isnan(drifted) ? INFINITY : drifted;
}

/// Removes the start and the wait of the first transfer that fits.
template <class Fits>
void drop_transfer(Program& program, Fits fits) {
  for (const auto t : program.transfers.ids())
    if (fits(program.transfers[t])) {
      std::erase_if(program.instructions, [&](const Instruction& i) { return i.transfer == t; });
      return;
    }
  ADD_FAILURE() << "the program has no such transfer";
}

Decomposition tensor_parallel(Placing placing) {
  return {1, {.tensor = world().size()}, Schedule::one_f_one_b, 2, placing};
}
Decomposition pipeline() {
  return {1, {.pipeline = world().size()}, Schedule::one_f_one_b, 5, Placing::cheapest};
}

TEST(Mutations, WithoutMutationTheLoopOfThisTestIsEquivalentToo) {
  EXPECT_LE(drift(1, tensor_parallel(Placing::row), {}), 1e-10);
  EXPECT_LE(drift(1, tensor_parallel(Placing::column), {}), 1e-10);
  EXPECT_LE(drift(5, tensor_parallel(Placing::height), {}), 1e-10);
  EXPECT_LE(drift(1, pipeline(), {}), 1e-10);
}

/// Batches that need more memory than the one the arena was sized for get their own, and leave each other
/// alone.
TEST(Memory, BatchesBeyondTheArenaTrainTheSameModel) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto c = cases()[1];
  const auto reference = reference_of(c, *backend);
  Harness harness(c, pipeline(), *backend, {.largest_batch = 1});
  harness.train();  // of 10 samples, then of 3
  EXPECT_LE(largest_drift(c.model, reference.start, reference.end, harness.gather_parameters()), 1e-10);
}

TEST(Mutations, ADroppedReductionIsCaught) {
  const Decomposition data{1, {.data = world().size()}, Schedule::one_f_one_b, 1, Placing::cheapest};
  EXPECT_GT(drift(1, data,
                  [](Program& p) {
                    drop_transfer(p, [](const auto& t) { return t.purpose == Purpose::gradient; });
                  }),
            1e-3);
}

TEST(Mutations, StatisticsOfThisRankAloneAreCaught) {
  const Decomposition data{10, {.data = world().size()}, Schedule::one_f_one_b, 2, Placing::cheapest};
  EXPECT_LE(drift(10, data, {}), 1e-10);
  for (const int nth : {0, 3})  // of the first layer forward, of the last one backward
    EXPECT_GT(drift(10, data,
                    [&](Program& p) {
                      int seen = 0;
                      drop_transfer(p, [&](const auto& t) {
                        return t.purpose == Purpose::statistics && seen++ == nth;
                      });
                    }),
              1e-3)
        << nth;
}

TEST(Mutations, AForwardConversionThatIsDroppedIsCaught) {
  EXPECT_GT(drift(1, tensor_parallel(Placing::row),
                  [](Program& p) {
                    drop_transfer(p, [](const auto& t) { return t.purpose == Purpose::activation; });
                  }),
            1e-3);
}

TEST(Mutations, AnAdjointThatIsDroppedIsCaught) {
  EXPECT_GT(drift(1, tensor_parallel(Placing::column),
                  [](Program& p) {
                    drop_transfer(p, [](const auto& t) { return t.purpose == Purpose::activation_gradient; });
                  }),
            1e-3);
}

/// Comparing values alone: the gradient of what a column-parallel layer reads is taken for whole on every
/// rank and sliced, where partial sums should have been reduced and scattered.
TEST(Mutations, AWrongAdjointIsCaught) {
  EXPECT_GT(drift(1, tensor_parallel(Placing::column),
                  [](Program& p) {
                    for (const auto c : p.conversions.ids()) {
                      auto& from = p.conversions[c].from;
                      if (from.spread != step::Spread::partial) continue;
                      from.spread = step::Spread::replicated;
                      for (const auto t : p.transfers.ids())
                        if (p.transfers[t].conversion == c)
                          std::erase_if(p.instructions,
                                        [&](const Instruction& i) { return i.transfer == t; });
                      std::erase_if(p.instructions, [&](const Instruction& i) {
                        return i.kind == Kind::pack && i.conversion == c;
                      });
                    }
                  }),
            1e-3);
}

TEST(Mutations, ABiasAddedOnEveryRankIsCaught) {
  EXPECT_GT(drift(1, tensor_parallel(Placing::row),
                  [](Program& p) {
                    for (auto& unit : p.units)
                      unit.adds_bias = true;
                  }),
            1e-3);
}

TEST(Mutations, AGradientOfSharesThatIsNotReducedIsCaught) {
  EXPECT_GT(drift(1, tensor_parallel(Placing::batch),
                  [](Program& p) {
                    drop_transfer(p, [](const auto& t) { return t.purpose == Purpose::gradient; });
                  }),
            1e-3);
}

TEST(Mutations, ASwappedMicroBatchIsCaught) {
  const Decomposition equal{0, {.pipeline = world().size()}, Schedule::one_f_one_b, 4, Placing::cheapest};
  EXPECT_GT(drift(0, equal,
                  [](Program& p) {
                    if (p.labels_slot.empty()) return;  // another stage
                    for (auto& i : p.instructions)
                      if (i.kind == Kind::load && i.writes.front() == p.labels_slot[step::MicrobatchId(1)])
                        i.microbatch = step::MicrobatchId(2);
                  }),
            1e-3);
}

TEST(Mutations, AStageThatReceivesNoGradientIsCaught) {
  EXPECT_GT(drift(1, pipeline(),
                  [](Program& p) {
                    const bool first = p.at.pipeline == 0, second = p.at.pipeline == 1;
                    if (first || second)
                      drop_transfer(p, [&](const auto& t) {
                        return t.purpose == Purpose::activation_gradient &&
                               t.microbatch == step::MicrobatchId(0) &&
                               t.operation == (first ? Operation::receive : Operation::send);
                      });
                  }),
            1e-3);
}

}  // namespace
}  // namespace partita::tests
