/// Parameter servers: synchronous ones against one rank; asynchronous ones against a process that plays all
/// of them in the order that they logged, and against themselves; what they send, by formula; restarts,
/// numbers that are not finite, and an order that nobody can follow.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <numeric>

#include "../mpi_main.hpp"
#include "partita/results/checkpoint.hpp"
#include "partita/step/traffic.hpp"
#include "partita/step/turns.hpp"
#include "players.hpp"
#include "shared_folder.hpp"

namespace partita::tests {
namespace {

using kernels::OptimizerRule;
using results::PushRow;
using step::Servers;

/// Among all ranks.
Decomposition with_servers(std::size_t net, const Servers& servers, OptimizerRule rule = OptimizerRule::sgd) {
  return tests::with_servers(net, world().size(), servers, rule);
}

std::vector<int> counts() {
  std::vector<int> all;
  for (int count = 1; count < world().size() && count <= 3; ++count)
    all.push_back(count);
  return all;
}

std::vector<std::size_t> nets_for_servers() {
  std::vector<std::size_t> nets;
  const auto all = cases();
  for (std::size_t i = 0; i < all.size(); ++i)
    if (!all[i].model.takes_statistics()) nets.push_back(i);
  return nets;
}

bool takes_all() { return world().size() <= 3 || std::getenv("PARTITA_EVERY_CASE") != nullptr; }

TEST(SynchronousServers, UpdateAsOneRankDoes) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto nets = cases();
  const auto plain = nets_for_servers();
  References references(*backend);
  std::size_t turn = 0;
  for (const auto rule : optimizer_rules)
    for (const int count : counts()) {
      if (kernels::describe(rule).takes_norms && count > 1) continue;
      const auto net = plain[turn++ % plain.size()];
      if (!takes_all() && turn % 3 != 0) continue;
      const auto d = with_servers(net, {.count = count}, rule);
      const auto& reference = references.of(nets[net], d);
      EXPECT_LE(largest_drift(nets[net].model, reference.start, reference.end, train(nets[net], d, *backend)),
                1e-10)
          << to_string(d);
    }
}

// Asynchronous servers.

std::vector<PushRow> pushes_of(const run::Training& training) {
  std::vector<PushRow> all;
  std::string bytes(reinterpret_cast<const char*>(training.pushes().data()),
                    training.pushes().size() * sizeof(PushRow));
  for (const auto& text : world().all_gather_text(bytes, collective::Purpose::control)) {
    const auto before = all.size();
    all.resize(before + text.size() / sizeof(PushRow));
    std::memcpy(all.data() + before, text.data(), text.size());
  }
  return all;
}

struct Served {
  Tensors parameters;
  std::vector<PushRow> pushes;
};
Served serve(const Case& c, const Trial& options, kernels::Backend& backend) {
  auto training = training_of(c.model, options, backend, world(), c.data);
  training.calibrate();
  EXPECT_EQ(training.run({}), run::Outcome::complete);
  EXPECT_TRUE(replicas_are_identical(training));
  return {training.gather_parameters(state::Receivers::all), pushes_of(training)};
}

/// The workers whose pushes each server took in steps [first, end), one after the other.
std::vector<std::vector<int>> orders_of(const std::vector<PushRow>& pushes, int workers, int servers,
                                        std::int64_t first, std::int64_t end) {
  std::vector<std::vector<int>> orders(static_cast<std::size_t>(servers));
  for (const auto& push : pushes)
    if (push.step >= first && push.step < end)
      orders[static_cast<std::size_t>(push.server - workers)].push_back(static_cast<int>(push.worker));
  return orders;
}

/// One process, in the order of the log: a server is a player of its part of all parameters, a worker has all
/// of them as it was answered.
class Play {
 public:
  Play(const Case& c, const Trial& options, Gradients& gradients, kernels::Backend& backend)
      : case_(c), options_(options), servers_(options.split.cadence.servers), gradients_(gradients) {
    const auto start = gradients.parameters();
    const auto plan = plan::choose(c.model, options.split);
    program_ = step::build_training_program(c.model, plan, {}, {.type = kernels::DataType::float64});
    views_.assign(static_cast<std::size_t>(program_.workers()), start);
    for (int server = 0; server < servers_.count; ++server) {
      std::vector<std::size_t> own;
      for (const auto& bucket : program_.buckets) {
        const auto share = program_.share_of(bucket, program_.workers() + server);
        const auto first = program_.slots[bucket.parameters].first.value();
        for (auto i = share.begin; i < share.end; ++i)
          own.push_back(static_cast<std::size_t>(first + i));
      }
      players_.emplace_back(picked(start, own), own.size(), options.optimizer, backend);
      owned_.push_back(std::move(own));
    }
  }

