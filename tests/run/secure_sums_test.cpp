/// Secure sums: whole numbers that ranks add up under masks are those of a plain sum in fixed point, to the
/// bit; nobody sends what it hides; what does not fit loses a step on all ranks; restarts make new keys.
#include <gtest/gtest.h>
#include <mpi.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <set>

#include "harness.hpp"
#include "partita/cost/work.hpp"
#include "partita/execute/masks.hpp"
#include "partita/kernels/fixed_point.hpp"
#include "partita/results/checkpoint.hpp"
#include "partita/step/compression.hpp"
#include "partita/step/traffic.hpp"
#include "shared_folder.hpp"
#include "trained.hpp"

namespace partita::tests {
namespace {

using collective::Algorithm;
using kernels::Codec;
using kernels::DataType;
using kernels::Elements;
using Whole = std::vector<std::int32_t>;

/// The messages that this rank sends, in words of 32 bits, while somebody asks.
std::vector<Whole>* witnessed = nullptr;

std::vector<Whole> messages_of_a_step(Harness& harness, std::int64_t samples) {
  std::vector<Whole> messages;
  witnessed = &messages;
  harness.step(0, samples, samples);
  witnessed = nullptr;
  return messages;
}
Whole words_of(const std::vector<Whole>& messages) {
  Whole words;
  for (const auto& message : messages)
    words.insert(words.end(), message.begin(), message.end());
  return words;
}

/// A multiple of 2⁻²⁴, as the secure sums of these tests have it.
std::int32_t whole_of(float value) {
  return static_cast<std::int32_t>(std::nearbyint(static_cast<double>(value) * 0x1p24));
}

step::Compression secure(int bits = 24) { return {.codec = Codec::secure, .bits = bits}; }

Decomposition on(topology::GridExtent grid, int microbatches = 1, step::Compression by = secure()) {
  return {.net = 1,
          .grid = grid,
          .schedule = step::Schedule::one_f_one_b,
          .microbatches = microbatches,
          .placing = grid.tensor > 1 ? Placing::column : Placing::cheapest,
          .compression = by};
}

/// Of all ranks: data ranks alone, with stages, with shares of layers, and what else of a step changes sums.
std::vector<Decomposition> decompositions() {
  const int p = world().size();
  std::vector<Decomposition> all{on({.data = p}), on({.data = p}, 2)};
  all.push_back(on({.data = p}));
  all.back().weights = {1, 5, 2, 7, 3, 4, 9, 2};
  all.back().weights.resize(static_cast<std::size_t>(p));
  if (p % 2 == 0) {
    all.push_back(on({.data = p / 2, .pipeline = 2}, 2));
    all.push_back(on({.data = p / 2, .tensor = 2}));
    all.push_back(on({.data = p / 2, .tensor = 2}));
    all.back().placing = Placing::batch;  // gradients are added over both axes
  }
  for (const auto split : {step::Split::state, step::Split::gradient, step::Split::parameter}) {
    all.push_back(on({.data = p}));
    all.back().split = split;
  }
  all.push_back(on({.data = p}));
  all.back().cadence.is_delayed = true;
  return all;
}

/// Of a grid, made once: that takes most of a test's time.
comm::Axes& axes_of(const topology::GridExtent& grid) {
  constexpr topology::Axis data[] = {topology::Axis::data};
  const bool only_data = grid.size() == grid.data;
  static auto* const known = new std::map<std::string, comm::Axes>;
  return known
      ->try_emplace(to_string(grid), world(), grid,
                    only_data ? std::span<const topology::Axis>(data) : topology::axes)
      .first->second;
}
Harness::Options shared(const Decomposition& d, Harness::Mutate mutate = {},
                        Algorithm algorithm = Algorithm::ring) {
  return {.mutate = std::move(mutate), .algorithm = algorithm, .axes = &axes_of(d.grid)};
}

/// A perceptron of three weights, fewer than ranks.
Case tiny() {
  auto c = cases()[4];
  c.model = model_of("1", {"linear 3 bias=false"}, "mse");
  c.data = random_data(data::Task::regression, {1}, 23);
  return c;
}

template <class T>
std::vector<T> values_of(Harness& harness, const step::Bucket& bucket) {
  const auto values =
      harness.parameters().memory_of(harness.program().slots[bucket.gradients.front()]).as<T>();
  return {values.begin(), values.end()};
}

/// This rank's gradients of a batch, which nobody adds up.
template <class T>
std::vector<std::vector<T>> own_gradients(const Case& c, const Decomposition& d, kernels::Backend& backend,
                                          std::int64_t samples) {
  const auto drop = [](step::Program& program) {
    std::erase_if(program.instructions, [&](const step::Instruction& i) {
      const bool of_gradients =
          i.transfer && program.transfers[*i.transfer].purpose == collective::Purpose::gradient;
      const bool is_code = i.kind == step::Kind::encode || i.kind == step::Kind::decode;
      return of_gradients || (is_code && i.bucket) || i.kind == step::Kind::norm ||
             i.kind == step::Kind::update;
    });
  };
  Harness harness(c, d, backend, shared(d, drop));
  harness.step(0, samples, samples);
  std::vector<std::vector<T>> gradients;
  for (const auto& bucket : harness.program().buckets)
    gradients.push_back(values_of<T>(harness, bucket));
  return gradients;
}

/// Everybody's values, by rank.
template <class T>
std::vector<std::vector<T>> gather(comm::Communicator& ranks, const std::vector<T>& mine) {
  std::vector<std::vector<T>> all;
  for (const auto& text :
       ranks.all_gather_text({reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(T)},
                             collective::Purpose::control)) {
    all.emplace_back(text.size() / sizeof(T));
    std::memcpy(all.back().data(), text.data(), text.size());
  }
  return all;
}

/// Of each bucket the plain sum of whole multiples of 2⁻²⁴.
template <class T>
void expect_plain_sums(const Case& c, const Decomposition& d, kernels::Backend& backend,
                       std::span<const Algorithm> algorithms) {
  const std::int64_t samples = std::min(c.batch, c.data.train.samples.value());
  const auto own = own_gradients<T>(c, d, backend, samples);
  for (const auto algorithm : algorithms) {
    Harness harness(c, d, backend, shared(d, {}, algorithm));
    harness.step(0, samples, samples);
    harness.executor().settle();
    std::size_t b = 0, different = 0;
    for (const auto& bucket : harness.program().buckets) {
      const auto sums = values_of<T>(harness, bucket);
      if (bucket.axis == topology::Axis::none) continue;
      const auto of_ranks = gather(harness.axes().along(bucket.axis), own[b++]);
      const auto part = harness.program().own(bucket, harness.at().data);
      for (auto i = static_cast<std::size_t>(part.begin); i < static_cast<std::size_t>(part.end); ++i) {
        double sum = 0;
        for (const auto& values : of_ranks)
          sum += std::nearbyint(static_cast<double>(values[i]) * 0x1p24);
        const T expected = static_cast<T>(sum * 0x1p-24);
        different += std::memcmp(&sums[i], &expected, sizeof expected) != 0;
      }
    }
    EXPECT_EQ(different, 0U) << to_string(d) << ", by " << to_string(algorithm);
  }
}

TEST(SecureSums, AreThoseOfFixedPointBitByBit) {
  const auto single = kernels::make_reference_backend(DataType::float32),
             twofold = kernels::make_reference_backend(DataType::float64);
  const auto c = cases()[1];
  constexpr Algorithm ring[] = {Algorithm::ring}, window[] = {Algorithm::window};
  bool is_single = false;
  for (const auto& d : decompositions())
    if ((is_single = !is_single))
      expect_plain_sums<float>(c, d, *single, ring);
    else
      expect_plain_sums<double>(c, d, *twofold, window);
}

TEST(SecureSums, AreTheSameByEveryAlgorithm) {
  const auto backend = kernels::make_reference_backend(DataType::float32);
  auto d = on({.data = world().size()});
  expect_plain_sums<float>(tiny(), d, *backend, collective::algorithms());
  d.net = 0;
  expect_plain_sums<float>(cases()[0], d, *backend, collective::algorithms());
}

/// What goes round the ring is masked until it is the sum of all. None of its words is what this rank hides
/// but by chance, and no two steps send the same.
TEST(SecureSums, SendNothingThatIsNotMasked) {
  const auto backend = kernels::make_reference_backend(DataType::float32);
  const auto c = cases()[1];
  const auto d = on({.data = world().size()});
  std::set<std::int32_t> hidden, told;
  for (const auto& bucket : own_gradients<float>(c, d, *backend, c.batch))
    for (const float value : bucket)
      hidden.insert(whole_of(value));
  Harness harness(c, d, *backend, shared(d));
  harness.executor().prepare(c.batch);  // ranks agree on what they plan
  Whole first, second;
  for (auto* words : {&first, &second}) {
    *words = words_of(messages_of_a_step(harness, c.batch));
    for (const auto& bucket : harness.program().buckets)
      for (const float value : values_of<float>(harness, bucket))
        told.insert(whole_of(value));
  }
  std::erase_if(hidden, [&](std::int32_t word) { return told.contains(word); });
  ASSERT_GT(hidden.size(), 100U);
  ASSERT_GT(first.size(), 200U);
  ASSERT_EQ(first.size(), second.size());
  std::ptrdiff_t shown = 0, equal = 0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    shown += hidden.contains(first[i]);
    equal += first[i] == second[i] && !told.contains(first[i]);
  }
  EXPECT_LE(shown, 1);
  EXPECT_LE(equal, 5);  // of what watchdogs tell
}

/// Losses are 5 words of 64 bits, of which the ring brings each to the others once as the sum of all, small
/// as it is, and as often masked, when none is small but by chance.
TEST(SecureSums, SendNoLossThatIsNotMasked) {
  const auto backend = kernels::make_reference_backend(DataType::float32);
  const auto c = cases()[1];
  const auto d = on({.data = world().size()});
  Harness harness(c, d, *backend, shared(d));
  harness.executor().prepare(c.batch);
  int small = 0;
  for (const auto& message : messages_of_a_step(harness, c.batch)) {
    std::array<std::int64_t, 2> words{INT64_MAX, INT64_MAX};
    if (message.size() > 4) continue;  // of a bucket
    std::memcpy(words.data(), message.data(), message.size() * sizeof(std::int32_t));
    small += static_cast<int>(std::ranges::count_if(
        words, [](std::int64_t word) { return std::abs(word) < std::int64_t{1} << 40; }));
  }
  EXPECT_GE(small, 3);
  EXPECT_LE(small, 5);
}

/// Two layers as large as each other: what their messages differ by would else be what gradients do.
TEST(SecureSums, MaskNoTwoMessagesOfAStepAlike) {
  const auto backend = kernels::make_reference_backend(DataType::float32);
  auto c = cases()[4];
  c.model = model_of("13",
                     {"linear 24 bias=false", "tanh", "linear 24 bias=false", "tanh", "linear 24 bias=false",
                      "tanh", "linear 3 bias=false"},
                     "mse");
  const auto d = on({.data = world().size()});
  const auto own = own_gradients<float>(c, d, *backend, c.batch);
  std::set<std::int32_t> differences;
  for (const auto& one : own)
    for (const auto& other : own)
      for (std::size_t i = 0; &one != &other && one.size() == other.size() && i < one.size(); ++i)
        differences.insert(whole_of(one[i]) - whole_of(other[i]));
  ASSERT_GT(differences.size(), 100U);
  Harness harness(c, d, *backend, shared(d));
  harness.executor().prepare(c.batch);
  const auto messages = messages_of_a_step(harness, c.batch);
  std::set<std::int32_t> told;
  for (const auto& bucket : harness.program().buckets)
    for (const float value : values_of<float>(harness, bucket))
      told.insert(whole_of(value));
  std::ptrdiff_t shown = 0;
  for (const auto& one : messages)
    for (const auto& other : messages)
      for (std::size_t i = 0; &one != &other && one.size() == other.size() && i < one.size(); ++i) {
        const auto difference = static_cast<std::uint32_t>(one[i]) - static_cast<std::uint32_t>(other[i]);
        shown += !told.contains(one[i]) && differences.contains(static_cast<std::int32_t>(difference));
      }
  EXPECT_LE(shown, 2);
}

/// Of any ranks, those short of all have no mask less than before.
TEST(SecureSums, HideAllButTheSumOfAll) {
  for (const int p : {2, 3, 5}) {
    std::vector<base::KeyPair> pairs(static_cast<std::size_t>(p));
    std::vector<base::Key> keys;
    for (const auto& pair : pairs)
      keys.push_back(pair.public_key());
    constexpr std::size_t n = 5000;  // more than a block of the stream
    Whole sum(n);
    std::vector<std::int64_t> twofold_sum(n);
    for (int rank = 0; rank < p; ++rank) {
      execute::Masks masks(pairs[static_cast<std::size_t>(rank)], rank, keys, "run", "data");
      Whole message(n, 7 * rank);
      std::vector<std::int64_t> twofold(n, -3 * rank);
      masks.add(kernels::View(std::span(message)), {.step = 4, .message = 2});
      masks.add(kernels::View(std::span(twofold)), {.step = 4, .message = 3});
      EXPECT_LE(std::ranges::count(message, 7 * rank), 2);
      for (std::size_t i = 0; i < n; ++i) {
        sum[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(sum[i]) +
                                           static_cast<std::uint32_t>(message[i]));
        twofold_sum[i] = static_cast<std::int64_t>(static_cast<std::uint64_t>(twofold_sum[i]) +
                                                   static_cast<std::uint64_t>(twofold[i]));
      }
      const int plain = 7 * rank * (rank + 1) / 2;
      const auto matches = std::ranges::count(sum, plain);
      EXPECT_TRUE(rank + 1 == p ? matches == std::ssize(sum) : matches <= 2) << matches;
    }
    EXPECT_EQ(std::ranges::count(twofold_sum, -3 * p * (p - 1) / 2), std::ssize(twofold_sum));
  }
}

TEST(SecureSums, RoundToTheNearestAndTellWhatDoesNotFit) {
  using kernels::Fit;
  for (const int p : {1, 2, 3, 7, 1000}) {
    EXPECT_LT(kernels::largest_term(p) * p, std::int64_t{1} << 31);
    EXPECT_GE((kernels::largest_term(p) + 1) * p, std::int64_t{1} << 31);
  }
  std::vector<double> x{0.5, 1.5, -2.5, 0.3125, -0.0, 25};
  Whole whole(x.size());
  EXPECT_EQ(kernels::to_fixed_point(std::span(x), 2, 100, std::span(whole)), Fit::all);
  EXPECT_EQ(whole, (Whole{2, 6, -10, 1, 0, 100}));
  kernels::from_fixed_point(std::span(whole), 2, std::span(x));
  EXPECT_EQ(x, (std::vector<double>{0.5, 1.5, -2.5, 0.25, 0, 25}));
  x[1] = -25.125 - 0.01;  // rounds to -101
  EXPECT_EQ(kernels::to_fixed_point(std::span(x), 2, 100, std::span(whole)), Fit::too_large);
  EXPECT_EQ(whole[1], 0);
  x[2] = NAN;
  EXPECT_EQ(kernels::to_fixed_point(std::span(x), 2, 100, std::span(whole)), Fit::not_finite);
  x[2] = 1e300;
  EXPECT_EQ(kernels::to_fixed_point(std::span(x), 2, 100, std::span(whole)), Fit::too_large);
}

/// The first sample, which one data rank has, has a gradient that is too large; steps that are delayed use it
/// one step later.
TEST(SecureSums, LoseAStepWhoseGradientsDoNotFitOnAllRanks) {
  const auto backend = kernels::make_reference_backend(DataType::float32);
  auto c = cases()[4];
  c.data.train.targets[0] = 1000;
  for (auto d : decompositions()) {
    d.compression = secure(22);
    Harness harness(c, d, *backend, shared(d));
    const auto weights = [&] {
      const auto bytes = harness.parameters().weights_on_host();
      return std::string(static_cast<const char*>(bytes.data()),
                         static_cast<std::size_t>(bytes.bytes().value()));
    };
    std::vector<bool> changed;
    for (const std::int64_t begin : {10, 0, 10, 10}) {
      const auto before = weights();
      harness.step(begin, 10, begin == 0 ? 1 : 10);
      changed.push_back(weights() != before);
    }
    const auto expected =
        d.cadence.is_delayed ? std::vector{false, true, false, true} : std::vector{true, false, true, true};
    EXPECT_EQ(changed, expected) << to_string(d);
    EXPECT_EQ(harness.executor().lost_steps(), 1) << to_string(d);
    EXPECT_FALSE(harness.executor().non_finite_step()) << to_string(d);
  }
}

/// As without the step, to the bit; of delayed ones the lost update is a step later.
TEST(SecureSums, LostStepsCountInNoCorrection) {
  const auto backend = kernels::make_reference_backend(DataType::float32);
  auto c = tiny();
  c.data.train.targets[0] = 1e5;
  for (const auto rule : {kernels::OptimizerRule::adam, kernels::OptimizerRule::lamb})
    for (const bool is_delayed : {false, true}) {
      auto d = on({.data = world().size()}, 1, secure(22));
      d.rule = rule, d.cadence.is_delayed = is_delayed;
      std::vector<Tensors> ends;
      for (const bool loses : {true, false}) {
        Harness harness(c, d, *backend, shared(d));
        if (loses) harness.step(0, 10, 10);
        for (int step = 0; step < 2; ++step)
          harness.step(10, 10, 10);
        harness.executor().settle();
        EXPECT_EQ(harness.executor().lost_steps(), loses ? 1 : 0);
        EXPECT_EQ(harness.parameters().first_update(), loses ? 1 : 0);
        ends.push_back(harness.gather_parameters());
      }
      for (std::size_t t = 0; t < ends[0].size(); ++t)
        EXPECT_TRUE(ends[0][t].values == ends[1][t].values) << to_string(d);
    }
}

/// The first update of adam goes as far as the learning rate says, though a step was lost before it; also
/// where the run goes on from a checkpoint behind that step.
TEST(SecureSums, AFirstUpdateIsWholeBehindALostStep) {
  const auto backend = kernels::make_reference_backend(DataType::float64);
  auto c = tiny();
  c.data.train.targets[0] = 1e5;
  auto d = on({.data = world().size()}, 1, secure(22));
  d.rule = kernels::OptimizerRule::adam;
  const SharedFolder folder;
  std::vector<Tensors> ends;
  for (int run = 0; run < 2; ++run) {
    auto options = options_for(c, d);
    options.shuffle = false, options.steps = 2;
    options.optimizer.epsilon = 1e-12, options.optimizer.weight_decay = 0;
    options.checkpoint = {.dir = run == 0 ? folder.path() : std::filesystem::path(), .every = 1, .keep = 9};
    auto training = training_of(c.model, options, *backend, world(), c.data);
    const auto begin = training.gather_parameters(state::Receivers::all);
    if (run == 1) {
      const auto at = results::checkpoint_folder(folder.path(), 1);
      training.restore(at, results::read_manifest(at), {});
    }
    EXPECT_EQ(training.run({}), run::Outcome::complete);
    EXPECT_EQ(training.executor().lost_steps(), run == 0 ? 1 : 0);
    ends.push_back(training.gather_parameters(state::Receivers::all));
    for (std::size_t i = 0; i < begin[0].values.size(); ++i)
      EXPECT_NEAR(std::abs(ends.back()[0].values[i] - begin[0].values[i]), options.learning_rate.base, 1e-9);
  }
  EXPECT_TRUE(ends[0][0].values == ends[1][0].values);
}

/// One rank alone has infinite gradients; the loss is finite.
TEST(SecureSums, TellAllRanksOfAGradientThatIsNotFinite) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto c = with_infinite_gradients(1);
  for (const bool is_delayed : {false, true}) {
    auto d = on({.data = world().size()}, 1, secure(16));
    d.cadence.is_delayed = is_delayed;
    auto options = options_for(c, d);
    options.steps = 2, options.shuffle = false;
    auto training = training_of(c.model, options, *backend, world(), c.data);
    forget_large_feature(training);
    const auto before = training.gather_parameters(state::Receivers::all);
    EXPECT_EQ(training.run({}), run::Outcome::diverged);
    EXPECT_TRUE(std::isfinite(training.steps().front().loss));
    const auto after = training.gather_parameters(state::Receivers::all);
    EXPECT_EQ(training.executor().lost_steps(), 0);
    for (std::size_t t = 0; t < before.size(); ++t)
      EXPECT_TRUE(before[t].values == after[t].values);
  }
}

