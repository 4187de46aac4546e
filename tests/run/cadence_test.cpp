/// Steps that are not all alike: delayed updates against the recurrence that they are, local steps against
/// ranks that one process plays, one after the other; the ledger against what programs say of each kind of
/// step; restarts, and numbers that are not finite.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "covering_array.hpp"
#include "partita/results/checkpoint.hpp"
#include "partita/step/traffic.hpp"
#include "players.hpp"
#include "shared_folder.hpp"

namespace partita::tests {
namespace {

using kernels::Elements;
using kernels::OptimizerRule;
using step::LocalStates;

/// w(t+1) = w(t) by the gradient of w(t−1), with the rate of the step t−1; and once more at the end.
void expect_delayed(const Case& c, const Decomposition& d, kernels::Backend& backend) {
  const auto options = trial_of(c, d);
  Gradients gradients(c, backend);
  const auto start = gradients.parameters();
  Player player(start, static_cast<std::size_t>(gradients.program().trained_count.value()), options.optimizer,
                backend);
  std::optional<Vector> waiting;
  std::int64_t step = 0;
  for (const auto& batch : batches_of(c, options)) {
    auto fresh = gradients.at(player.w, batch);
    if (waiting) player.update(*waiting, options.learning_rate.at(step - 1), step);
    waiting = std::move(fresh);
    ++step;
  }
  player.update(*waiting, options.learning_rate.at(step - 1), step);
  expect_ends_at(c, d, options, backend, gradients, start, player.w);
}

std::vector<topology::GridExtent> grids() {
  const int p = world().size();
  std::vector<topology::GridExtent> all{{.data = p}};
  if (p % 2 == 0 && p > 2) {
    all.push_back({.data = p / 2, .pipeline = 2});
    all.push_back({.data = p / 2, .tensor = 2});
  }
  return all;
}

/// All of them on two ranks; on more of them, which one core runs in turn, some.
template <class T>
std::vector<T> some_of(std::vector<T> all) {
  const std::size_t one_in = std::getenv("PARTITA_EVERY_CASE") || world().size() == 2 ? 1 : 8;
  std::vector<T> some;
  for (std::size_t i = 0; i < all.size(); i += one_in)
    some.push_back(std::move(all[i]));
  return some;
}

TEST(DelayedUpdates, AreTheRecurrence) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto nets = cases();
  const auto plain = plain_nets();
  std::vector<Decomposition> all;
  for (const auto rule :
       {OptimizerRule::sgd, OptimizerRule::nesterov, OptimizerRule::adam, OptimizerRule::adamw})
    for (const auto split : {step::Split::none, step::Split::state, step::Split::gradient})
      for (const auto& grid : grids())
        all.push_back({.net = plain[all.size() % plain.size()],
                       .grid = grid,
                       .schedule = step::Schedule::one_f_one_b,
                       .microbatches = grid.pipeline > 1 ? 2 : 1,
                       .placing = Placing::cheapest,
                       .rule = rule,
                       .split = split,
                       .cadence = {.is_delayed = true}});
  for (const auto& d : some_of(all))
    expect_delayed(nets[d.net], d, *backend);
}

/// Codes that leave nothing out: what the others sent is added in the order of ranks, as windows add.
TEST(DelayedUpdates, AreThoseOfWholeGradientsByCodesOfAll) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto nets = cases();
  for (const auto net : some_of(plain_nets()))
    for (const auto codec : {kernels::Codec::topk, kernels::Codec::powersgd}) {
      Decomposition d{.net = net,
                      .grid = {.data = world().size()},
                      .schedule = step::Schedule::one_f_one_b,
                      .microbatches = 1,
                      .placing = Placing::cheapest,
                      .cadence = {.is_delayed = true}};
      const auto trained = [&](const step::Compression& compression) {
        auto options = options_for(nets[net], d);
        options.split.compression = compression;
        options.split.algorithm = collective::Algorithm::window;
        auto training = training_of(nets[net].model, options, *backend, world(), nets[net].data);
        training.run({});
        EXPECT_TRUE(replicas_are_identical(training)) << to_string(d);
        return training.gather_parameters(state::Receivers::all);
      };
      const auto whole = trained({}), coded = trained({.codec = codec, .ratio = 1, .rank = 1000});
      EXPECT_TRUE(
          std::ranges::equal(whole, coded, {}, &state::LogicalTensor::values, &state::LogicalTensor::values))
          << to_string(d) << " by " << to_string(codec);
    }
}

