/// The ledger of each decomposition equals a closed form: plain arithmetic on ranks, samples and widths.
///
/// Twenty steps over 23 samples in batches of 10, 10 and 3 train on 158 samples.
#include <gtest/gtest.h>

#include <functional>
#include <map>

#include "../mpi_main.hpp"
#include "cases.hpp"

namespace partita::tests {
namespace {

using collective::Activity;
using collective::Operation;
using collective::Purpose;
using topology::Axis;

constexpr std::int64_t steps = 20, samples = 158, element = 8;

struct Sums {
  std::int64_t messages = 0, payload = 0, sent = 0, received = 0;
  friend bool operator==(const Sums&, const Sums&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Sums& s) {
    return out << s.messages << " messages, payload " << s.payload << ", sent " << s.sent << ", received "
               << s.received;
  }
};

using Rows = std::map<std::tuple<Axis, Operation, Purpose>, Sums>;

/// The `train` rows of all ranks, on rank 0.
Rows trained(
    const model::ModelSpec& model, const topology::GridExtent& grid, int microbatches,
    kernels::OptimizerRule rule = kernels::OptimizerRule::sgd,
    const std::function<void(plan::Request&)>& change = [](auto&) {}) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const Case c{"", model, random_data(data::Task::classification, model.input, 23), 10};
  auto ranks = comm::Communicator::world(environment());
  auto options = options_for(c, grid, rule);
  options.split.algorithm = comm::Algorithm::ring;
  options.split.bucket_bytes = kernels::Bytes(1 << 20);
  options.split.pipeline.microbatches = microbatches;
  change(options.split);
  auto training = training_of(c.model, options, *backend, ranks, c.data);
  training.run({});
  Rows rows;
  for (const auto& row : ranks.gather_traffic()) {
    if (row.key.activity != Activity::train) continue;
    auto& sums = rows[{row.key.axis, row.key.operation, row.key.purpose}];
    sums.messages += row.counts.messages;
    sums.payload += row.counts.payload_bytes.value();
    sums.sent += row.counts.wire_bytes.value();
    sums.received += row.counts.wire_bytes_received.value();
  }
  return rows;
}

/// Rows on rank 0 must be these and no others; messages are compared where they are given.
void expect_rows(const Rows& seen, const Rows& expected) {
  if (world().rank() != 0) return;
  for (const auto& [key, sums] : expected) {
    const auto& [axis, operation, purpose] = key;
    const auto what = std::string(to_string(axis)) + " " + std::string(to_string(operation)) + " " +
                      std::string(to_string(purpose));
    const auto found = seen.find(key);
    ASSERT_NE(found, seen.end()) << what;
    Sums there = found->second;
    if (sums.messages == 0) there.messages = 0;
    EXPECT_EQ(there, sums) << what;
  }
  for (const auto& [key, sums] : seen)
    EXPECT_TRUE(expected.contains(key)) << to_string(std::get<0>(key)) << ' ' << to_string(std::get<1>(key))
                                        << ' ' << to_string(std::get<2>(key)) << ": " << sums;
}

/// p ranks all-reduce n elements in each of their groups by a ring, so many elements in all.
Sums ring(std::int64_t ranks, std::int64_t elements_of_rank, std::int64_t elements_of_group,
          std::int64_t size = element) {
  const std::int64_t sent = 2 * (ranks - 1) * elements_of_group * size;
  return {.payload = elements_of_rank * size, .sent = sent, .received = sent};
}

TEST(DecompositionTraffic, AStageSendsItsActivationsAndReceivesTheirGradients) {
  const std::int64_t p = world().size(), width = 7;
  std::vector<std::string> layers(static_cast<std::size_t>(2 * p), "linear 7");
  layers.emplace_back("linear 5");
  const auto rows = trained(model_of("13", layers), {.pipeline = world().size()}, 4);
  // Fourteen batches of 10 in four micro-batches, six of 3 in three that are not empty.
  const std::int64_t messages = (p - 1) * (14 * 4 + 6 * 3), bytes = (p - 1) * samples * width * element;
  const Sums send{.messages = messages, .payload = bytes, .sent = bytes},
      receive{.payload = bytes, .received = bytes};
  expect_rows(
      rows, {{{Axis::pipeline, Operation::send, Purpose::activation}, send},
             {{Axis::pipeline, Operation::receive, Purpose::activation}, receive},
             {{Axis::pipeline, Operation::send, Purpose::activation_gradient}, send},
             {{Axis::pipeline, Operation::receive, Purpose::activation_gradient}, receive},
             {{Axis::pipeline, Operation::all_reduce, Purpose::metric}, ring(p, 2 * steps * p, 2 * steps)}});
}

TEST(DecompositionTraffic, AColumnAndARowReduceOnceForward) {
  const std::int64_t t = world().size();
  const auto model = model_of("13", {"linear 12 placement=column", "relu placement=column",
                                     "linear 6 placement=row", "linear 5 placement=replicated"});
  const auto rows = trained(model, {.tensor = world().size()}, 2);
  expect_rows(rows, {{{Axis::tensor, Operation::all_reduce, Purpose::activation},
                      ring(t, t * samples * 6, samples * 6)}});
}

TEST(DecompositionTraffic, ClassShardedLossGathersThreeValuesASample) {
  const std::int64_t t = world().size();
  const auto model = model_of("13", {"linear 6 placement=replicated", "linear 5 placement=column"});
  const auto rows = trained(model, {.tensor = world().size()}, 1);
  const std::int64_t gathered = 3 * t * samples;
  expect_rows(rows, {{{Axis::tensor, Operation::all_gather, Purpose::activation},
                      {.payload = t * gathered * element,
                       .sent = (t - 1) * gathered * element,
                       .received = (t - 1) * gathered * element}},
                     {{Axis::tensor, Operation::all_reduce, Purpose::activation_gradient},
                      ring(t, t * samples * 6, samples * 6)}});
}

TEST(DecompositionTraffic, OneWeirdTrickGathersBetweenSamplesAndFeatures) {
  const std::int64_t t = world().size();
  const auto model = model_of("2x9x8", {"conv 3 kernel=3 placement=batch", "relu placement=batch",
                                        "flatten placement=batch", "linear 5 placement=column"});
  const auto rows = trained(model, {.tensor = world().size()}, 1);
  const std::int64_t features = 3 * 7 * 6, gathered = samples * features, parameters = 3 * 2 * 9 + 3;
  const Sums moved{.payload = t * gathered * element,
                   .sent = (t - 1) * gathered * element,
                   .received = (t - 1) * gathered * element};
  const std::int64_t statistics = 3 * t * samples;
  auto gathers = moved;  // of activations, then of the loss's statistics
  gathers.payload += t * statistics * element;
  gathers.sent += (t - 1) * statistics * element;
  gathers.received = gathers.sent;
  expect_rows(rows, {{{Axis::tensor, Operation::all_gather, Purpose::activation}, gathers},
                     {{Axis::tensor, Operation::reduce_scatter, Purpose::activation_gradient}, moved},
                     {{Axis::tensor, Operation::all_reduce, Purpose::gradient},
                      ring(t, t * steps * parameters, steps * parameters)}});
}

TEST(DecompositionTraffic, RowsOfImagesExchangeTheirHalos) {
  const std::int64_t t = world().size();
  const auto model = model_of("2x8x5", {"conv 3 kernel=3 padding=1 placement=height", "tanh placement=height",
                                        "conv 2 kernel=3x5 padding=1x2 bias=false placement=height",
                                        "flatten placement=replicated", "linear 5 placement=replicated"});
  const auto rows = trained(model, {.tensor = world().size()}, 1);
  // Each of the t − 1 cuts is crossed by a row of three channels each way; rows of two ranks and more are
  // thick enough that no halo comes from further away. Columns have no halo, however wide the kernel is.
  const std::int64_t halo = 2 * (t - 1) * 3 * 5 * samples * element;
  const std::int64_t image = 2 * 8 * 5 * samples, parameters = 3 * 2 * 9 + 3 + 2 * 3 * 15;
  expect_rows(rows, {{{Axis::tensor, Operation::all_to_all, Purpose::halo},
                      {.payload = 2 * halo, .sent = 2 * halo, .received = 2 * halo}},
                     {{Axis::tensor, Operation::all_gather, Purpose::activation},
                      {.payload = t * image * element,
                       .sent = (t - 1) * image * element,
                       .received = (t - 1) * image * element}},
                     {{Axis::tensor, Operation::all_reduce, Purpose::gradient},
                      ring(t, t * steps * parameters, steps * parameters)}});
}

/// Two float64 a channel, micro-batch and direction, over the axis on which samples are cut; none backward
/// for the lowest trained layer, below which no gradient goes. Shares of channels ask nobody.
TEST(DecompositionTraffic, StatisticsAreTwoNumbersAChannel) {
  const int p = world().size();
  const auto statistics = [&](const topology::GridExtent& grid, const std::string& placing,
                              int microbatches) {
    const std::string where = " placement=" + placing;
    const auto model = model_of("2x9x8", {"batchnorm" + where, "conv 6 kernel=3 bias=false" + where,
                                          "batchnorm" + where, "relu" + where, "flatten", "linear 5"});
    Rows found;
    for (const auto& [key, sums] : trained(model, grid, microbatches))
      if (std::get<2>(key) == Purpose::statistics) found[key] = sums;
    return found;
  };
  const auto expected = [&](Axis axis, int microbatches) {
    const std::int64_t sums = steps * microbatches * (2 * 2 + 2 * (2 * 6));
    return Rows{{{axis, Operation::all_reduce, Purpose::statistics}, ring(p, p * sums, sums)}};
  };
  expect_rows(statistics({.data = p}, "replicated", 1), expected(Axis::data, 1));
  expect_rows(statistics({.data = p}, "replicated", 3), expected(Axis::data, 3));
  expect_rows(statistics({.tensor = p}, "batch", 1), expected(Axis::tensor, 1));
  expect_rows(statistics({.tensor = p}, "height", 2), expected(Axis::tensor, 2));
  expect_rows(statistics({.tensor = p}, "column", 1), {});
}

/// Where the gradient is clipped each rank tells those with other parameters one sum of squares a step; those
/// of the data axis have the same.
TEST(DecompositionTraffic, NormsAreOneNumberARank) {
  const int p = world().size();
  const auto model = model_of("13", std::vector<std::string>(static_cast<std::size_t>(p), "linear 5"));
  const auto norms = [&](const topology::GridExtent& grid) {
    Rows found;
    for (const auto& [key, sums] : trained(model, grid, 1, kernels::OptimizerRule::nesterov))
      if (std::get<2>(key) == Purpose::norm) found[key] = sums;
    return found;
  };
  const std::int64_t of_all = steps * p * 8, moved = (p - 1) * of_all;
  const Sums sums{.payload = p * of_all, .sent = moved, .received = moved};
  expect_rows(norms({.data = p}), {});
  for (const auto axis : {Axis::pipeline, Axis::tensor}) {
    topology::GridExtent grid;
    (axis == Axis::tensor ? grid.tensor : grid.pipeline) = p;
    expect_rows(norms(grid), {{{axis, Operation::all_gather, Purpose::norm}, sums}});
  }
}

/// On eight ranks; registered apart.
TEST(HybridTraffic, PaysOnEveryAxis) {
  const auto model = model_of("13", {"linear 8 placement=column stage=0", "relu placement=column stage=0",
                                     "linear 6 placement=row stage=0", "linear 8 placement=column stage=1",
                                     "relu placement=column stage=1", "linear 5 placement=row stage=1"});
  const auto rows = trained(model, {.data = 2, .pipeline = 2, .tensor = 2}, 2);
  // Both tensor ranks send their partial sums [n, 6], and later the whole gradients, to their peer.
  const std::int64_t crossing = 2 * samples * 6 * element;
  const Sums send{.payload = crossing, .sent = crossing}, receive{.payload = crossing, .received = crossing};
  // Of a tensor rank: 13·4 + 4 and 6·4 + 6, then 6·4 + 4 and 5·4 + 5; two of each, in pairs of data ranks.
  const std::int64_t parameters = 2 * (13 * 4 + 4 + 6 * 4 + 6 + 6 * 4 + 4 + 5 * 4 + 5);
  // The loss: two float64 over data and pipeline, a group of four for each tensor rank.
  expect_rows(rows, {{{Axis::pipeline, Operation::send, Purpose::activation}, send},
                     {{Axis::pipeline, Operation::receive, Purpose::activation}, receive},
                     {{Axis::pipeline, Operation::send, Purpose::activation_gradient}, send},
                     {{Axis::pipeline, Operation::receive, Purpose::activation_gradient}, receive},
                     {{Axis::tensor, Operation::all_reduce, Purpose::activation},
                      ring(2, 2 * samples * (6 + 5), samples * (6 + 5))},
                     {{Axis::tensor, Operation::all_reduce, Purpose::activation_gradient},
                      ring(2, 2 * samples * 6, samples * 6)},
                     {{Axis::data, Operation::all_reduce, Purpose::gradient},
                      ring(2, 2 * steps * parameters, steps * parameters)},
                     {{Axis::data_pipeline, Operation::all_reduce, Purpose::metric},
                      ring(4, 8 * steps * 2, 2 * steps * 2)}});
}

/// Buckets of layers of 13·7 + 7, 7·7 + 7 and 7·5 + 5 parameters, which no number of ranks divides, of one
/// layer each. Shares are scattered and gathered for each of them: (p − 1)·n elements sent, and as many
/// received, by all ranks together.
TEST(DecompositionTraffic, SharesAreScatteredOnceAndGatheredAtTheEndOrForEachUse) {
  using step::Gather;
  using step::Split;
  const std::int64_t p = world().size(), n = 98 + 56 + 40;
  const auto model = model_of("13", {"linear 7", "tanh", "linear 7", "tanh", "linear 5"});
  const auto moved = [&](std::int64_t elements, std::int64_t times) {
    const std::int64_t sent = times * (p - 1) * elements * element;
    return Sums{.payload = times * p * elements * element, .sent = sent, .received = sent};
  };
  struct Case {
    Split split;
    Gather gather;
    int microbatches;
    std::int64_t gathered;  ///< elements of a step
  };
  // Forward 98, 56, 40, backward 40 (the same use), 56: the lowest layer has no gradient to give. Two
  // micro-batches, one after the other: 98, 56, 40, 56 twice.
  for (const auto& c : {Case{Split::state, Gather::use, 1, n}, Case{Split::gradient, Gather::use, 1, n},
                        Case{Split::gradient, Gather::use, 2, n}, Case{Split::parameter, Gather::step, 2, n},
                        Case{Split::parameter, Gather::use, 1, n + 56},
                        Case{Split::parameter, Gather::use, 2, 2 * (n + 56)}}) {
    const auto rows = trained(model, {.data = world().size()}, c.microbatches, kernels::OptimizerRule::adam,
                              [&](plan::Request& request) {
                                request.split = c.split;
                                request.gather = c.gather;
                                request.bucket_bytes = kernels::Bytes(1);
                              });
    SCOPED_TRACE(std::string(to_string(c.split)) + " by " + std::string(to_string(c.gather)) + ", " +
                 std::to_string(c.microbatches) + " micro-batches");
    expect_rows(rows,
                {{{Axis::data, Operation::reduce_scatter, Purpose::gradient}, moved(n, steps)},
                 {{Axis::data, Operation::all_gather, Purpose::parameter}, moved(c.gathered, steps)},
                 {{Axis::data, Operation::all_gather, Purpose::norm}, moved(p, steps)},
                 {{Axis::data, Operation::all_reduce, Purpose::metric}, ring(p, 2 * steps * p, 2 * steps)}});
  }
}

}  // namespace
}  // namespace partita::tests
