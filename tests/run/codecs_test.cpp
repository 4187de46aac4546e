/// Gradients that are sent by codecs: what was applied and what ranks keep make up the gradients, ranks that
/// hold the same parameters hold the same bits, a gradient too large for fp16 loses a step on all ranks, and
/// a restart loses nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "covering_array.hpp"
#include "harness.hpp"
#include "partita/results/checkpoint.hpp"
#include "partita/step/compression.hpp"
#include "shared_folder.hpp"
#include "trained.hpp"

namespace partita::tests {
namespace {

using kernels::Codec;
using kernels::Elements;
using Vector = std::vector<double>;

/// A rank of a training in float64 that takes the same batch again and again from the same parameters.
class FromTheStart {
 public:
  FromTheStart(const Case& c, const Decomposition& d, kernels::Backend& backend)
      : harness_(c, d, backend), samples_(std::min(c.batch, c.data.train.samples.value())) {
    start_ = weights();
  }

  /// What a step took from this rank's parameters.
  Vector step() {
    harness_.step(0, samples_, samples_);
    const auto end = weights();
    Vector change(start_.size());
    std::ranges::transform(start_, end, change.begin(), std::minus());
    harness_.parameters().edit([&](kernels::View all, std::span<const kernels::View> states) {
      std::ranges::copy(start_, all.as<double>().begin());
      for (const auto& state : states)
        std::ranges::fill(state.as<double>(), 0.0);
    });
    return change;
  }

  /// What all ranks that have a part of this rank's parameters keep of its gradient.
  Vector kept() {
    Vector all(start_.size());
    const auto& program = harness_.program();
    for (const auto& bucket : program.buckets) {
      if (!bucket.coding || !bucket.coding->residual) continue;
      const auto values =
          harness_.parameters().memory_of(program.slots[*bucket.coding->residual]).as<double>();
      Vector sum(values.begin(), values.end());
      harness_.axes()
          .along(bucket.axis)
          .all_reduce(std::span(sum), comm::Combine::sum, collective::Purpose::control);
      const auto own = program.holds_share(bucket) ? program.own(bucket, harness_.at().data)
                                                   : topology::Range{0, bucket.count.value()};
      std::copy(sum.begin() + own.begin, sum.begin() + own.end,
                all.begin() + program.slots[bucket.parameters].first.value());
    }
    return all;
  }

 private:
  Vector weights() {
    const auto values = harness_.parameters().weights_on_host().as<double>();
    return {values.begin(), values.end()};
  }

  Harness harness_;
  std::int64_t samples_;
  Vector start_;
};

/// Σ applied + Σ residuals = Σ gradients, over some steps.
void expect_kept_sums(const Case& c, Decomposition d, kernels::Backend& backend) {
  d.rule = kernels::OptimizerRule::sgd;
  d.compression.residuals = true;
  FromTheStart coded(c, d, backend);
  const auto what = to_string(d);
  d.compression = {};
  FromTheStart dense(c, d, backend);
  const double rate = options_for(c, d).learning_rate.base;
  Vector applied, gradients;
  double largest = 0;
  for (int step = 0; step < 4; ++step) {
    const auto by_codec = coded.step(), exact = dense.step();
    applied.resize(exact.size()), gradients.resize(exact.size());
    for (std::size_t i = 0; i < exact.size(); ++i) {
      applied[i] += by_codec[i] / rate, gradients[i] += exact[i] / rate;
      largest = std::max(largest, std::abs(gradients[i]));
    }
  }
  const auto kept = coded.kept();
  double wrong = 0;
  for (std::size_t i = 0; i < kept.size(); ++i)
    wrong = std::max(wrong, std::abs(applied[i] + kept[i] - gradients[i]));
  EXPECT_LE(wrong, 1e-12 * std::max(1.0, largest)) << what;
}

/// On more ranks than two, which share cores, one in three from `first` on; `--full` takes all.
std::vector<Decomposition> some_of(const std::vector<Decomposition>& all, std::size_t first = 0) {
  const std::size_t one_in = std::getenv("PARTITA_EVERY_CASE") || world().size() == 2 ? 1 : 3;
  std::vector<Decomposition> some;
  for (std::size_t i = first % one_in; i < all.size(); i += one_in)
    some.push_back(all[i]);
  return some;
}

/// Where ranks have parameters in common there is something to send.
bool has_codes(const Decomposition& d) { return d.grid.data * d.grid.tensor > 1; }

TEST(Codecs, KeepTheSumOfGradientsOnEveryPairOfChoices) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto nets = cases();
  for (const auto& d : some_of(with_codecs_in_turn(with_choices_in_turn(thinned(pairs_on_all_ranks())))))
    if (has_codes(d)) expect_kept_sums(nets[d.net], d, *backend);
}

Decomposition data_parallel(std::size_t net, Codec codec, bool residuals = true) {
  return {.net = net,
          .grid = {.data = world().size()},
          .schedule = step::Schedule::one_f_one_b,
          .microbatches = 1,
          .placing = Placing::cheapest,
          .compression = compressed(codec, residuals)};
}

TEST(Codecs, KeepTheSumOfGradientsOfDataRanks) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto nets = cases();
  std::vector<Decomposition> all;
  for (const auto codec : codecs)
    for (const auto split :
         {step::Split::none, step::Split::state, step::Split::gradient, step::Split::parameter}) {
      if (split != step::Split::none && !kernels::codes_values(codec)) continue;
      all.push_back(data_parallel(all.size() % nets.size(), codec));
      all.back().split = split;
    }
  for (const auto& d : some_of(all))
    expect_kept_sums(nets[d.net], d, *backend);
}