/// Of one step: each of p ranks rounds by up to 2⁻ᶠ⁻¹, and the step goes η of that. In all of a training what
/// momentum makes of it, up to 1 ÷ (1 − µ), adds up; that gradients follow the parameters, a factor of 4
/// allows for.
TEST(SecureSums, TrainAsPlainSumsDoButForRounding) {
  const auto backend = kernels::make_reference_backend(DataType::float64);
  const auto c = cases()[0];
  int steps = 20;
  for (auto d : decompositions()) {
    steps = 21 - steps;  // 1 and 20 in turn
    const int bits = steps == 1 ? 16 : 24;
    const double ranks = d.placing == Placing::batch ? world().size() : d.grid.data;
    std::vector<Tensors> ends;
    for (const auto& by : {secure(bits), step::Compression{}}) {
      d.compression = by;
      Harness harness(c, d, *backend, shared(d));
      steps == 1 ? static_cast<void>(harness.step(0, c.batch, c.batch)) : harness.train();
      harness.executor().settle();
      ends.push_back(harness.gather_parameters());
    }
    const double rate = 0.05, momentum = 0.9, of_step = rate * ranks * std::ldexp(1, -bits - 1);
    const double bound = steps == 1 ? of_step : 4 * steps * of_step / (1 - momentum);
    double farthest = 0;
    for (std::size_t t = 0; t < ends[0].size(); ++t)
      for (std::size_t i = 0; i < ends[0][t].values.size(); ++i)
        farthest = std::max(farthest, std::abs(ends[0][t].values[i] - ends[1][t].values[i]));
    EXPECT_LE(farthest, bound + 1e-13) << to_string(d) << ", " << steps << " steps";
    EXPECT_EQ(farthest > 0, steps > 1 || !d.cadence.is_delayed) << to_string(d);
  }
}

