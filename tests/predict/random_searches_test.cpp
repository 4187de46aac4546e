/// Searches against all candidates simulated one by one: few fast, many in `Exhaustive`.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "runs.hpp"

namespace partita::predict {
namespace {

/// Seconds of a step of every candidate that the run takes, its placements and cuts among them.
std::vector<std::pair<Candidate, double>> all_simulated(const config::RunOptions& run, int ranks,
                                                        const machine::Machine& machine, std::int64_t batch,
                                                        const std::map<int, double>& speed = {}) {
  std::vector<std::pair<Candidate, double>> all;
  const auto& table = collective::AlgorithmTable::shipped();
  Splitter splitter(run, machine, speed);
  for (const auto& candidate : candidates_of(run, ranks))
    for (const auto& variant : splitter.variants_of(candidate)) {
      std::vector<base::Violation> violations;
      const auto options = with(run, variant);
      auto split = config::split_for_training(options, machine, violations, {.speed = speed});
      if (!split || !violations.empty()) continue;
      const auto subject = subject_of(options, std::move(*split), machine, table);
      all.emplace_back(variant,
                       predict(subject, {.machine = machine, .speed = speed}, batch, 3).step_seconds());
    }
  return all;
}

using Truth = std::vector<std::pair<Candidate, double>>;

/// Of equal ones the first.
const Truth::value_type& best_in(const Truth& all) {
  return *std::ranges::min_element(all, {}, &Truth::value_type::second);
}
double best_of(const Truth& all) { return best_in(all).second; }

/// That no candidate which was not simulated is better than the best; how many there are.
std::size_t check_ruled_out(const Plans& plans, const Truth& all) {
  std::size_t ruled_out = 0;
  for (const auto& outcome : plans.outcomes) {
    if (outcome.fate != Fate::bounded && outcome.fate != Fate::unshared) continue;
    ++ruled_out;
    const auto truth = std::ranges::find(all, outcome.candidate, &Truth::value_type::first);
    if (truth == all.end()) {
      ADD_FAILURE() << outcome.candidate.name();
      continue;
    }
    EXPECT_LE(outcome.bound_seconds, truth->second) << "a bound is never above the truth";
    EXPECT_GE(truth->second, best_of(all) * (1 - 1e-12)) << outcome.candidate.name();
  }
  return ruled_out;
}

/// Links that nodes of one to three ranks share, in one of the networks there are; in some of them messages
/// wait for their receivers, or keep gaps.
void add_links(machine::Machine& machine, std::mt19937& random) {
  const auto draw = [&](int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random);
  };
  const double taper = draw(1, 4), rate = std::pow(10, std::uniform_real_distribution<double>(7, 10)(random));
  const std::vector<machine::Topology> kinds = {
      {.kind = "crossbar", .extents = {}},
      {.kind = "fat-tree", .extents = {2}, .taper = taper},
      {.kind = "fat-tree", .extents = {1}, .taper = taper},
      {.kind = "rails", .extents = {2}},
      {.kind = "torus", .extents = {2, 500}},
      {.kind = "dragonfly", .extents = {1, 2, 500}, .taper = taper}};
  machine.levels[0].ranks = draw(1, 3);
  auto& between = machine.levels[1];
  between.topology = kinds[static_cast<std::size_t>(draw(0, 5))];
  between.topology.link_bytes_per_second = rate;
  between.protocols[0].rendezvous = draw(0, 1) == 0;
  if (draw(0, 2) == 0) between.protocols[0].gap_seconds = 1e-6;
}

/// Where messages meet a step can be late and the next one catch up: what is predicted is what many steps
/// take on average. Of some of these trainings one step in a few takes half of it.
TEST(Predictions, AreWhatManyStepsTakeOnAverage) {
  std::mt19937 random(11);
  int predictions = 0, uneven = 0;
  double most = 0;
  for (int trial = 0; trial < 50; ++trial) {
    const auto run = random_run(random);
    auto machine = random_machine(random);
    if (trial % 4 != 0) add_links(machine, random);
    if (trial % 3 == 0) machine.progress = machine::Progress::polled;
    const Supposed supposed{.machine = machine, .speed = {}};
    int number = 0;
    for (const auto& candidate : candidates_of(run, trial % 4 == 1 ? 8 : 4)) {
      if (trial != 5 && trial != 6 && trial != 45) continue;
      const auto subject = subject_of_candidate(run, candidate, machine);
      if (++number % 7 != 0 || !subject) continue;
      const auto of_many = predict(*subject, supposed, run.train.batch, 45).simulation;
      const double average = static_cast<double>(of_many.end_of(44) - of_many.end_of(4)) * 1e-12 / 40;
      const auto prediction = predict(*subject, supposed, run.train.batch, 3);
      most = std::max(most, std::abs(prediction.step_seconds() / average - 1));
      uneven += prediction.simulation.steps.size() > 3 ? 1 : 0;
      ++predictions;
    }
  }
  std::printf("%d predictions, %d of uneven steps; at most %.1f %% from the average of many steps\n",
              predictions, uneven, 100 * most);
  EXPECT_GT(uneven, 5);
  EXPECT_LT(uneven, predictions);
  EXPECT_LT(most, 0.1);
}

/// What a search says of plans all of which it simulates: no bound of one is above what it takes.
void bound_all(int trials) {
  std::mt19937 random(11);
  std::size_t plans_in_all = 0;
  double tightness = 0;
  for (int trial = 0; trial < trials; ++trial) {
    const auto run = random_run(random);
    auto machine = random_machine(random);
    if (trial % 4 != 0) add_links(machine, random);
    if (trial % 3 == 0) machine.progress = machine::Progress::polled;
    const int ranks = trial % 4 == 1 ? 8 : 4;
    std::map<int, double> speed;
    if (trial % 8 == 2) speed[trial % ranks] = 0.25;
    const auto plans =
        search(run, ranks, machine, collective::AlgorithmTable::shipped(), {.top = 100'000, .speed = speed});
    for (const auto& outcome : plans.outcomes) {
      if (outcome.fate != Fate::simulated) continue;
      EXPECT_LE(outcome.bound_seconds, *outcome.step_seconds) << trial << ": " << outcome.candidate.name();
      ++plans_in_all;
      tightness += outcome.bound_seconds / *outcome.step_seconds;
    }
  }
  std::printf("%zu plans; a bound is %.0f %% of the step on average\n", plans_in_all,
              100 * tightness / static_cast<double>(plans_in_all));
  EXPECT_GT(tightness, 0.3 * static_cast<double>(plans_in_all)) << "bounds say something";
}

/// On few ranks, one of which is slower or faster in every other training.
void search_on_one_machine(int trials) {
  std::mt19937 random(1), links(2);
  std::size_t ruled_out = 0;
  int crowded = 0;
  for (int trial = 0; trial < trials; ++trial) {
    const auto run = random_run(random);
    auto machine = random_machine(random);
    if (trial % 4 == 0) add_links(machine, links);
    if (trial % 8 == 0) machine.progress = machine::Progress::polled;
    if (trial % 3 == 2) machine.cores = {.number = 1 + trial % 2, .yield_seconds = 1e-6};
    const int ranks = std::uniform_int_distribution<int>(1, trial < trials / 16 ? 8 : 4)(random);
    std::map<int, double> speed;
    if (trial % 2 == 1) speed[trial % ranks] = trial % 4 == 1 ? 0.25 : 4;
    const auto all = all_simulated(run, ranks, machine, run.train.batch, speed);
    const auto plans =
        search(run, ranks, machine, collective::AlgorithmTable::shipped(), {.top = 1, .speed = speed});
    ASSERT_FALSE(all.empty());
    ASSERT_EQ(plans.outcomes.front().step_seconds, best_of(all))
        << trial << ": " << plans.outcomes.front().candidate.name();
    EXPECT_EQ(plans.outcomes.front().candidate.name(), best_in(all).first.name()) << trial;
    EXPECT_TRUE(plans.is_certain);
    crowded += plans.ranks_share_cores;
    EXPECT_EQ(plans.outcomes.size() - plans.count(Fate::impossible), all.size());
    for (const auto& outcome : plans.outcomes)
      EXPECT_TRUE(outcome.known_as.empty() || outcome.fate == Fate::simulated ||
                  outcome.fate == Fate::impossible)
          << outcome.known_as;
    ruled_out += check_ruled_out(plans, all);
  }
  EXPECT_GT(ruled_out, static_cast<std::size_t>(trials) * 9 / 10) << "bounds rule out";
  EXPECT_GT(crowded, trials / 10) << "ranks share cores";
}

/// Ranks of several machines, some of which poll, single ones of another speed than theirs.
void search_on_several_machines(int trials) {
  std::mt19937 random(6), links(7);
  std::size_t ruled_out = 0;
  for (int trial = 0; trial < trials; ++trial) {
    const auto run = random_run(random);
    auto machine = random_machine(random);
    const int ranks = std::uniform_int_distribution<int>(2, trial < trials / 4 ? 8 : 4)(random);
    const int first = std::uniform_int_distribution<int>(0, ranks - 1)(random);
    machine.parts = {{.first = first, .last = first, .machine = random_machine(random)}};
    if (trial % 2 == 0)
      machine.parts.push_back({.first = first + 1, .last = 7, .machine = random_machine(random)});
    if (trial % 4 == 0) machine.parts[0].machine.progress = machine::Progress::polled;
    if (trial % 4 == 1) add_links(machine, links);
    std::map<int, double> speed;
    if (trial % 3 == 1) speed[trial % ranks] = 0.25;
    const auto all = all_simulated(run, ranks, machine, run.train.batch, speed);
    const auto plans =
        search(run, ranks, machine, collective::AlgorithmTable::shipped(), {.top = 1, .speed = speed});
    ASSERT_EQ(plans.outcomes.front().step_seconds, best_of(all))
        << trial << ": " << plans.outcomes.front().candidate.name();
    EXPECT_EQ(plans.outcomes.front().candidate.name(), best_in(all).first.name()) << trial;
    EXPECT_TRUE(plans.is_certain);
    ruled_out += check_ruled_out(plans, all);
  }
  EXPECT_GT(ruled_out, static_cast<std::size_t>(trials) * 9 / 10) << "bounds rule out";
}

/// The last step of which is smaller.
void search_for_epochs(int trials) {
  std::mt19937 random(2);
  for (int trial = 0; trial < trials; ++trial) {
    const auto run = random_run(random);
    const auto machine = random_machine(random);
    const auto batch = run.train.batch, samples = 3 * batch + 1 + batch / 2;
    auto all = all_simulated(run, 4, machine, batch);
    const auto last = all_simulated(run, 4, machine, samples % batch);
    for (std::size_t c = 0; c < all.size(); ++c)
      all[c].second = 3 * all[c].second + last[c].second;
    const auto plans = search(run, 4, machine, collective::AlgorithmTable::shipped(),
                              {.objective = Objective::epoch, .top = 1, .samples = samples});
    EXPECT_EQ(plans.outcomes.front().epoch_seconds, best_of(all));
    EXPECT_TRUE(plans.is_certain);
    for (const auto& outcome : plans.outcomes)
      if (outcome.fate == Fate::bounded) {
        EXPECT_LE(outcome.epoch_bound_seconds,
                  std::ranges::find(all, outcome.candidate, &Truth::value_type::first)->second);
      }
  }
}

TEST(Search, FindsTheBestOfAllCandidates) { search_on_one_machine(32); }
TEST(Search, FindsTheBestOfAllCandidatesOnSeveralMachines) { search_on_several_machines(12); }
TEST(Search, CountsAllStepsOfAnEpoch) { search_for_epochs(3); }
TEST(Search, BoundsNoPlanAboveWhatItTakes) { bound_all(9); }
TEST(Exhaustive, BoundsNoPlanAboveWhatItTakes) { bound_all(400); }
TEST(Exhaustive, FindsTheBestOfAllCandidates) { search_on_one_machine(320); }
TEST(Exhaustive, FindsTheBestOfAllCandidatesOnSeveralMachines) { search_on_several_machines(80); }
TEST(Exhaustive, CountsAllStepsOfAnEpoch) { search_for_epochs(10); }

/// Beyond 64 ranks links are shared by those alone that may win.
TEST(Search, SharesLinksOfContenders) {
  std::mt19937 random(4);
  std::size_t unshared = 0, gaps = 0, short_of_room = 0;
  const int ranks = 66;
  const auto& table = collective::AlgorithmTable::shipped();
  for (int trial = 0; trial < 4; ++trial) {
    const auto run = run_of(tests::model_of("40", {"linear 60", "linear 10"}), 6);
    auto machine = random_machine(random);
    machine.levels[0].ranks = 33;
    machine.levels[1].topology = {.kind = "crossbar", .link_bytes_per_second = 2e8};
    if (trial % 2 == 1) machine.progress = machine::Progress::polled;
    const auto all = all_simulated(run, ranks, machine, run.train.batch);
    const auto plans = search(run, ranks, machine, table, {.top = 1});
    EXPECT_EQ(plans.outcomes.front().step_seconds, best_of(all));
    EXPECT_TRUE(plans.is_certain);
    EXPECT_FALSE(plans.left_out.any());
    check_ruled_out(plans, all);
    unshared += plans.count(Fate::unshared);

    // As a run places them: what all ranks do alike has no rounds, and needs no room.
    const auto loose = search(run, ranks, machine, table, {.top = 1, .choices = 1, .most_full_rounds = 0});
    auto plain = all;
    std::erase_if(plain, [](const auto& one) { return one.first.placement > 1 || !one.first.cut.empty(); });
    EXPECT_TRUE(loose.left_out.meetings);
    EXPECT_EQ(loose.left_out.polling, trial % 2 == 1);
    EXPECT_EQ(loose.count(Fate::unshared), 0U);
    EXPECT_LE(*loose.outcomes.front().step_seconds, best_of(plain));

    for (const std::int64_t length : {0, 20'000, 40'000, 80'000}) {
      const auto part = search(run, ranks, machine, table, {.top = 1, .most_length = length});
      EXPECT_TRUE(length > 0 || part.count(Fate::simulated) == 1U) << "the first has room";
      EXPECT_GE(*part.outcomes.front().step_seconds, best_of(all));
      EXPECT_GE(best_of(all), (1 - part.gap) * *part.outcomes.front().step_seconds * (1 - 1e-12));
      EXPECT_EQ(part.is_certain, part.gap <= 0);
      short_of_room += part.gap > 0;
    }

    for (const std::int64_t rounds : {100, 500, 1000, 16000}) {
      const auto part = search(run, ranks, machine, table, {.top = 4, .most_full_rounds = rounds});
      EXPECT_FALSE(part.left_out.any() && part.is_certain) << "nothing is certain without what was left out";
      if (part.left_out.any()) continue;
      EXPECT_GE(*part.outcomes.front().step_seconds, best_of(all));
      EXPECT_GE(best_of(all), (1 - part.gap) * *part.outcomes.front().step_seconds * (1 - 1e-12));
      EXPECT_EQ(part.is_certain, part.gap <= 0);
      gaps += part.gap > 0;
    }
  }
  std::printf("%zu plans stay unshared, %zu searches have a gap, and %zu for lack of room\n", unshared, gaps,
              short_of_room);
  EXPECT_GT(unshared, 0U);
  EXPECT_GT(short_of_room, 0U);
  EXPECT_GT(gaps, 0U);
}

}  // namespace
}  // namespace partita::predict
