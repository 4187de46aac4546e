/// What a search leaves out, keeps and says.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

#include "runs.hpp"

namespace partita::predict {
namespace {

/// Stages of a rank each: the fast one gets most of twelve equal layers, whichever it is.
TEST(Search, GivesFastRanksMore) {
  const auto run = run_of(tests::model_of("200", std::vector<std::string>(12, "linear 200")), 64);
  for (const int fast : {0, 1}) {
    machine::Machine machine = machine::Machine::shipped();
    machine.parts = {{.first = fast, .last = fast, .machine = machine}};
    machine.parts[0].machine.flops_per_second *= 3;
    const auto split = subject_on(run, {.pipeline = 2}, machine, 4).split;
    EXPECT_EQ(split.plan.partition[1], fast == 0 ? 9 : 3);
    const auto evenly = subject_on(run, {.pipeline = 2}, machine::Machine::shipped(), 4);
    EXPECT_EQ(evenly.split.plan.partition[1], 6);
    const auto step_of = [&](const Subject& subject) {
      return predict(subject, {.machine = machine, .speed = {}}, 64, 3).step_seconds();
    };
    EXPECT_LT(step_of(subject_on(run, {.pipeline = 2}, machine, 4)), step_of(evenly));
  }
}

/// Each is the best simulated plan of a grid and pipeline of its own, as long as there are such.
TEST(Search, TriesPlansThatDifferInMoreThanPlacementAndCut) {
  std::mt19937 random(8);
  const auto& table = collective::AlgorithmTable::shipped();
  std::size_t passed_over = 0;
  for (int trial = 0; trial < 12; ++trial) {
    const auto run = random_run(random);
    const auto plans = search(run, 4, random_machine(random), table, {.top = 3, .pipelines = 3});
    std::map<std::string, double> best_of_pipeline;
    for (const auto& outcome : plans.outcomes)
      if (outcome.fate == Fate::simulated)
        best_of_pipeline.try_emplace(outcome.candidate.without_variant().name(), *outcome.step_seconds);
    ASSERT_GE(best_of_pipeline.size(), 3U);
    std::vector<double> best, tried;
    for (const auto& [pipeline, seconds] : best_of_pipeline)
      best.push_back(seconds);
    std::ranges::sort(best);
    for (const auto* outcome : contenders(plans, 3))
      tried.push_back(*outcome->step_seconds);
    EXPECT_EQ(tried, std::vector(best.begin(), best.begin() + 3)) << trial;
    passed_over += plans.outcomes[2].step_seconds < tried[2];
  }
  EXPECT_GT(passed_over, 0U) << "variants come before other pipelines";
}

/// One layer on two ranks: data or tensor parallelism, and of the latter two placements more.
TEST(Search, TriesVariantsWherePipelinesAreFew) {
  const auto run = run_of(tests::model_of("40", {"linear 30"}), 8);
  const auto plans = search(run, 2, machine::Machine::shipped(), collective::AlgorithmTable::shipped(), {});
  const auto tried = contenders(plans, 3);
  ASSERT_EQ(tried.size(), 3U);
  EXPECT_TRUE(std::ranges::is_sorted(tried, {}, [](const auto* outcome) { return *outcome->step_seconds; }));
  EXPECT_EQ(std::ranges::count(tried, 1, [](const auto* outcome) { return outcome->candidate.grid.tensor; }),
            1);
  EXPECT_EQ(contenders(plans, 1), std::vector{&plans.outcomes.front()});
  EXPECT_EQ(contenders(plans, 100).size(), plans.count(Fate::simulated));
}

/// Two ranks send each other the gradients of a million weights, which dwarfs what they compute.
TEST(Search, LooksFirstAtWhatRanksTakeAlone) {
  auto run = run_of(tests::model_of("1000", {"linear 1000"}), 2);
  run.sync.algorithm = collective::Algorithm::ring;
  machine::Machine machine = machine::Machine::shipped();
  machine.levels = {
      {.name = "node",
       .ranks = 1000,
       .protocols = {
           {.send_seconds = 1e-6, .latency_seconds = 1e-6, .byte_seconds = 1e-6, .rendezvous = true}}}};
  const auto plans = search(run, 2, machine, collective::AlgorithmTable::shipped(), {});
  const auto data = std::ranges::find(plans.outcomes, "data=2 pipeline=1 tensor=1",
                                      [](const Outcome& o) { return o.candidate.name(); });
  ASSERT_NE(data, plans.outcomes.end());
  EXPECT_GE(data->alone_seconds, 4 * 1000 * 1000 * 1e-6);
  EXPECT_LE(data->alone_seconds, 1.01 * *data->step_seconds);
}

/// The second of two stages is slow, and busy all the time with however many micro-batches: which of them a
/// search names does not depend on how many plans it simulates.
TEST(Search, NamesTheFirstOfEqualPlans) {
  const auto run =
      run_of(tests::model_of("200", {"linear 100", "relu", "linear 100", "relu", "linear 5"}), 20);
  machine::Machine machine = machine::Machine::shipped();
  machine.flops_per_second = 1e9;
  const auto& table = collective::AlgorithmTable::shipped();
  const auto all = search(run, 2, machine, table, {.top = 1000, .speed = {{1, 0.25}}});
  ASSERT_EQ(all.outcomes[0].step_seconds, all.outcomes[1].step_seconds);
  for (const std::size_t top : {1, 3, 10}) {
    const auto best = search(run, 2, machine, table, {.top = top, .speed = {{1, 0.25}}}).outcomes.front();
    EXPECT_EQ(best.candidate.name(), all.outcomes[0].candidate.name()) << top;
  }
}

/// What decides is an epoch or a step, and plans are looked at in the same order: where an epoch is of equal
/// steps, as many are ruled out, though sixteen ranks share links.
TEST(Search, LooksAtNoMorePlansForAnEpochThanForAStep) {
  const auto run = run_of(tests::model_of("60", {"linear 80", "relu", "linear 10"}), 64);
  machine::Machine machine = machine::Machine::shipped();
  machine.levels = {{.name = "node",
                     .ranks = 1024,
                     .protocols = {{.latency_seconds = 1e-7, .byte_seconds = 1e-11}},
                     .topology = {.kind = "crossbar", .extents = {}, .link_bytes_per_second = 1e11}}};
  const auto& table = collective::AlgorithmTable::shipped();
  const auto step = search(run, 16, machine, table, {});
  const auto epoch = search(run, 16, machine, table, {.objective = Objective::epoch, .samples = 6400});
  EXPECT_GT(step.count(Fate::bounded), 0U);
  EXPECT_GT(step.count(Fate::unshared), 0U);
  for (const auto fate : {Fate::simulated, Fate::unshared, Fate::bounded})
    EXPECT_EQ(epoch.count(fate), step.count(fate)) << static_cast<int>(fate);
  EXPECT_EQ(epoch.outcomes.front().candidate.name(), step.outcomes.front().candidate.name());
}

/// On nodes of eight ranks and four cores.
TEST(Search, SaysWhereRanksShareCores) {
  auto run = run_of(tests::model_of("100", {"linear 100", "linear 10"}), 64);
  auto machine = machine::Machine::shipped();
  machine.levels = {{.name = "node", .ranks = 8, .protocols = {{}}}, {.name = "cluster", .protocols = {{}}}};
  machine.cores.number = 4;
  const auto& table = collective::AlgorithmTable::shipped();
  for (const auto& [ranks, threads, crowding] : {std::tuple(4, 1, 1.0),
                                                 {4, 2, 2.0},
                                                 {4, 8, 4.0},
                                                 {1, 8, 1.0},
                                                 {2, 3, 1.5},
                                                 {6, 1, 1.5},
                                                 {8, 1, 2.0},
                                                 {12, 1, 2.0}}) {
    SCOPED_TRACE(std::to_string(ranks) + " ranks of " + std::to_string(threads));
    run.threads = threads;
    EXPECT_EQ(execution_of(run, ranks, machine).crowding, crowding);
    EXPECT_EQ(execution_of(run, ranks, machine::Machine::shipped()).crowding, 1) << "nobody says";
    run.backend = config::Backend::cuda;
    EXPECT_EQ(execution_of(run, ranks, machine).crowding, 1) << "devices compute";
    run.backend = config::Backend::cpu;
    const auto shared = search(run, ranks, machine, table, {.top = 1});
    EXPECT_EQ(shared.ranks_share_cores, crowding > 1);
    EXPECT_TRUE(shared.is_certain);
    machine.cores.number = 0;
    const auto loose = search(run, ranks, machine, table, {.top = 1});
    machine.cores.number = 4;
    EXPECT_FALSE(loose.ranks_share_cores);
    if (crowding > 1) {
      EXPECT_GT(shared.outcomes.front().step_seconds, loose.outcomes.front().step_seconds);
    } else {
      EXPECT_EQ(shared.outcomes.front().step_seconds, loose.outcomes.front().step_seconds);
    }
  }
}

TEST(Search, LeavesOutWhatDoesNotFit) {
  const auto run = run_of(tests::model_of("100", {"linear 100", "linear 100", "linear 100"}), 64);
  const auto& machine = machine::Machine::shipped();
  const auto& table = collective::AlgorithmTable::shipped();
  const auto free = search(run, 4, machine, table, {.objective = Objective::memory, .top = 1000});
  auto least = free.outcomes.front().memory, most = least;
  for (const auto& outcome : free.outcomes)
    least = std::min(least, outcome.memory), most = std::max(most, outcome.memory);
  ASSERT_LT(least, most);
  const auto tight = search(run, 4, machine, table, {.memory = least});
  EXPECT_EQ(tight.outcomes.front().memory, least);
  EXPECT_GT(tight.count(Fate::too_large), 0U);
  const auto none = search(run, 4, machine, table, {.memory = least - kernels::Bytes(1)});
  EXPECT_EQ(none.count(Fate::simulated), 0U);
  EXPECT_FALSE(none.is_certain);
  const auto smallest = search(run, 4, machine, table, {.objective = Objective::memory});
  EXPECT_EQ(smallest.outcomes.front().memory, least);
}

/// Where memory counts ranks may share states, gradients and parameters: of all that fits the quickest is
/// found.
TEST(Search, SharesWhatDoesNotFitOtherwise) {
  auto run = run_of(tests::model_of("100", {"linear 100", "linear 100", "linear 100"}), 64);
  run.train.optimizer = {.rule = kernels::OptimizerRule::lamb};  // which knows no shares of tensors
  const auto& machine = machine::Machine::shipped();
  const auto& table = collective::AlgorithmTable::shipped();
  struct Plan {
    std::string name;
    double seconds;
    kernels::Bytes memory;
  };
  std::vector<Plan> plans;
  Splitter splitter(run, machine);
  for (const auto& candidate : candidates_of(run, 4, Shares::all))
    for (const auto& variant : splitter.variants_of(candidate)) {
      std::vector<base::Violation> violations;
      const auto options = with(run, variant);
      auto split = config::split_for_training(options, machine, violations);
      if (!split || !violations.empty()) continue;
      const auto subject = subject_of(options, std::move(*split), machine, table);
      kernels::Bytes most{};
      for (const auto& row :
           memory_of(subject, roles_of(subject), std::array{run.train.batch}, std::array{0, 1, 2, 3}))
        most = std::max(most, row.total());
      plans.push_back({variant.name(), predict(subject, {.machine = machine}, 64, 3).step_seconds(), most});
    }
  std::ranges::stable_sort(plans, {}, &Plan::memory);
  std::size_t sharing = 0;
  for (std::size_t limit = 0; limit < plans.size(); limit += 40) {
    const auto fitting = std::span(plans).first(limit + 1);
    const auto best = std::ranges::min_element(fitting, {}, &Plan::seconds);
    const auto found = search(run, 4, machine, table, {.memory = plans[limit].memory});
    EXPECT_EQ(found.outcomes.front().step_seconds, best->seconds) << found.outcomes.front().candidate.name();
    EXPECT_LE(found.outcomes.front().memory, plans[limit].memory);
    const auto written = with(run, found.outcomes.front().candidate);
    sharing += written.sync.split != step::Split::none;
  }
  EXPECT_GT(sharing, 0U);
  // Without a limit, and where the run says what is shared, there are no others.
  for (const auto& outcome : search(run, 4, machine, table, {}).outcomes)
    EXPECT_FALSE(outcome.candidate.split);
  run.sync.split = step::Split::gradient;
  for (const auto& candidate : candidates_of(run, 4, Shares::all))
    EXPECT_FALSE(candidate.split);
}

/// Of 5 samples on two data ranks the second has 3, and needs more.
TEST(Search, CountsTheMemoryOfTheLargestShare) {
  const auto total = [](const results::MemoryRow& m) {
    return m.parameters + m.gradients + m.optimizer_state + m.activations + m.communication_buffers;
  };
  for (const int batch : {5, 7, 13, 30}) {
    const auto run = run_of(tests::model_of("100", {"linear 90", "relu", "linear 40", "linear 10"}), batch);
    const auto& machine = machine::Machine::shipped();
    const auto plans = search(run, 4, machine, collective::AlgorithmTable::shipped(), {.top = 1000});
    for (const auto& outcome : plans.outcomes) {
      if (outcome.fate != Fate::simulated) continue;
      const auto options = with(run, outcome.candidate);
      std::vector<base::Violation> violations;
      auto split = config::split_for_training(options, machine, violations);
      const auto subject =
          subject_of(options, std::move(*split), machine, collective::AlgorithmTable::shipped());
      kernels::Bytes most{};
      for (const auto& m :
           memory_of(subject, roles_of(subject), std::array{std::int64_t{batch}}, std::array{0, 1, 2, 3}))
        most = std::max(most, total(m));
      EXPECT_EQ(outcome.memory, most) << batch << ": " << outcome.candidate.name();
    }
  }
}

TEST(Search, KeepsMicrobatchesWhereTheModelSharesStatistics) {
  auto run =
      run_of(tests::model_of("1x6x6", {"conv 4 kernel=3", "batchnorm", "relu", "flatten", "linear 3"}), 32);
  run.pipeline.microbatches = 2;
  for (const auto& candidate : candidates_of(run, 4))
    EXPECT_EQ(candidate.pipeline.microbatches, 2) << candidate.name();
}

}  // namespace
}  // namespace partita::predict
