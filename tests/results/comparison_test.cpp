/// What becomes of the metrics of two groups.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "groups.hpp"
#include "partita/results/reference.hpp"
#include "partita/results/scaling.hpp"

namespace partita::results::test {
namespace {

TEST(Compare, GivesVerdictsFromFiveRunsASideOn) {
  const auto slow = compare(group("a", 5), group("b", 5, 0.003), {});
  EXPECT_EQ(row(slow, "step_time").verdict, Verdict::worse);
  EXPECT_EQ(row(slow, "samples_per_second").verdict, Verdict::worse);
  EXPECT_NEAR(row(slow, "step_time").change.value(), 50, 0.1);
  EXPECT_NEAR(row(slow, "step_time").p.value(), 2.0 / 252, 1e-9);
  EXPECT_TRUE(has_regression(slow));
  const auto fast = compare(group("a", 5, 0.003), group("b", 5), {});
  EXPECT_EQ(row(fast, "step_time").verdict, Verdict::better);
  EXPECT_FALSE(has_regression(fast));
  const auto few = compare(group("a", 4), group("b", 5, 0.003), {});
  EXPECT_EQ(row(few, "step_time").verdict, Verdict::inconclusive);
  EXPECT_FALSE(has_regression(few));
}

TEST(Compare, FindsNothingBetweenAGroupAndItself) {
  for (std::size_t runs : {1, 4, 5, 9}) {
    const auto rows = compare(group("a", runs), group("b", runs), {});
    EXPECT_FALSE(has_regression(rows));
    for (const auto& m : rows) {
      EXPECT_TRUE(m.verdict == Verdict::same || (runs < 5 && m.verdict == Verdict::inconclusive)) << m.name;
      EXPECT_EQ(m.change.value(), 0) << m.name;
    }
  }
}

TEST(Compare, ShowsTwentyBlocksOfASingleRunWithoutAVerdict) {
  const auto rows = compare(group("a", 1), group("b", 1, 0.003), {});
  const auto& step = row(rows, "step_time");
  EXPECT_TRUE(step.before.within_run && step.after.within_run);
  EXPECT_EQ(step.before.values.size(), 20u);
  EXPECT_EQ(step.verdict, Verdict::inconclusive);
  EXPECT_FALSE(step.p.has_value());
  EXPECT_FALSE(has_regression(rows));
}

/// Steps whose times jump, so that means, medians and medians of block means all differ.
RunGroup uneven(const std::string& name, int data) {
  auto g = group(name, 1, 0.002, 65);
  auto& record = g.runs[0].record;
  record.attributes.grid.data = data;
  for (std::size_t s = 0; s < record.steps.count(); ++s)
    record.steps.seconds[s] = s % 3 == 0 ? 0.020 : 0.002 + 1e-5 * static_cast<double>(s);
  return g;
}

TEST(Compare, GivesARunOneValueOfAMetricEverywhere) {
  const auto a = uneven("a", 1), b = uneven("b", 2);
  const auto rows = compare(a, b, {});
  const auto scaling = scaling_table({a, b}).rows;
  ASSERT_EQ(scaling.size(), 2u);
  EXPECT_EQ(row(rows, "samples_per_second").before.median, scaling[0].samples_per_second);
  EXPECT_EQ(row(rows, "samples_per_second").after.median, scaling[1].samples_per_second);
  for (const auto& metric : metrics_of(b.runs[0].record)) {
    if (metric.value == 0 || std::isnan(metric.value)) continue;
    std::vector<base::Violation> violations;
    const auto checked =
        check_references(std::vector{Reference{.metric = metric.name, .target = 1}}, b, violations);
    const auto& side = row(rows, metric.name).after;
    EXPECT_EQ(side.median, metric.value) << metric.name;
    EXPECT_EQ(side.median, checked.at(0).median) << metric.name;
    if (!side.within_run) continue;
    EXPECT_LE(side.interval.low, side.median) << metric.name;
    EXPECT_GE(side.interval.high, side.median) << metric.name;
  }
  const auto step = row(rows, "step_time").after, rate = row(rows, "samples_per_second").after;
  EXPECT_NE(rate.median, median(rate.values)) << "or the times above tell nothing apart";
  EXPECT_NE(step.median, median(step.values));
  const auto mean = row(rows, "geometric_mean");
  EXPECT_EQ(mean.change.value(), 0) << "both are the same run";
}

TEST(Compare, LeavesOutTheFirstFiveSteps) {
  auto a = group("a", 1, 0.002, 7);
  a.runs[0].record.steps.seconds = {9, 9, 9, 9, 9, 1, 3};
  const auto rows = compare(a, a, {});
  EXPECT_EQ(row(rows, "step_time").before.median, 2);
}

TEST(Compare, TakesBytesExactly) {
  auto a = group("a", 1), b = group("b", 1);
  b.runs[0].record.traffic[0].counts.wire_bytes += Bytes(1);
  const auto rows = compare(a, b, {.threshold_percent = 50});
  EXPECT_EQ(row(rows, "wire_bytes.data.all_reduce.gradient").verdict, Verdict::worse);
  EXPECT_EQ(row(rows, "wire_bytes.data.barrier.gradient").verdict, Verdict::same);
  EXPECT_TRUE(has_regression(rows));
  EXPECT_EQ(row(compare(b, a, {}), "wire_bytes.data.all_reduce.gradient").verdict, Verdict::better);
}

TEST(Compare, ChecksBytesOnlyWhereGridAlgorithmBatchStepsAndCheckpointsAgree) {
  const auto a = group("a", 1);
  const auto changed = [&](auto change) {
    auto b = group("b", 1);
    b.runs[0].record.traffic[0].counts.wire_bytes += Bytes(1);
    change(b.runs[0].record);
    const auto rows = compare(a, b, {});
    EXPECT_FALSE(has_regression(rows));
    return row(rows, "wire_bytes.data.all_reduce.gradient").verdict;
  };
  EXPECT_EQ(changed([](RunRecord& r) { r.attributes.grid.data = 3; }), Verdict::incomparable);
  EXPECT_EQ(changed([](RunRecord& r) { r.attributes.algorithm = "window"; }), Verdict::incomparable);
  EXPECT_EQ(changed([](RunRecord& r) { r.attributes.batch = 65; }), Verdict::incomparable);
  EXPECT_EQ(changed([](RunRecord& r) { r.steps = sample_record(44).steps; }), Verdict::incomparable);
  for (const std::string key : {"every", "seconds"})
    EXPECT_EQ(changed([&](RunRecord& r) { r.attributes.config += "[checkpoint]\n" + key + " = 9\n"; }),
              Verdict::incomparable)
        << key;
}

TEST(Compare, CountsMissingTrafficAsNoBytes) {
  auto a = group("a", 1), b = group("b", 1);
  a.runs[0].record.traffic.clear();
  EXPECT_EQ(row(compare(a, b, {}), "wire_bytes.data.all_reduce.gradient").verdict, Verdict::worse);
}

TEST(Compare, KeepsTheOrderOfMetricsThatOnlyOneSideHas) {
  auto a = group("a", 1), b = group("b", 1);
  a.runs[0].record.traffic.clear();
  a.runs[0].record.epochs.clear();
  std::vector<std::string> one, both;
  for (const auto& m : compare(b, b, {}))
    one.push_back(m.name);
  for (const auto& m : compare(a, b, {}))
    both.push_back(m.name);
  EXPECT_EQ(one, both);
}

TEST(Compare, TellsPurposesApart) {
  auto a = group("a", 1), b = group("b", 1);
  b.runs[0].record.traffic[0].key.purpose = collective::Purpose::parameter;
  const auto rows = compare(a, b, {});
  EXPECT_EQ(row(rows, "wire_bytes.data.all_reduce.gradient").verdict, Verdict::better);
  EXPECT_EQ(row(rows, "wire_bytes.data.all_reduce.parameter").verdict, Verdict::worse);
}

TEST(Compare, CountsTrainingTrafficOnly) {
  auto a = group("a", 1), b = group("b", 1);
  for (auto& r : b.runs[0].record.traffic)
    r.key.activity = collective::Activity::evaluate;
  EXPECT_EQ(row(compare(a, b, {}), "wire_bytes.data.all_reduce.gradient").after.median, 0);
}

TEST(Compare, JudgesAccuracyInPoints) {
  auto a = group("a", 5), better = group("b", 5), worse = group("c", 5), close = group("d", 5);
  const auto set = [](RunGroup& g, double first) {
    for (std::size_t i = 0; i < g.runs.size(); ++i)
      g.runs[i].record.epochs.back().test_accuracy = first + 1e-5 * static_cast<double>(i);
  };
  set(a, 0.9700);
  set(better, 0.9720);
  set(worse, 0.9680);
  set(close, 0.9688);
  EXPECT_EQ(row(compare(a, better, {}), "test_accuracy").verdict, Verdict::better);
  EXPECT_EQ(row(compare(a, worse, {}), "test_accuracy").verdict, Verdict::worse);
  EXPECT_EQ(row(compare(a, close, {}), "test_accuracy").verdict, Verdict::same);
  EXPECT_NEAR(row(compare(a, close, {}), "test_accuracy").change.value(), -0.12, 1e-9);
}

TEST(Compare, CallsEverythingIncomparableWhenWorkloadsDiffer) {
  auto a = group("a", 5), b = group("b", 5, 0.003);
  for (auto& run : b.runs)
    run.record.attributes.model = "lenet5";
  const auto rows = compare(a, b, {});
  for (const auto& m : rows)
    EXPECT_EQ(m.verdict, Verdict::incomparable) << m.name;
  EXPECT_FALSE(has_regression(rows));
}

TEST(Compare, KnowsWhichWayABenchmarkIsBetter) {
  auto a = group("a", 5), b = group("b", 5);
  const auto set = [](RunGroup& g, double seconds, double rate) {
    for (auto& run : g.runs)
      run.record.benchmarks = {{"copy", "bytes=64", "s", 0, seconds}, {"gemm", "n=512", "GFLOP/s", 0, rate}};
  };
  set(a, 1, 100);
  set(b, 2, 200);
  // One repetition each in five runs a side.
  EXPECT_EQ(row(compare(a, b, {}), "copy bytes=64").verdict, Verdict::worse);
  EXPECT_EQ(row(compare(a, b, {}), "gemm n=512").verdict, Verdict::better);
}

TEST(Compare, SaysIncomparableForNaN) {
  auto a = group("a", 5), b = group("b", 5);
  for (auto& run : b.runs)
    run.record.epochs.back().train_loss = not_measured;
  EXPECT_EQ(row(compare(a, b, {}), "train_loss").verdict, Verdict::incomparable);
}

TEST(Compare, CorrectsTheGatedMetricsTogether) {
  auto a = group("a", 5), b = group("b", 5);
  const std::vector<double> slow{0.0020025, 0.0031, 0.0032, 0.0033, 0.0034};  // two inversions
  for (std::size_t i = 0; i < 5; ++i)
    for (auto& s : b.runs[i].record.steps.seconds)
      s = slow[i];
  const auto rows = compare(a, b, {});
  const auto& step = row(rows, "step_time");
  // Losses, accuracy and time to accuracy are the same everywhere: only step time and throughput are tested.
  EXPECT_EQ(step.tested_together, 2u);
  EXPECT_NEAR(step.p.value(), 8.0 / 252, 1e-12);
  EXPECT_NEAR(step.p_corrected.value(), 16.0 / 252, 1e-12);
  EXPECT_EQ(step.verdict, Verdict::same) << "alone its p would be small";
  EXPECT_FALSE(row(rows, "phase.forward").p_corrected.has_value()) << "it does not gate";
}

TEST(Compare, FlagsASmallPOnlyWhereItOutlastsTheCorrection) {
  auto a = group("a", 6), b = group("b", 6, 0.003);
  for (auto* g : {&a, &b})
    for (std::size_t i = 0; i < 6; ++i)
      g->runs[i].record.epochs.back().train_loss = 0.25 + 0.001 * static_cast<double>(i * 5 % 7);
  const auto rows = compare(a, b, {});
  EXPECT_EQ(row(rows, "step_time").tested_together, 3u);
  EXPECT_NEAR(row(rows, "step_time").p_corrected.value(), 3 * 2.0 / 924, 1e-12);
  EXPECT_EQ(row(rows, "step_time").verdict, Verdict::worse);
  EXPECT_EQ(row(rows, "train_loss").verdict, Verdict::same);
}

TEST(Compare, ConcludesNothingWhereSoManyMetricsCannotBeToldApart) {
  auto a = group("a", 5), b = group("b", 5);
  const auto set = [](RunGroup& g, double first) {
    for (std::size_t i = 0; i < 5; ++i)
      for (int n = 0; n < 7; ++n)
        g.runs[i].record.benchmarks.push_back(
            {"gemm", "n=" + std::to_string(n), "s", 0, (n == 0 ? first : 1) + 0.01 * static_cast<double>(i)});
  };
  set(a, 1);
  set(b, 2);
  // Seven benchmarks, step time and throughput: 9 · 2/252 > 0.05.
  EXPECT_EQ(row(compare(a, b, {}), "gemm n=0").verdict, Verdict::inconclusive);
  EXPECT_EQ(row(compare(a, b, {}), "gemm n=1").verdict, Verdict::same);
  EXPECT_EQ(row(compare(a, b, {.metrics = {"gemm n=0"}}), "gemm n=0").verdict, Verdict::worse);
}

TEST(Compare, SumsUpTimesAsAGeometricMean) {
  auto a = group("a", 1), b = group("b", 1);
  const auto set = [](RunGroup& g, double seconds, double rate) {
    g.runs[0].record.steps = {};
    g.runs[0].record.figures.clear();
    g.runs[0].record.benchmarks = {{"copy", "", "s", 0, seconds}, {"gemm", "", "GFLOP/s", 0, rate}};
  };
  set(a, 1, 100);
  set(b, 4, 50);
  const auto mean = compare(a, b, {}).back();
  EXPECT_EQ(mean.name, "geometric_mean");
  EXPECT_NEAR(mean.before.median, 1, 1e-12);
  EXPECT_NEAR(mean.after.median, std::sqrt(4.0 * 2), 1e-12) << "a rate counts as its inverse";
  EXPECT_FALSE(mean.gated);
  const auto many = compare(group("a", 5), group("b", 5, 0.003), {}).back();
  // Step time and throughput are half as slow again, time to accuracy is not: 1.5^(2/3).
  EXPECT_NEAR(many.change.value(), 100 * (std::pow(1.5, 2.0 / 3) - 1), 0.1);
  EXPECT_EQ(many.verdict, Verdict::worse);
  EXPECT_NE(compare(group("a", 5), group("b", 5), {.metrics = {"step_time"}}).back().name, "geometric_mean");
}

TEST(Compare, TakesTheFiguresOfARun) {
  auto a = group("a", 5), b = group("b", 5);
  const auto set = [](RunGroup& g, double seconds, double overlap) {
    for (std::size_t i = 0; i < 5; ++i)
      g.runs[i].record.figures = {{"throughput", 1, "samples/s"},
                                  {"time_to_accuracy", seconds + 0.01 * static_cast<double>(i), "s"},
                                  {"overlap", overlap + 0.001 * static_cast<double>(i), "1"},
                                  {"bubble_fraction", 0.1, "1"}};
  };
  set(a, 3, 0.5);
  set(b, 4, 0.7);
  const auto rows = compare(a, b, {});
  EXPECT_EQ(row(rows, "time_to_accuracy").verdict, Verdict::worse);
  EXPECT_TRUE(row(rows, "time_to_accuracy").gated);
  EXPECT_EQ(row(rows, "overlap").verdict, Verdict::better);
  EXPECT_EQ(row(rows, "bubble_fraction").verdict, Verdict::same);
  EXPECT_THROW(row(rows, "throughput"), std::out_of_range) << "it is samples_per_second";
}

TEST(Compare, SelectsMetricsByNameOrFamily) {
  const auto rows = compare(group("a", 1), group("b", 1), {.metrics = {"loss", "phase"}});
  EXPECT_EQ(rows.size(), 9u);
  EXPECT_TRUE(names_metric("wire_bytes.data", "wire_bytes.data.all_reduce.gradient"));
  EXPECT_FALSE(names_metric("wire", "wire_bytes.data.all_reduce.gradient"));
  EXPECT_FALSE(names_metric("phase.forward.", "phase.forward"));
}

}  // namespace
}  // namespace partita::results::test
