/// Which algorithm each all-reduce of a program takes: by its bytes, its buffer, the nodes and the mode; the
/// same on all ranks that take part.
#include "partita/step/rounds.hpp"

#include <gtest/gtest.h>

#include <random>
#include <tuple>

#include "../models.hpp"
#include "partita/plan/plan.hpp"
#include "partita/step/build.hpp"
#include "partita/step/counterparts.hpp"

namespace partita::step {
namespace {

using collective::Algorithm;
using collective::Operation;
using collective::Purpose;
using topology::Axis;

model::ModelSpec mlp() {
  return tests::model_of("9", {"linear 8 placement=column", "relu placement=column", "linear 6 placement=row",
                               "linear 5 placement=replicated"});
}

/// Every reach and size of its own.
Site site(std::vector<int> node_of) {
  std::vector<base::Violation> violations;
  Site site{
      .node_of = std::move(node_of),
      .table = collective::AlgorithmTable::parse(
          "reach=window ranks=2 bytes=any algorithm=window\n"
          "reach=node ranks=2 bytes=100 algorithm=recursive-doubling\n"
          "reach=node ranks=2 bytes=any algorithm=halving-doubling\n"
          "reach=mixed ranks=2 bytes=any algorithm=hierarchical\n"
          "reach=spread ranks=2 bytes=100 algorithm=mpi\nreach=spread ranks=2 bytes=any algorithm=ring\n",
          violations)};
  EXPECT_TRUE(violations.empty());
  return site;
}

Program program(const plan::Request& options, const topology::Coordinate& at = {}) {
  return build_training_program(mlp(), plan::choose(mlp(), options), at, {});
}

/// The algorithms of the all-reduces of this purpose, in program order.
std::vector<Algorithm> algorithms_of(const Program& program, Purpose purpose) {
  std::vector<Algorithm> found;
  for (const auto& t : program.transfers)
    if (t.operation == Operation::all_reduce && t.purpose == purpose) found.push_back(t.algorithm);
  return found;
}

TEST(Resolve, NothingIsChosenBeforeRankAndBatchAreKnown) {
  for (const auto& t : program({.grid = {.data = 2}, .batch = 8}).transfers) {
    EXPECT_EQ(t.algorithm, Algorithm::automatic);
    EXPECT_EQ(t.combine, collective::Combine::sum);
    EXPECT_EQ(t.type, t.purpose == Purpose::metric ? DataType::float64 : DataType::float32);
  }
}

TEST(Resolve, GradientsOfTheDataAxisLieInItsWindowAndTheLossDoesNot) {
  const auto resolved =
      resolve(program({.grid = {.data = 2}, .batch = 8, .bucket_bytes = Bytes(1)}), 1, 8, site({0, 0}));
  EXPECT_EQ(algorithms_of(resolved, Purpose::gradient), std::vector(3, Algorithm::window));
  EXPECT_EQ(algorithms_of(resolved, Purpose::metric), std::vector{Algorithm::recursive_doubling});
  const auto apart = resolve(program({.grid = {.data = 2}, .batch = 8}), 1, 8, site({0, 1}));
  EXPECT_EQ(algorithms_of(apart, Purpose::gradient), std::vector(3, Algorithm::ring));
  EXPECT_EQ(algorithms_of(apart, Purpose::metric), std::vector{Algorithm::mpi});
}

TEST(Resolve, ActivationsAreChosenBySizeOfTheirMicroBatch) {
  // Six floats a sample: 24 bytes of one, 120 of five.
  const auto split = program({.grid = {.tensor = 2}, .batch = 6, .pipeline = {.microbatches = 2}});
  EXPECT_EQ(algorithms_of(resolve(split, 0, 6, site({0, 0})), Purpose::activation),
            std::vector(2, Algorithm::recursive_doubling));
  EXPECT_EQ(algorithms_of(resolve(split, 0, 9, site({0, 0})), Purpose::activation),
            (std::vector{Algorithm::recursive_doubling, Algorithm::halving_doubling}));
  EXPECT_EQ(algorithms_of(resolve(split, 0, 10, site({0, 0})), Purpose::activation),
            std::vector(2, Algorithm::halving_doubling));
}

TEST(Resolve, WhatIsAskedIsTakenAndTheDeterministicModeOverridesIt) {
  const plan::Request asked{.grid = {.data = 2}, .batch = 8, .algorithm = Algorithm::ring};
  auto deterministic = asked;
  deterministic.grains = 8;
  deterministic.pipeline.microbatches = 4;
  for (const auto purpose : {Purpose::gradient, Purpose::metric}) {
    EXPECT_EQ(algorithms_of(resolve(program(asked), 0, 8, site({})), purpose).front(), Algorithm::ring);
    EXPECT_EQ(algorithms_of(resolve(program(deterministic), 0, 8, site({})), purpose).front(),
              Algorithm::recursive_doubling);
  }
}

TEST(Resolve, BuffersThatRanksReachAreReducedWhereTheyLieIfTheAlgorithmCan) {
  auto devices = site({0, 0});
  devices.reached = {Axis::data};
  for (const auto algorithm : {Algorithm::automatic, Algorithm::ring, Algorithm::recursive_doubling}) {
    const auto p = program({.grid = {.data = 2}, .batch = 8, .algorithm = algorithm});
    for (const auto& t : p.transfers) {
      const auto [spec, at] = resolve(p, t, 0, 8, devices);
      EXPECT_EQ(spec.algorithm, algorithm == Algorithm::automatic ? Algorithm::window : algorithm);
      EXPECT_EQ(at.reached, algorithm != Algorithm::recursive_doubling);
      EXPECT_EQ(at.in_window, algorithm == Algorithm::recursive_doubling && t.purpose == Purpose::gradient);
    }
  }
}

/// Random grids on random nodes, with micro-batches of uneven sizes: as ranks of a collective would refuse to
/// run it otherwise.
TEST(Resolve, MembersOfACollectiveChooseAlike) {
  std::mt19937 random(7);
  const auto between = [&](int least, int most) {
    return std::uniform_int_distribution(least, most)(random);
  };
  int seen = 0;
  for (int repetition = 0; repetition < 60; ++repetition) {
    const topology::GridExtent grid{
        .data = between(1, 3), .pipeline = between(1, 2), .tensor = between(1, 3)};
    const std::int64_t batch = between(6, 19);
    std::vector<int> nodes;
    for (int r = 0; r < static_cast<int>(grid.size()); ++r)
      nodes.push_back(between(0, 1));
    const auto where = site(nodes);
    const auto split = plan::choose(mlp(), {.grid = grid, .batch = batch, .pipeline = {.microbatches = 2}});
    std::vector<Program> programs;
    for (int r = 0; r < static_cast<int>(grid.size()); ++r)
      programs.push_back(resolve(build_training_program(mlp(), split, topology::coordinate_of(grid, r), {}),
                                 r, batch, where));
    ProgramsByRank by_rank;
    for (const auto& program : programs)
      by_rank.push_back(&program);
    const Counterparts counterparts(by_rank);
    for (const auto g : counterparts.groups().ids()) {
      std::set<std::tuple<Algorithm, collective::Combine, DataType>> chosen;
      for (const auto& m : counterparts.members(g)) {
        const auto& t = programs[static_cast<std::size_t>(m.rank)].transfers[m.transfer];
        chosen.emplace(t.algorithm, t.combine, t.type);
        EXPECT_EQ(t.algorithm != Algorithm::automatic, t.operation == Operation::all_reduce);
      }
      EXPECT_EQ(chosen.size(), 1U) << to_string(grid);
      ++seen;
    }
  }
  EXPECT_GT(seen, 200);
}

}  // namespace
}  // namespace partita::step