/// Each data rank by itself; what it has of a batch as the program cuts it.
void expect_local(const Case& c, const Decomposition& d, kernels::Backend& backend) {
  const auto options = trial_of(c, d);
  const auto& local = d.cadence.local;
  Gradients gradients(c, backend);
  const auto start = gradients.parameters();
  const auto trained = static_cast<std::size_t>(gradients.program().trained_count.value());
  std::vector<Player> players;
  for (int r = 0; r < d.grid.data; ++r)
    players.emplace_back(start, trained, options.optimizer, backend);
  Vector anchor(start.begin(), start.begin() + static_cast<std::ptrdiff_t>(trained)), velocity(trained);
  const auto plan = plan::choose(placed(c.model, d.placing), options.split);
  std::vector<double> since(players.size());
  std::int64_t begun = 0;  // the step whose update is the first of the states
  const auto batches = batches_of(c, options);
  for (std::int64_t step = 0; step < std::ssize(batches); ++step) {
    const auto& batch = batches[static_cast<std::size_t>(step)];
    const auto of_epoch = step % steps_of_epoch(c);
    const bool last = of_epoch + 1 == steps_of_epoch(c) || step + 1 == std::ssize(batches);
    const double rate = options.learning_rate.at(step);
    if (step < local.start) {
      const auto gradient = gradients.at(players.front().w, batch);
      for (auto& player : players)
        player.update(gradient, rate, step + 1 - begun);
      std::copy_n(players.front().w.begin(), trained, anchor.begin());
      continue;
    }
    for (std::size_t r = 0; r < players.size(); ++r) {
      const auto share = topology::share(static_cast<int>(r), d.grid.data, std::ssize(batch));
      const std::span<const std::int64_t> own(batch.begin() + share.begin, batch.begin() + share.end);
      since[r] += static_cast<double>(own.size());
      players[r].update(own.empty() ? Vector(trained) : gradients.at(players[r].w, own), rate,
                        step + 1 - begun);
    }
    if ((of_epoch + 1) % local.period != 0 && !last) continue;
    double all = 0;
    for (const double n : since)
      all += n;
    const auto mean = [&](const auto& values_of) {
      Vector sum(trained);
      for (std::size_t r = 0; r < players.size(); ++r)
        for (std::size_t i = 0; i < trained; ++i)
          sum[i] += since[r] / all * values_of(players[r])[i];
      return sum;
    };
    auto w = mean([](Player& p) -> Vector& { return p.w; });
    for (std::size_t i = 0; i < trained; ++i) {
      const double moved = anchor[i] - w[i];
      velocity[i] = local.outer_momentum * velocity[i] + moved;
      w[i] = anchor[i] -= local.outer_rate * (moved + local.outer_momentum * velocity[i]);
    }
    for (std::size_t s = 0; s < players.front().states.size() && local.states != LocalStates::keep; ++s) {
      auto state = mean([s](Player& p) -> Vector& { return p.states[s]; });
      if (local.states == LocalStates::reset) state.assign(trained, 0);
      for (auto& player : players)
        player.states[s] = state;
    }
    for (auto& player : players)
      std::ranges::copy(w, player.w.begin());
    std::ranges::fill(since, 0.0);
    if (local.states == LocalStates::reset) begun = step + 1;
  }
  expect_ends_at(c, d, options, backend, gradients, start, players.front().w);
}