/// Also what a step holds at most, and that losses are those of all.
TEST(SecureSums, LeaveTheSameBitsOnAllRanks) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto c = cases()[1];
  auto d = decompositions().back();
  train(c, d, *backend);
  double losses[2];
  for (double& loss : losses) {
    auto options = options_for(c, d);
    options.steps = 1;
    auto training = training_of(c.model, options, *backend, world(), c.data);
    training.run({});
    loss = training.steps().front().loss;
    d.compression = {};
  }
  EXPECT_NEAR(losses[0], losses[1], world().size() * 0x1p-25 + 1e-12);
}

/// Keys are new behind a restart, and sums the same.
TEST(SecureSums, GoOnFromACheckpointBitByBit) {
  const auto backend = kernels::make_reference_backend(DataType::float32);
  const auto c = cases()[1];
  auto d = on({.data = world().size()});
  d.cadence.is_delayed = true;  // a message is under way
  const SharedFolder folder;
  std::vector<Tensors> ends;
  for (int run = 0; run < 3; ++run) {
    auto options = options_for(c, d);
    options.checkpoint = {.dir = run == 1 ? folder.path() : std::filesystem::path(), .every = 7, .keep = 9};
    auto training = training_of(c.model, options, *backend, world(), c.data);
    if (run == 2) {
      const auto at = results::checkpoint_folder(folder.path(), 7);
      training.restore(at, results::read_manifest(at), {});
    }
    EXPECT_EQ(training.run({}), run::Outcome::complete);
    ends.push_back(training.gather_parameters(state::Receivers::all));
  }
  for (const auto& end : {ends[1], ends[2]})
    for (std::size_t t = 0; t < end.size(); ++t)
      EXPECT_TRUE(ends[0][t].values == end[t].values);
}