  /// Where that ends, from a log of pushes.
  Vector end(const std::vector<PushRow>& pushes) {
    const auto batches = batches_of(case_, options_);
    const auto steps = std::ssize(batches);
    for (std::int64_t step = 0; step < steps;) {
      if (step < servers_.synchronous_steps) {
        synchronous(batches[static_cast<std::size_t>(step)], step);
        ++step;
        continue;
      }
      const auto end = step::next_quiescence(step, steps_of_epoch(case_), options_.checkpoint.every, steps);
      stretch(pushes, batches, step, end);
      step = end;
    }
    Vector w = views_.front();
    for (const auto& view : views_)
      EXPECT_EQ(view, w);
    return w;
  }

 private:
  static Vector picked(const Vector& all, const std::vector<std::size_t>& own) {
    Vector some;
    for (const auto i : own)
      some.push_back(all[i]);
    return some;
  }
  void answer(std::size_t server, int worker) {
    auto& view = views_[static_cast<std::size_t>(worker)];
    for (std::size_t i = 0; i < owned_[server].size(); ++i)
      view[owned_[server][i]] = players_[server].w[i];
  }
  /// A worker's part of the gradient of a batch, of its own parameters.
  Vector pushed(const std::vector<std::int64_t>& batch, int worker) {
    const auto part = program_.microbatch(step::MicrobatchId(), worker, std::ssize(batch));
    const auto trained = static_cast<std::size_t>(program_.trained_count.value());
    if (part.empty()) return Vector(trained);
    const std::span<const std::int64_t> own(batch.begin() + part.begin, batch.begin() + part.end);
    auto gradient = gradients_.at(views_[static_cast<std::size_t>(worker)], own);
    for (double& g : gradient)
      g *= static_cast<double>(part.size()) / static_cast<double>(batch.size());
    return gradient;
  }

  void synchronous(const std::vector<std::int64_t>& batch, std::int64_t step) {
    Vector sum(static_cast<std::size_t>(program_.trained_count.value()));
    for (int worker = 0; worker < program_.workers(); ++worker) {
      const auto one = pushed(batch, worker);
      std::ranges::transform(sum, one, sum.begin(), std::plus<>());
    }
    ++updates_;
    for (std::size_t s = 0; s < players_.size(); ++s) {
      players_[s].update(picked(sum, owned_[s]), options_.learning_rate.at(step), updates_);
      for (int worker = 0; worker < program_.workers(); ++worker)
        answer(s, worker);
    }
  }

  void stretch(const std::vector<PushRow>& pushes, const std::vector<std::vector<std::int64_t>>& batches,
               std::int64_t first, std::int64_t end) {
    const auto orders = orders_of(pushes, program_.workers(), servers_.count, first, end);
    std::vector<step::Turns> turns(players_.size(), step::Turns(servers_, program_.workers(), end - first));
    std::vector<std::int64_t> clocks(views_.size());
    std::vector<std::size_t> answers(views_.size());
    std::vector<Vector> under_way;
    for (int worker = 0; worker < program_.workers(); ++worker)
      under_way.push_back(pushed(batches[static_cast<std::size_t>(first)], worker));
    for (bool goes_on = true; goes_on;) {
      goes_on = false;
      for (std::size_t s = 0; s < players_.size(); ++s) {
        const auto taken = turns[s].taken();
        if (turns[s].is_over()) continue;
        const int worker = orders[s].at(static_cast<std::size_t>(taken));
        const auto w = static_cast<std::size_t>(worker);
        if (!turns[s].awaits(worker) || turns[s].clock_of(worker) > clocks[w]) continue;
        players_[s].update(picked(under_way[w], owned_[s]), options_.learning_rate.at(first + clocks[w]),
                           updates_ + taken + 1);
        for (const int to : turns[s].take(worker)) {
          const auto t = static_cast<std::size_t>(to);
          answer(s, to);
          if (++answers[t] < players_.size()) continue;
          answers[t] = 0;
          if (++clocks[t] < end - first)
            under_way[t] = pushed(batches[static_cast<std::size_t>(first + clocks[t])], to);
        }
        goes_on = true;
      }
    }
    for (const auto& of_server : turns)
      EXPECT_TRUE(of_server.is_over());
    updates_ += (end - first) * program_.workers();
  }