TEST(LocalSteps, AreThoseOfRanksThatOneProcessPlays) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto nets = cases();
  const auto plain = plain_nets();
  std::vector<Decomposition> all;
  for (const auto states : {LocalStates::keep, LocalStates::average, LocalStates::reset})
    for (const auto rule : {OptimizerRule::sgd, OptimizerRule::nesterov, OptimizerRule::adam})
      for (const auto& grid : grids()) {
        const auto turn = all.size();
        Decomposition d{.net = plain[turn % plain.size()],
                        .grid = grid,
                        .schedule = step::Schedule::one_f_one_b,
                        .microbatches = grid.pipeline > 1 ? 2 : 1,
                        .placing = Placing::cheapest,
                        .rule = rule};
        d.cadence.local = {.period = 1 + static_cast<std::int64_t>(turn % 4),
                           .start = turn % 3 == 2 ? 3 : 0,
                           .states = states};
        if (turn % 2 == 1) d.cadence.local.outer_rate = 0.7, d.cadence.local.outer_momentum = 0.9;
        all.push_back(d);
      }
  for (const auto& d : some_of(all))
    expect_local(nets[d.net], d, *backend);
}

/// Each rank's own gradients, averaged at once with their velocities, are those of all.
TEST(LocalSteps, OfOneStepAreDataParallelism) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto nets = cases();
  References references(*backend);
  for (const auto rule : {OptimizerRule::sgd, OptimizerRule::nesterov})
    for (const auto net : some_of(plain_nets())) {
      Decomposition d{.net = net,
                      .grid = {.data = world().size()},
                      .schedule = step::Schedule::one_f_one_b,
                      .microbatches = 1,
                      .placing = Placing::cheapest,
                      .rule = rule};
      if (options_for(nets[net], d).optimizer.clip_norm) continue;  // of own gradients
      d.cadence.local = {.period = 1, .states = LocalStates::average};
      const auto& reference = references.of(nets[net], d);
      EXPECT_LE(largest_drift(nets[net].model, reference.start, reference.end, train(nets[net], d, *backend)),
                1e-10)
          << to_string(d);
    }
}

/// On the covering array: replicas are equal to the bit in the end, and the ledger has what programs say.
TEST(StepsThatDiffer, ExchangeWhatTheProgramSays) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto nets = cases();
  auto all = with_choices_in_turn(pairs_on_all_ranks());
  if (world().size() > 2) all = thinned(all);
  for (const auto& d : some_of(with_cadences_in_turn(all))) {
    const auto& c = nets[d.net];
    auto ranks = comm::Communicator::world(environment());
    const auto options = options_for(c, d);
    const auto model = placed(c.model, d.placing);
    auto training = training_of(model, options, *backend, ranks, c.data);
    ASSERT_EQ(training.run({}), run::Outcome::complete) << to_string(d);
    EXPECT_TRUE(replicas_are_identical(training)) << to_string(d);
    std::map<collective::TrafficKey, std::pair<std::int64_t, kernels::Bytes>> booked, said;
    for (const auto& row : ranks.ledger().rows(ranks.rank()))
      if (row.key.activity == collective::Activity::train)
        booked[row.key] = {row.counts.calls, row.counts.payload_bytes};
    const auto add = [&](step::StepKind kind, std::int64_t samples) {
      for (const auto& [key, row] :
           step::traffic_of_step(training.program(), ranks.rank(), samples, {}, kind)) {
        said[key].first += row.counts.calls;
        said[key].second += row.counts.payload_bytes;
      }
    };
    for (const auto& row : training.steps())
      add(row.kind, row.samples);
    if (d.cadence.is_delayed) add(step::drain_of(training.steps().back().kind), c.batch);
    EXPECT_EQ(booked, said) << to_string(d);
    std::vector<step::StepKind> taken;
    for (const auto& row : training.steps())
      taken.push_back(row.kind);
    if (d.cadence.is_delayed) taken.push_back(step::drain_of(taken.back()));
    EXPECT_EQ(taken, step::kinds_of_run(options.split.cadence, *options.steps, steps_of_epoch(c)));
  }
}

// Restarts.

constexpr std::int64_t cut = 8;

Tensors train_from(const Case& c, const Decomposition& d, kernels::Backend& backend, std::int64_t steps,
                   const std::filesystem::path& from, const std::filesystem::path& to, bool ends = true) {
  auto options = options_for(c, d);
  options.steps = steps;
  options.checkpoint = {.dir = to, .every = cut};
  std::int64_t asked = 0;
  if (!ends) options.interrupted = [&asked] { return ++asked > 0; };
  const auto model = placed(c.model, d.placing);
  auto training = training_of(model, options, backend, world(), c.data);
  if (!from.empty()) {
    const auto folder = from / ("step-" + std::to_string(results::list_checkpoints(from).front()));
    training.restore(folder, results::read_manifest(folder), {});
  }
  training.calibrate();  // which leaves everything as it is
  EXPECT_EQ(training.run({}), ends ? run::Outcome::complete : run::Outcome::interrupted);
  return training.gather_parameters(state::Receivers::all);
}