/// 32 bytes to all others of a group go round its ring.
TEST(SecureSums, SendPublicKeysAtTheStart) {
  const auto c = cases()[1];
  const auto backend = kernels::make_reference_backend(DataType::float32);
  const int p = world().size();
  for (const auto& d : decompositions()) {
    const auto sent = [&] {
      std::int64_t bytes = 0;
      for (const auto& row : world().ledger().rows(0))
        if (row.key.activity == collective::Activity::setup &&
            row.key.operation == collective::Operation::all_gather &&
            row.key.purpose == collective::Purpose::gradient)
          bytes += row.counts.wire_bytes.value();
      return bytes;
    };
    const auto before = sent();
    Harness harness(c, d, *backend, shared(d));
    const int others = d.placing == Placing::batch ? p - 1 : d.grid.data - 1;  // of a bucket
    const bool has_stages = d.grid.pipeline > 1;  // of which those of all data ranks add up losses
    EXPECT_EQ(sent() - before, 32 * (others + (has_stages ? p - 1 : 0))) << to_string(d);
    EXPECT_EQ(step::sent_keys(harness.program()).value(), sent() - before) << to_string(d);
  }
}

TEST(SecureSums, TakeTheirBytesOfMemoryAndOfTheWire) {
  const int p = world().size();
  const auto model = model_of("784", {"linear 128", "relu", "linear 10"});
  for (const auto type : {DataType::float32, DataType::float64})
    for (const bool is_delayed : {false, true}) {
      const auto plan = plan::choose(model, {.grid = {.data = p},
                                             .batch = 64,
                                             .bucket_bytes = kernels::Bytes(1 << 20),
                                             .compression = secure(),
                                             .cadence = {.is_delayed = is_delayed}});
      const auto program = step::build_training_program(model, plan, {}, {.type = type});
      const std::int64_t n = 101'770;
      EXPECT_EQ(step::codec_state(program).value(), is_delayed ? 2 * 4 * n : 0);
      std::int64_t messages = 0;
      for (const auto& slot : program.slots) {
        if (slot.role == step::SlotRole::message) messages += bytes_of(slot.type, slot.fixed).value();
        EXPECT_FALSE(slot.in_window);
      }
      EXPECT_EQ(messages, 4 * n * (is_delayed ? 2 : 1) + 40);
      for (const auto& i : program.instructions) {
        if (i.kind != step::Kind::encode && i.kind != step::Kind::decode) continue;
        const double words = i.bucket ? static_cast<double>(n) : 10;
        EXPECT_EQ(cost::work_of(program, i, 0).flops,
                  words * (i.kind == step::Kind::encode ? 4 + 61 * (p - 1) : 4));
      }
      std::int64_t coded = 0, dense = 0;
      for (int rank = 0; rank < p; ++rank) {
        std::vector<int> nodes(static_cast<std::size_t>(p));
        for (int r = 0; r < p; ++r)
          nodes[static_cast<std::size_t>(r)] = r;
        const auto of_rank = step::coded_traffic(program, rank, 64, {.node_of = nodes});
        coded += of_rank.coded.value(), dense += of_rank.dense.value();
      }
      EXPECT_EQ(coded, 4 * 2 * (p - 1) * n);
      EXPECT_EQ(dense, kernels::size_of(type) * 2 * (p - 1) * n);
    }
}

}  // namespace
}  // namespace partita::tests

extern "C" int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                         MPI_Request* request) {
  int size = 0;
  PMPI_Type_size(type, &size);
  const auto bytes = static_cast<std::size_t>(size) * static_cast<std::size_t>(count);
  if (auto* const messages = partita::tests::witnessed; messages != nullptr && bytes > 0) {
    auto& words = messages->emplace_back(bytes / sizeof(std::int32_t));
    std::memcpy(words.data(), data, words.size() * sizeof(std::int32_t));
  }
  return PMPI_Isend(data, count, type, to, tag, comm, request);
}