  const Case& case_;
  const Trial& options_;
  Servers servers_;
  Gradients& gradients_;
  step::Program program_;
  std::vector<Vector> views_;                    ///< by worker
  std::vector<Player> players_;                  ///< by server
  std::vector<std::vector<std::size_t>> owned_;  ///< by server: which of all parameters
  std::int64_t updates_ = 0;
};

std::vector<Servers> asynchronous(int count) {
  std::vector<Servers> all;
  for (const auto bound :
       {std::optional<std::int64_t>(), std::optional<std::int64_t>(0), std::optional<std::int64_t>(2)})
    all.push_back(
        {.count = count, .is_asynchronous = true, .bound = bound, .synchronous_steps = bound == 2 ? 3 : 0});
  return all;
}

TEST(AsynchronousServers, AreWhatOneProcessPlaysInTheirOrder) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto nets = cases();
  const auto plain = plain_nets();
  constexpr OptimizerRule rules[] = {OptimizerRule::sgd, OptimizerRule::adam};
  std::size_t turn = 0;
  for (const int count : counts())
    for (const auto& servers : asynchronous(count)) {
      const auto& c = nets[plain[turn % plain.size()]];
      const auto d = with_servers(plain[turn % plain.size()], servers, rules[turn % 2]);
      if (++turn % 2 == 0 && !takes_all()) continue;
      auto options = trial_of(c, d);
      Gradients gradients(c, *backend);
      auto start = gradients.parameters();
      const auto served = serve(c, options, *backend);
      auto played = Play(c, options, gradients, *backend).end(served.pushes);
      EXPECT_LE(largest_drift(c.model, tensors_of(gradients, c.model, start),
                              tensors_of(gradients, c.model, played), served.parameters),
                1e-10)
          << to_string(d);
      options.replay = served.pushes;
      const auto again = serve(c, options, *backend);
      EXPECT_EQ(again.pushes, served.pushes) << to_string(d);
      for (std::size_t i = 0; i < served.parameters.size(); ++i)
        EXPECT_EQ(again.parameters[i].values, served.parameters[i].values) << to_string(d);
    }
}

/// As far as the bound says: how far workers are apart, and how old their parameters are.
TEST(AsynchronousServers, KeepToTheirBound) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto c = cases()[2];
  for (const std::int64_t bound : {0, 1, 3}) {
    const int count = counts().back(), workers = world().size() - count;
    auto options = options_for(c, with_servers(2, {.count = count, .is_asynchronous = true, .bound = bound}));
    options.steps = 60;
    const auto pushes = serve(c, options, *backend).pushes;
    ASSERT_EQ(std::ssize(pushes), 60 * workers * count);
    std::map<std::int64_t, std::vector<std::int64_t>> clocks;  // by server: pushes of each worker
    for (const auto& push : pushes) {
      auto& of_server = clocks.try_emplace(push.server, static_cast<std::size_t>(workers)).first->second;
      EXPECT_EQ(of_server[static_cast<std::size_t>(push.worker)]++, push.step);
      const auto [least, most] = std::ranges::minmax(of_server);
      EXPECT_LE(most - least, bound + 1);
      EXPECT_LE(push.staleness, (workers - 1) * (2 * bound + 1));
    }
  }
}

/// The ledger of a whole run: what a worker sends and gets, what a server does, by arithmetic.
TEST(Servers, SendWhatTheFormulaSays) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto c = cases()[1];
  const int count = counts().back(), workers = world().size() - count;
  const std::int64_t steps = 20, first = 7;
  auto ranks = comm::Communicator::world(environment());
  const auto options =
      options_for(c, with_servers(1, {.count = count, .is_asynchronous = true, .synchronous_steps = first}));
  auto training = training_of(c.model, options, *backend, ranks, c.data);
  training.run({});
  std::map<std::pair<collective::Operation, collective::Purpose>, std::int64_t> bytes;
  for (const auto& row : ranks.ledger().rows(ranks.rank()))
    if (row.key.activity == collective::Activity::train)
      bytes[{row.key.operation, row.key.purpose}] += row.counts.payload_bytes.value();
  using enum collective::Operation;
  using enum collective::Purpose;
  const std::int64_t n = 13 * 11 + 11 + 11 * 7 + 7 + 7 * 5 + 5;
  const auto& program = training.program();
  if (program.serves()) {
    const std::int64_t held = program.state_count.value();
    EXPECT_EQ((bytes[{receive, gradient}]), 4 * held * workers * steps);
    EXPECT_EQ((bytes[{send, parameter}]), 4 * held * workers * steps);
    EXPECT_EQ((bytes[{receive, metric}]), 16 * workers * (steps - first));
    EXPECT_EQ(program.gradient_count.value(), 2 * held * workers);
  } else {
    EXPECT_EQ((bytes[{send, gradient}]), 4 * n * steps);
    EXPECT_EQ((bytes[{receive, parameter}]), 4 * n * steps);
    EXPECT_EQ((bytes[{send, metric}]), 16 * count * (steps - first));
    EXPECT_EQ(program.state_count.value(), 0);
  }
  std::int64_t held = program.serves() ? program.state_count.value() : 0;
  world().all_reduce(std::span(&held, 1), comm::Combine::sum, collective::Purpose::control);
  EXPECT_EQ(held, n) << "servers share all parameters";
}