bool equal(const Tensors& a, const Tensors& b) {
  return std::ranges::equal(a, b, [](const auto& x, const auto& y) { return x.values == y.values; });
}

std::vector<step::Cadence> cadences() {
  std::vector<step::Cadence> all{{.is_delayed = true}};
  for (const auto states : {LocalStates::keep, LocalStates::average, LocalStates::reset})
    all.push_back({.local = {.period = 4, .states = states}});
  all.push_back(
      {.local = {.period = 4, .states = LocalStates::average, .outer_rate = 0.7, .outer_momentum = 0.9}});
  return all;
}

/// Codes under way when a checkpoint is written; and each rank's residuals.
std::vector<step::Compression> delayed_codecs() {
  std::vector<step::Compression> all;
  for (const auto codec : codecs)
    if (codec != kernels::Codec::fp16) all.push_back(compressed(codec));
  return all;
}

Decomposition of_cadence(const step::Cadence& cadence, std::size_t net, OptimizerRule rule) {
  return {.net = net,
          .grid = {.data = world().size()},
          .schedule = step::Schedule::one_f_one_b,
          .microbatches = 1,
          .placing = Placing::cheapest,
          .rule = rule,
          .cadence = cadence};
}

/// Stopped as soon as somebody asks, which with local steps is when parameters are averaged; gradients that
/// wait, and the velocities of ranks and of outer steps, are not lost.
TEST(StepsThatDiffer, GoOnFromACheckpointBitByBit) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto nets = cases();
  for (const auto& cadence : cadences())
    for (const auto rule : {OptimizerRule::sgd, OptimizerRule::adam}) {
      if (world().size() > 2 && rule == OptimizerRule::adam && !std::getenv("PARTITA_EVERY_CASE")) continue;
      const auto d = of_cadence(cadence, 1, rule);
      const SharedFolder folder;
      const auto whole = train_from(nets[1], d, *backend, 20, {}, {});
      train_from(nets[1], d, *backend, 20, {}, folder.path(), false);
      ASSERT_FALSE(results::list_checkpoints(folder.path()).empty()) << to_string(d);
      const auto halves = train_from(nets[1], d, *backend, 20, folder.path(), {});
      EXPECT_TRUE(equal(whole, halves)) << to_string(d);
    }
}

TEST(DelayedUpdates, GoOnFromACheckpointWithTheirCodes) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto nets = cases();
  for (const auto& compression : delayed_codecs()) {
    auto d = of_cadence({.is_delayed = true}, 1, OptimizerRule::sgd);
    d.compression = compression;
    const SharedFolder folder;
    const auto whole = train_from(nets[1], d, *backend, 20, {}, {});
    train_from(nets[1], d, *backend, 20, {}, folder.path(), false);
    ASSERT_FALSE(results::list_checkpoints(folder.path()).empty()) << to_string(d);
    EXPECT_TRUE(equal(whole, train_from(nets[1], d, *backend, 20, folder.path(), {}))) << to_string(d);
  }
}

/// What a checkpoint holds of another optimizer, or of other states, is left; what it has of the same is
/// taken, as the mean of all ranks where each had its own.
TEST(StepsThatDiffer, GoOnWithOtherKeys) {
  if (world().size() > 2 && !std::getenv("PARTITA_EVERY_CASE")) GTEST_SKIP() << "two ranks show it";
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto c = cases()[1];
  for (const auto& cadence : cadences())
    for (const auto before : {OptimizerRule::sgd, OptimizerRule::adam})
      for (const auto after : {OptimizerRule::sgd, OptimizerRule::adam}) {
        const auto from = of_cadence(cadence, 1, before);
        const SharedFolder folder;
        train_from(c, from, *backend, 20, {}, folder.path(), false);
        for (const auto& then : {cadence, step::Cadence{}, cadences()[2]}) {
          if (then.is_delayed != cadence.is_delayed) continue;
          const auto to = of_cadence(then, 1, after);
          for (const auto& tensor : train_from(c, to, *backend, 20, folder.path(), {}))
            EXPECT_LT(norm(tensor.values), 1e3) << to_string(from) << " goes on as " << to_string(to);
        }
      }
}