TEST(Codecs, LeaveTheSameBitsOnAllRanksThatHoldTheSameParameters) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto nets = cases();
  for (auto d : some_of(with_codecs_in_turn(with_choices_in_turn(thinned(pairs_on_all_ranks()))), 1))
    if (has_codes(d)) {
      d.rule = kernels::OptimizerRule::adam;
      train(nets[d.net], d, *backend);  // looks at the bits, and at the memory
    }
}

/// They train: their losses fall as those of whole gradients do, within what codes of tiny nets cost.
TEST(Codecs, Train) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto c = cases()[1];
  for (const auto codec : codecs) {
    auto options = options_for(c, data_parallel(1, codec));
    options.steps = 120;
    auto training = training_of(c.model, options, *backend, world(), c.data);
    training.run({});
    EXPECT_LT(training.steps().back().loss, 0.75 * training.steps().front().loss) << to_string(codec);
  }
}

/// The scale of the loss is the first one, halved for each lost step.
TEST(Codecs, LoseAStepWhoseGradientIsTooLargeForFp16OnAllRanks) {
  const auto backend = kernels::make_cpu_backend(1);
  auto c = cases()[4];
  for (float& target : c.data.train.targets)
    target += 1000;  // gradients of hundreds, times 65536
  std::vector<Decomposition> all(3, data_parallel(4, Codec::fp16, false));
  all[1].split = step::Split::state;
  all[2].rule = kernels::OptimizerRule::lamb;
  all.push_back(with_servers(4, world().size(), {.count = 1}));
  all.back().compression = all.front().compression;
  for (const auto& d : all) {
    auto options = options_for(c, d);
    options.learning_rate.base = 1e-6;
    Vector losses;
    for (const std::int64_t steps : {1, 40}) {
      options.steps = steps;
      auto training = training_of(c.model, options, *backend, world(), c.data);
      const auto before = training.gather_parameters(state::Receivers::all);
      EXPECT_EQ(training.run({}), run::Outcome::complete);
      const auto after = training.gather_parameters(state::Receivers::all);
      const auto scale = training.parameters().loss_scale().as<double>();
      EXPECT_FALSE(training.executor().non_finite_step());
      EXPECT_EQ(before.front().values == after.front().values, steps == 1);
      EXPECT_GT(training.executor().lost_steps(), 0);
      if (steps == 1) {
        EXPECT_EQ(scale[0], 32768) << to_string(d);
        EXPECT_EQ(scale[1], 0);
      } else {
        EXPECT_LT(scale[0], 32768);
        EXPECT_GE(scale[0], 1);
        EXPECT_GT(scale[1], 0);
        EXPECT_LT(scale[1], 40);
      }
      EXPECT_TRUE(replicas_are_identical(training));
    }
  }
}

/// One rank alone has infinite gradients, of the weights of one feature, whose weights are 0: the loss is
/// finite.
TEST(Codecs, TellAllRanksOfAGradientThatIsNotFinite) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto c = with_infinite_gradients(1);
  for (const auto codec : codecs) {
    auto options = options_for(c, data_parallel(4, codec));
    options.steps = 1, options.shuffle = false;
    auto training = training_of(c.model, options, *backend, world(), c.data);
    forget_large_feature(training);
    const auto before = training.gather_parameters(state::Receivers::all);
    training.run({});
    const auto after = training.gather_parameters(state::Receivers::all);
    EXPECT_TRUE(std::isfinite(training.steps().front().loss)) << to_string(codec);
    EXPECT_TRUE(replicas_are_identical(training)) << to_string(codec);
    if (codec == Codec::fp16)
      EXPECT_EQ(training.parameters().loss_scale().as<double>()[0], 32768);
    else
      EXPECT_EQ(training.executor().non_finite_step(), 0) << to_string(codec);
    for (std::size_t t = 0; t < before.size(); ++t)
      EXPECT_TRUE(before[t].values == after[t].values) << to_string(codec);
  }
}