/// From where all have the same parameters; nothing of the servers' states, or of how many updates these have
/// had, is lost.
TEST(Servers, GoOnFromACheckpointBitByBit) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto c = cases()[1];
  const auto several = asynchronous(counts().back());
  for (const auto& servers : {Servers{.count = 1}, several[1], several[2]}) {
    const auto d = with_servers(1, servers, OptimizerRule::adam);
    auto options = trial_of(c, d);
    options.checkpoint.every = 5;
    const SharedFolder shared;
    const auto half = shared.path() / "half";
    options.checkpoint.dir = shared.path() / "whole";
    const auto whole = serve(c, options, *backend);
    options.replay = whole.pushes;
    options.checkpoint.dir = half;
    options.steps = 10;
    serve(c, options, *backend);
    ASSERT_EQ(results::list_checkpoints(half).front(), 10);
    const auto at = results::checkpoint_folder(half, 10);
    const auto manifest = results::read_manifest(at);
    const auto more = servers.is_asynchronous ? world().size() - servers.count - 1 : 0;
    EXPECT_EQ(manifest.first_update, -(10 - servers.synchronous_steps) * more) << "updates beyond one a step";
    options.checkpoint.dir = shared.path() / "rest";
    options.steps = 20;
    auto training = training_of(c.model, options, *backend, world(), c.data);
    training.restore(at, manifest, {});
    EXPECT_EQ(training.run({}), run::Outcome::complete);
    const auto halves = training.gather_parameters(state::Receivers::all);
    for (std::size_t i = 0; i < whole.parameters.size(); ++i)
      EXPECT_EQ(halves[i].values, whole.parameters[i].values) << to_string(d);
    // On another grid: all ranks work.
    auto without = options_for(c, topology::GridExtent{.data = world().size()}, OptimizerRule::adam);
    auto others = training_of(c.model, without, *backend, world(), c.data);
    others.restore(at, manifest, {});
    EXPECT_EQ(others.run({}), run::Outcome::complete);
    EXPECT_TRUE(replicas_are_identical(others));
  }
}

/// Gradients of one worker are not finite: no server updates by them while another does, and all ranks end.
TEST(Servers, EndOnAllRanksWhereOneIsNotFinite) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto c = with_infinite_gradients(1);
  for (const auto& servers : {Servers{.count = 1}, Servers{.count = 1, .is_asynchronous = true}}) {
    auto options = options_for(c, with_servers(4, servers));
    options.shuffle = false, options.steps = 12;
    auto training = training_of(c.model, options, *backend, world(), c.data);
    forget_large_feature(training);
    EXPECT_EQ(training.run({}), run::Outcome::diverged);
    EXPECT_FALSE(training.failure().empty());
  }
}

/// Each of two servers waits for the worker that waits for the other one; workers would be answered sooner.
TEST(Turns, CannotFollowEveryOrder) {
  const Servers none{.count = 2, .is_asynchronous = true},
      all{.count = 2, .is_asynchronous = true, .bound = 0};
  using Log = std::vector<step::LoggedPush>;
  const Log turns{{0, 0}, {1, 1}, {0, 1}, {1, 1}}, others{{1, 0}, {0, 1}, {1, 1}, {0, 1}},
      first{{0, 0}, {0, 0}, {1, 2}, {1, 0}}, second{{1, 0}, {1, 0}, {0, 2}, {0, 0}},
      together{{0, 0}, {1, 1}, {0, 0}, {1, 1}};
  EXPECT_TRUE(can_follow({turns, others}, none, 2, 2));
  EXPECT_FALSE(can_follow({first, second}, none, 2, 2));
  EXPECT_TRUE(can_follow({first, first}, none, 2, 2));
  EXPECT_FALSE(can_follow({first, first}, all, 2, 2));
  EXPECT_TRUE(can_follow({together, together}, all, 2, 2));
  EXPECT_FALSE(can_follow({together, together}, none, 2, 2));
  EXPECT_FALSE(can_follow({turns, Log{{0, 0}, {1, 1}, {0, 1}, {7, 1}}}, none, 2, 2));
  EXPECT_FALSE(can_follow({turns, Log{{0, 0}, {1, 1}}}, none, 2, 2));
}

}  // namespace
}  // namespace partita::tests