/// Velocities that differ from rank to rank: a run without local steps takes their mean.
TEST(StepsThatDiffer, LeaveTheMeanOfStatesThatRanksKept) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto c = cases()[1];
  const auto from = of_cadence({.local = {.period = 4, .states = LocalStates::keep}}, 1, OptimizerRule::sgd);
  const SharedFolder folder;
  train_from(c, from, *backend, 20, {}, folder.path(), false);
  const auto step = results::list_checkpoints(folder.path()).front();
  const auto at = results::checkpoint_folder(folder.path(), step);
  const auto velocity_of = [&](const step::Cadence& cadence) {
    auto options = options_for(c, of_cadence(cadence, 1, OptimizerRule::sgd));
    auto training = training_of(c.model, options, *backend, world(), c.data);
    training.restore(at, results::read_manifest(at), {});
    const auto values = training.parameters().states().front().as<double>();
    return Vector(values.begin(), values.end());
  };
  auto mean = velocity_of(from.cadence);
  world().all_reduce(std::span(mean), comm::Combine::sum, collective::Purpose::control);
  for (double& value : mean)
    value /= world().size();
  const auto taken = velocity_of({});
  EXPECT_LE(norm(difference(taken, mean)), 1e-12 * norm(mean));
  EXPECT_GT(norm(mean), 0);
}

/// The first stage trains nothing, and has no velocities.
TEST(StepsThatDiffer, GoOnWhereAStageIsFrozen) {
  const int p = world().size();
  if (p < 4) GTEST_SKIP() << "wants stages of several data ranks";
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  auto c = cases()[1];
  c.model = model_of("13", {"linear 40 frozen stage=0", "tanh stage=0", "linear 7 stage=1", "tanh stage=1",
                            "linear 5 stage=1"});
  auto d = of_cadence(cadences().back(), 1, OptimizerRule::sgd);
  d.grid = {.data = p / 2, .pipeline = 2};
  const SharedFolder folder;
  const auto whole = train_from(c, d, *backend, 20, {}, {});
  train_from(c, d, *backend, 20, {}, folder.path(), false);
  EXPECT_TRUE(equal(whole, train_from(c, d, *backend, 20, folder.path(), {})));
}

TEST(StepsThatDiffer, GoOnOnAnotherGrid) {
  const int p = world().size();
  if (p % 2 != 0) GTEST_SKIP() << "wants two stages";
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto c = cases()[1];
  for (const auto split : {step::Split::none, step::Split::state}) {
    auto d = of_cadence({.is_delayed = true}, 1, OptimizerRule::nesterov);
    d.split = split;
    const SharedFolder folder;
    const auto start = train_from(c, d, *backend, 0, {}, {});
    const auto whole = train_from(c, d, *backend, 20, {}, {});
    train_from(c, d, *backend, 20, {}, folder.path(), false);
    d.grid = {.data = p / 2, .pipeline = 2};
    d.microbatches = 2;
    const auto other = train_from(c, d, *backend, 20, folder.path(), {});
    EXPECT_LE(largest_drift(c.model, start, whole, other), 1e-10) << to_string(d);
  }
}

/// In a local step one rank alone has gradients that are not finite: it stops updating, and all of them learn
/// it when parameters are averaged next.
TEST(StepsThatDiffer, EndOnAllRanksWhereOneIsNotFinite) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto c = with_infinite_gradients(1);
  for (const auto& cadence : cadences()) {
    auto options = options_for(c, of_cadence(cadence, 4, OptimizerRule::sgd));
    options.shuffle = false, options.steps = 12;
    auto training = training_of(c.model, options, *backend, world(), c.data);
    forget_large_feature(training);
    EXPECT_EQ(training.run({}), run::Outcome::diverged);
    EXPECT_LE(std::ssize(training.steps()), 8);
  }
}

}  // namespace
}  // namespace partita::tests