/// Ranks of the tensor axis that have the same tensors beside different ones, in one bucket.
TEST(Codecs, SendCopiesOfATensorAsEqualCodes) {
  const int p = world().size();
  if (p % 2 != 0) GTEST_SKIP() << "wants two tensor ranks";
  const auto backend = kernels::make_cpu_backend(1);
  auto c = cases()[0];
  c.model = model_of("13", {"linear 11 placement=column", "tanh", "linear 7 placement=row", "tanh",
                            "linear 6 placement=replicated", "linear 5 placement=row"});
  for (const auto codec : codecs)
    for (const int data : {p / 2, p}) {
      if (data == p && p == 2) continue;
      auto d = data_parallel(0, codec);
      d.grid = {.data = data, .tensor = data == p ? 1 : 2};
      auto options = options_for(c, d);
      options.split.bucket_bytes = kernels::Bytes(1 << 20);
      auto training = training_of(c.model, options, *backend, world(), c.data);
      training.run({});
      EXPECT_TRUE(replicas_are_identical(training)) << to_string(d);
    }
}

// Restarts.

struct Ended {
  Tensors tensors;
  Vector losses, carried, loss_scale;
};

/// As many steps, from a checkpoint of `cut` in `from` or, where that is empty, from the beginning.
constexpr std::int64_t cut = 8;
Ended train_from(const Case& c, const Decomposition& d, kernels::Backend& backend, std::int64_t steps,
                 const std::filesystem::path& from, const std::filesystem::path& to) {
  auto options = options_for(c, d);
  options.steps = steps;
  options.checkpoint = {.dir = to, .every = cut};
  const auto model = placed(c.model, d.placing);
  auto training = training_of(model, options, backend, world(), c.data);
  if (!from.empty()) {
    const auto folder = results::checkpoint_folder(from, cut);
    training.restore(folder, results::read_manifest(folder), {});
  }
  EXPECT_EQ(training.run({}), run::Outcome::complete);
  Ended ended{.tensors = training.gather_parameters(state::Receivers::all)};
  for (const auto& row : training.steps())
    ended.losses.push_back(row.loss);
  const auto& parameters = training.parameters();
  for (const auto view : {parameters.residuals(), parameters.basis()})
    for (const double value : view.as<double>())
      ended.carried.push_back(value);
  if (!parameters.loss_scale().empty())
    for (const double value : parameters.loss_scale().as<double>())
      ended.loss_scale.push_back(value);
  return ended;
}

bool equal(const Tensors& a, const Tensors& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) { return x.values == y.values; });
}

TEST(Codecs, GoOnFromACheckpointBitByBit) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto nets = cases();
  std::vector<Decomposition> all;
  for (const auto codec : codecs) {
    all.push_back(data_parallel(1 + all.size(), codec));
    if (!kernels::codes_values(codec)) continue;
    all.push_back(data_parallel(1 + all.size() % 7, codec));
    all.back().split = step::Split::gradient;
  }
  if (const int p = world().size(); p % 2 == 0)
    for (const auto codec : {Codec::sign, Codec::powersgd}) {
      all.push_back(data_parallel(1, codec));
      all.back().grid = {.data = p / 2, .tensor = 2};
    }
  for (const auto& d : some_of(all)) {
    if (!has_codes(d)) continue;
    const SharedFolder folder;
    const auto& c = nets[d.net];
    const auto whole = train_from(c, d, *backend, 20, {}, {});
    train_from(c, d, *backend, cut, {}, folder.path());
    const auto halves = train_from(c, d, *backend, 20, folder.path(), {});
    EXPECT_TRUE(equal(whole.tensors, halves.tensors)) << to_string(d);
    EXPECT_EQ(whole.carried, halves.carried) << to_string(d);
    EXPECT_EQ(whole.loss_scale, halves.loss_scale) << to_string(d);
    EXPECT_EQ(whole.loss_scale.empty(), d.compression.codec != Codec::fp16);
  }
}

