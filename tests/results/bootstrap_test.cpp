/// The rule of verdicts on recorded runs: how often equal configurations are flagged, and how often a
/// slowdown is found.
///
/// Recorded step times (tests/results/traces) are replayed by block bootstrap: a drawn run is made of blocks
/// of consecutive steps of one recorded run, so that it keeps the spread between runs and the memory within
/// one. Its losses and accuracy are those of a run with another seed. `busy` was made by record_traces.py
/// beside four to six other processes on two cores: there the mean step is half as long again as the median
/// and varies by a quarter from run to run, and two ranks wait for each other's time slices. `quiet` was
/// recorded on the same machine without company, always with the first seed (the CNN without evaluation:
/// nan). All draws are fixed by their seeds; PARTITA_BOOTSTRAP_DRAWS sets how many there are.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <random>
#include <sstream>

#include "partita/results/comparison.hpp"

namespace partita::results::test {
namespace {

constexpr std::size_t block_steps = 40;

struct Recorded {
  double train_loss = 0, test_loss = 0, test_accuracy = 0;
  std::vector<double> seconds;
};

std::vector<Recorded> recorded(const std::string& trace) {
  std::ifstream file(std::string(PARTITA_TRACES) + "/" + trace + ".txt");
  std::vector<Recorded> runs;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::vector<double> numbers;
    for (std::string word; words >> word;)
      numbers.push_back(std::strtod(word.c_str(), nullptr));  // takes "nan", as a stream does not
    Recorded run{.train_loss = numbers[1], .test_loss = numbers[2], .test_accuracy = numbers[3]};
    for (std::size_t i = 4; i < numbers.size(); ++i)
      run.seconds.push_back(numbers[i] * 1e-7);
    runs.push_back(std::move(run));
  }
  if (runs.size() < 6) throw std::runtime_error("too few runs in " + trace);
  return runs;
}

std::size_t draws() {
  const char* asked = std::getenv("PARTITA_BOOTSTRAP_DRAWS");
  return asked ? static_cast<std::size_t>(std::atoi(asked)) : 100;
}

class Bootstrap {
 public:
  /// Step times of `machine`/`workload`; losses and accuracies of the workload's runs with twelve seeds.
  Bootstrap(const std::string& machine, const std::string& workload, std::size_t stream)
      : times_(recorded(machine + "/" + workload)), quality_(recorded("busy/" + workload)) {
    std::string name = machine + workload + std::to_string(stream);
    std::seed_seq seed(name.begin(), name.end());
    random_.seed(seed);
  }

  RunGroup group(const std::string& name, std::size_t runs, double slowdown = 1) {
    RunGroup group{.name = name, .runs = {}};
    for (std::size_t i = 0; i < runs; ++i)
      group.runs.push_back({.path = name + std::to_string(i), .record = run(slowdown)});
    return group;
  }

 private:
  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }

  RunRecord run(double slowdown) {
    const auto& times = times_[below(times_.size())].seconds;
    const auto& quality = quality_[below(quality_.size())];
    const std::size_t steps = times.size();
    RunRecord record;
    auto& s = record.steps;
    for (std::size_t step = 0, at = 0; step < steps; ++step, ++at) {
      if (step % block_steps == 0) at = below(steps - block_steps + 1);
      s.seconds.push_back(times[at] * slowdown);
    }
    s.rank_seconds = s.seconds;
    s.loss.assign(steps, quality.train_loss);
    s.learning_rate.assign(steps, 0.01);
    s.samples.assign(steps, 64);
    for (auto& phase : s.phase)
      phase.assign(steps, 0);
    record.epochs = {{.epoch = 1,
                      .train_loss = quality.train_loss,
                      .test_loss = quality.test_loss,
                      .test_accuracy = quality.test_accuracy}};
    return record;
  }

  std::vector<Recorded> times_, quality_;
  std::mt19937 random_;
};

struct Trace {
  const char *machine, *workload;
  std::size_t runs_to_find;  ///< a side, that 5 % take; 0: cannot be found
};
constexpr Trace traces[] = {{"quiet", "digits_cnn_1_rank", 5},
                            {"quiet", "digits_mlp_1_rank", 5},
                            {"busy", "digits_cnn_1_rank", 15},
                            {"busy", "digits_mlp_1_rank", 10},
                            {"busy", "digits_mlp_2_ranks", 0}};

void print(const Trace& trace, std::size_t runs, const char* what, double share) {
  std::cout << trace.machine << ' ' << trace.workload << ", " << runs << " runs a side: " << what << " in "
            << 100 * share << " % of " << draws() << " comparisons\n";
}

/// Any gated metric counts that is not "~": five verdicts a comparison.
TEST(Bootstrap, FlagsEqualConfigurationsInAtMostFivePercentOfAllComparisons) {
  for (const auto& trace : traces) {
    std::size_t flagged = 0;
    for (const std::size_t runs : {5, 10}) {
      Bootstrap bootstrap(trace.machine, trace.workload, runs);
      std::size_t here = 0;
      for (std::size_t draw = 0; draw < draws(); ++draw) {
        const auto rows = compare(bootstrap.group("a", runs), bootstrap.group("b", runs), {});
        here += std::ranges::any_of(
            rows, [](const ComparedMetric& m) { return m.gated && m.verdict != Verdict::same; });
      }
      print(trace, runs, "equal runs flagged", static_cast<double>(here) / static_cast<double>(draws()));
      flagged += here;
    }
    EXPECT_LE(static_cast<double>(flagged), 0.05 * static_cast<double>(2 * draws())) << trace.workload;
  }
}

/// Of `draws` comparisons, the share that calls a step that is 5 % longer worse.
double found(const Trace& trace, std::size_t runs) {
  Bootstrap bootstrap(trace.machine, trace.workload, 100 + runs);
  std::size_t worse = 0;
  for (std::size_t draw = 0; draw < draws(); ++draw) {
    const auto rows = compare(bootstrap.group("a", runs), bootstrap.group("b", runs, 1.05), {});
    worse += std::ranges::find(rows, "step_time", &ComparedMetric::name)->verdict == Verdict::worse;
  }
  const double share = static_cast<double>(worse) / static_cast<double>(draws());
  print(trace, runs, "5 % found", share);
  return share;
}

TEST(Bootstrap, FindsFivePercentInAtLeastNinetyFivePercent) {
  for (const auto& trace : traces) {
    if (trace.runs_to_find == 0) continue;
    EXPECT_GE(found(trace, trace.runs_to_find), 0.95) << trace.workload;
  }
}

}  // namespace
}  // namespace partita::results::test
