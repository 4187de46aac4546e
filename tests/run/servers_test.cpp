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
#include "server_play.hpp"

namespace partita::tests {
namespace {

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
    const auto look = [&](const run::Training&, const std::filesystem::path& at,
                          const results::Manifest& manifest) {
      const auto more = servers.is_asynchronous ? world().size() - servers.count - 1 : 0;
      EXPECT_EQ(manifest.first_update, -(10 - servers.synchronous_steps) * more)
          << "updates beyond one a step";
      // On another grid: all ranks work.
      auto without = options_for(c, topology::GridExtent{.data = world().size()}, OptimizerRule::adam);
      auto others = training_of(c.model, without, *backend, world(), c.data);
      others.restore(at, manifest, {});
      EXPECT_EQ(others.run({}), run::Outcome::complete);
      EXPECT_TRUE(replicas_are_identical(others));
    };
    expect_to_go_on(c, with_servers(1, servers, OptimizerRule::adam), *backend, look);
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