/// What another codec, or another share, has no use for is sent once, not kept for ever.
TEST(Codecs, SendWhatAnotherCodecLeft) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto c = cases()[1];
  const SharedFolder folder;
  train_from(c, data_parallel(1, Codec::topk), *backend, cut, {}, folder.path());
  auto shares = data_parallel(1, Codec::sign);
  shares.split = step::Split::state;
  for (const auto& d : {data_parallel(1, Codec::powersgd), shares}) {
    auto options = options_for(c, d);
    options.steps = cut + 1;
    auto training = training_of(c.model, options, *backend, world(), c.data);
    const auto at = results::checkpoint_folder(folder.path(), cut);
    training.restore(at, results::read_manifest(at), {});
    const auto all = training.parameters().residuals().as<double>();
    EXPECT_FALSE(std::ranges::all_of(all, [](double value) { return value == 0; }));
    training.run({});
    const auto& program = training.program();
    for (const auto& bucket : program.buckets) {
      const auto values =
          training.parameters().memory_of(program.slots[*bucket.coding->residual]).as<double>();
      const auto expect_nothing = [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
          EXPECT_EQ(values[static_cast<std::size_t>(i)], 0) << to_string(d) << " at " << i;
      };
      if (d.split == step::Split::none)
        for (const auto& factored : step::factored_of(program, bucket)) {
          if (factored.matrix.rank == 0)
            expect_nothing(factored.first.value(), (factored.first + factored.count).value());
        }
      else
        expect_nothing(program.own(bucket, world().rank()).begin, program.own(bucket, world().rank()).end);
    }
  }
}

/// On another grid the sum of what ranks keep is the same, tensor by tensor.
TEST(Codecs, KeepTheSumOfResidualsOnAnotherGrid) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto c = cases()[1];
  const int p = world().size();
  const auto on = [&](const topology::GridExtent& grid, Placing placing) {
    return Decomposition{.net = 1,
                         .grid = grid,
                         .schedule = step::Schedule::one_f_one_b,
                         .microbatches = 1,
                         .placing = placing,
                         .compression = compressed(Codec::topk)};
  };
  std::vector<Decomposition> all{on({.data = p}, Placing::cheapest)};
  if (p % 2 == 0 && p > 2) {
    all.push_back(on({.data = 2, .tensor = p / 2}, Placing::row));
    all.push_back(on({.data = 2, .pipeline = p / 2}, Placing::cheapest));
    all.push_back(
        on({.data = 2, .tensor = p / 2}, Placing::replicated));  // as many copies as data ranks have
  }
  all.push_back(on({.tensor = p}, Placing::batch));  // whole tensors on all ranks
  all.push_back(with_servers(1, p, {.count = 1}));   // whose servers keep nothing
  all.back().compression = compressed(Codec::topk);
  // By layer and tensor, the sum over ranks of what each keeps, in the order of the tensor.
  const auto sums = [&](const run::Training& training) {
    std::map<std::tuple<int, int, std::int64_t>, double> mine;
    const auto carried = step::carried_by(training.roles());
    for (const auto& piece : carried.residuals[static_cast<std::size_t>(world().rank())])
      for (std::int64_t i = 0; i < piece.count.value() && !piece.is_copy; ++i) {
        const auto row = piece.piece.first_row + i / piece.piece.columns,
                   column = piece.piece.first_column + i % piece.piece.columns;
        mine[{piece.piece.layer, piece.piece.tensor, row * 1000 + column}] +=
            training.parameters().residuals().as<double>()[static_cast<std::size_t>(piece.first.value() + i)];
      }
    Vector numbers;
    for (const auto& [key, value] : mine) {
      const auto& [layer, tensor, at] = key;
      numbers.insert(numbers.end(), {1.0 * layer, 1.0 * tensor, static_cast<double>(at), value});
    }
    std::map<std::tuple<double, double, double>, double> total;
    for (const auto& rank : world().gather_rows(numbers, 0, collective::Purpose::control))
      for (std::size_t i = 0; i < rank.size(); i += 4)
        total[{rank[i], rank[i + 1], rank[i + 2]}] += rank[i + 3];
    return total;
  };
  for (const auto& from : all) {
    const SharedFolder folder;
    train_from(c, from, *backend, cut, {}, folder.path());
    const auto restored = [&](const Decomposition& d) {
      auto options = options_for(c, d);
      const auto model = placed(c.model, d.placing);
      auto training = training_of(model, options, *backend, world(), c.data);
      const auto at = results::checkpoint_folder(folder.path(), cut);
      training.restore(at, results::read_manifest(at), {});
      return sums(training);
    };
    const auto before = restored(from);
    for (const auto& to : all) {
      const auto after = restored(to);
      ASSERT_EQ(before.size(), after.size());
      double most = 0;
      for (auto a = before.begin(), b = after.begin(); a != before.end(); ++a, ++b) {
        EXPECT_EQ(a->first, b->first);
        EXPECT_NEAR(a->second, b->second, 1e-14) << to_string(from) << " to " << to_string(to);
        most = std::max(most, std::abs(a->second));
      }
      if (world().rank() == 0) {
        EXPECT_GT(most, 0);
      }
    }
  }
}

}  // namespace
}  // namespace partita::tests
