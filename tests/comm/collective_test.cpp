/// Every operation and algorithm on real ranks: values, bits, refusals.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "../mpi_main.hpp"

namespace partita::comm {
namespace {

using collective::Purpose;
using tests::world;

std::vector<Algorithm> every_algorithm() {
  std::vector all{Algorithm::automatic};
  all.insert(all.end(), collective::algorithms().begin(), collective::algorithms().end());
  return all;
}

std::vector<std::int64_t> sizes() {
  const std::int64_t p = world().size();
  return {0, 1, p - 1, p, p + 1, 1000, 70001};
}

template <class T>
void check_all_reduce(Communicator& communicator, View buffer, Algorithm algorithm) {
  const auto values = buffer.as<T>();
  const int p = communicator.size(), me = communicator.rank();
  for (const Combine combine : {Combine::sum, Combine::max}) {
    const auto operation = communicator.plan_all_reduce(buffer, combine, algorithm, Purpose::gradient);
    for (int repetition = 0; repetition < 3; ++repetition) {
      for (std::size_t i = 0; i < values.size(); ++i)
        values[i] =
            static_cast<T>((i % 7 + static_cast<std::size_t>(repetition)) * static_cast<std::size_t>(me + 1));
      operation->start();
      operation->wait();
      for (std::size_t i = 0; i < values.size(); ++i) {
        const auto expected = (i % 7 + static_cast<std::size_t>(repetition)) *
                              static_cast<std::size_t>(combine == Combine::sum ? p * (p + 1) / 2 : p);
        ASSERT_EQ(values[i], static_cast<T>(expected))
            << to_string(algorithm) << " n " << values.size() << " at " << i;
      }
    }
  }
}

TEST(AllReduce, EveryAlgorithmTypeAndSizeInPrivateAndSharedBuffers) {
  for (const auto algorithm : every_algorithm())
    for (const auto n : sizes()) {
      std::vector<double> twice(static_cast<std::size_t>(n));
      check_all_reduce<double>(world(), std::span(twice), algorithm);
      if (n > 1000) continue;
      std::vector<std::uint8_t> bytes(twice.size());
      check_all_reduce<std::uint8_t>(world(), std::span(bytes), algorithm);
    }
  const auto shared = world().allocate_shared(Bytes(4 * 70001));
  for (const auto n : sizes()) {
    check_all_reduce<float>(world(), shared.view(DataType::float32, Elements(n)), Algorithm::window);
    check_all_reduce<std::int32_t>(world(), shared.view(DataType::int32, Elements(n)), Algorithm::automatic);
  }
}

TEST(AllReduce, ImitatedNodesReduceHierarchically) {
  for (const int ranks : {1, 2, 3}) {
    auto nodes = world().with_nodes_of(ranks);
    EXPECT_EQ(nodes.local_rank(), nodes.rank() % ranks);
    for (const auto n : sizes()) {
      std::vector<std::int64_t> values(static_cast<std::size_t>(n));
      check_all_reduce<std::int64_t>(nodes, std::span(values), Algorithm::hierarchical);
    }
  }
}

TEST(AllReduce, SumsHaveTheSameBitsOnEveryRankAndEveryTime) {
  for (const auto algorithm : every_algorithm()) {
    std::string first;
    for (int repetition = 0; repetition < 2; ++repetition) {
      std::mt19937 generator(static_cast<unsigned>(world().rank()));
      std::normal_distribution<float> normal;
      std::vector<float> values(5003);
      for (float& x : values)
        x = normal(generator);
      world().all_reduce(std::span(values), Combine::sum, Purpose::gradient, algorithm);
      const std::string bits(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
      for (const auto& other : world().all_gather_text(bits, Purpose::control))
        EXPECT_EQ(other == bits, true) << to_string(algorithm);
      if (repetition == 0) first = bits;
      EXPECT_EQ(first == bits, true) << to_string(algorithm);
    }
  }
}

TEST(AllReduce, SeveralAreInFlightAtOnce) {
  std::vector<std::vector<double>> buffers;
  std::vector<std::unique_ptr<Collective>> operations;
  for (const auto algorithm : every_algorithm()) {
    buffers.emplace_back(1003, world().rank() + 1.0);
    operations.push_back(
        world().plan_all_reduce(std::span(buffers.back()), Combine::sum, algorithm, Purpose::gradient));
  }
  for (auto& operation : operations)
    operation->start();
  for (auto operation = operations.rbegin(); operation != operations.rend(); ++operation)
    (*operation)->wait();
  for (const auto& buffer : buffers)
    for (const double x : buffer)
      ASSERT_EQ(x, world().size() * (world().size() + 1) / 2);
}

TEST(Operations, ReduceScatterGatherBroadcastExchange) {
  const int p = world().size(), me = world().rank();
  std::vector<std::int64_t> cuts{0};
  for (int r = 0; r < p; ++r)
    cuts.push_back(cuts.back() + r % 3);  // some shares are empty
  std::vector<std::int64_t> values(static_cast<std::size_t>(cuts.back()));
  const auto mine = [&](int r) {
    return std::span(values).subspan(static_cast<std::size_t>(cuts[static_cast<std::size_t>(r)]),
                                     static_cast<std::size_t>(r % 3));
  };

  std::fill(values.begin(), values.end(), me + 1);
  auto scatter = world().plan_reduce_scatter(std::span(values), cuts, Combine::sum, Purpose::gradient);
  scatter->start(), scatter->wait();
  for (const auto x : mine(me))
    EXPECT_EQ(x, p * (p + 1) / 2);

  std::fill(values.begin(), values.end(), -1);
  std::fill(mine(me).begin(), mine(me).end(), me);
  auto gather = world().plan_all_gather(std::span(values), cuts, Purpose::parameter);
  gather->start(), gather->wait();
  for (int r = 0; r < p; ++r)
    for (const auto x : mine(r))
      EXPECT_EQ(x, r);

  for (int root = 0; root < p; ++root) {
    std::vector<float> message(17, static_cast<float>(me));
    auto broadcast = world().plan_broadcast(std::span(message), root, Purpose::parameter);
    broadcast->start(), broadcast->wait();
    for (const float x : message)
      EXPECT_EQ(x, static_cast<float>(root));
  }

  // Rank a sends a + b elements to rank b.
  std::vector<std::int64_t> send_cuts{0}, receive_cuts{0};
  for (int r = 0; r < p; ++r)
    send_cuts.push_back(send_cuts.back() + me + r), receive_cuts.push_back(receive_cuts.back() + me + r);
  std::vector<std::int32_t> out(static_cast<std::size_t>(send_cuts.back()), me),
      in(static_cast<std::size_t>(receive_cuts.back()), -1);
  auto exchange =
      world().plan_all_to_all(std::span(out), send_cuts, std::span(in), receive_cuts, Purpose::activation);
  exchange->start(), exchange->wait();
  for (int r = 0; r < p; ++r)
    for (auto i = receive_cuts[static_cast<std::size_t>(r)];
         i < receive_cuts[static_cast<std::size_t>(r) + 1]; ++i)
      EXPECT_EQ(in[static_cast<std::size_t>(i)], r);
}

TEST(Plans, WhatRanksDoNotAgreeOnThrowsOnEveryRank) {
  if (world().size() == 1) GTEST_SKIP() << "one rank agrees with itself";
  std::vector<float> values(static_cast<std::size_t>(10 + world().rank() % 2));
  EXPECT_THROW(
      (void)world().plan_all_reduce(std::span(values), Combine::sum, Algorithm::ring, Purpose::gradient),
      base::ContractError);
  values.resize(10);
  EXPECT_THROW((void)world().plan_all_reduce(std::span(values), Combine::sum,
                                             world().rank() == 0 ? Algorithm::ring : Algorithm::window,
                                             Purpose::gradient),
               base::ContractError);
}

TEST(Plans, WhatIsCombinedOtherwiseThrowsOnEveryRank) {
  if (world().size() == 1) GTEST_SKIP() << "one rank agrees with itself";
  std::vector<float> values(10);
  EXPECT_THROW(
      (void)world().plan_all_reduce(std::span(values), world().rank() == 0 ? Combine::sum : Combine::max,
                                    Algorithm::ring, Purpose::gradient),
      base::ContractError);
}

TEST(Plans, NegativeCountsThrow) {
  float x = 0;
  EXPECT_THROW((void)world().plan_all_reduce(View(&x, DataType::float32, Elements(-1)), Combine::sum,
                                             Algorithm::ring, Purpose::gradient),
               base::ContractError);
}

}  // namespace
}  // namespace partita::comm
