/// Which runs may be compared, and the keys that say why not.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "groups.hpp"
#include "partita/config/options.hpp"

namespace partita::results::test {
namespace {

using Keys = std::vector<std::string>;

std::vector<base::Violation> check(const std::vector<RunGroup>& groups) {
  return check_comparable(groups, config::role_of);
}

TEST(Comparable, NamesTheKeysThatDiffer) {
  auto a = group("a", 1), b = group("b", 1);
  EXPECT_TRUE(check({a, b}).empty());
  b.runs[0].record.attributes.precision = "bf16";
  b.runs[0].record.attributes.dataset_hash = "other";
  EXPECT_EQ(keys_of(check({a, b})), (Keys{"dataset_hash", "precision"}));
  b = group("b", 1);
  b.runs[0].record.layers[0].output = "11x24x24";
  EXPECT_EQ(keys_of(check({a, b})), Keys{"layers"});
}

TEST(Comparable, AllowsOtherGridsAndAlgorithmsBetweenGroupsOnly) {
  auto a = group("a", 2), b = group("b", 2);
  for (auto& run : b.runs) {
    run.record.attributes.grid = {.data = 4};
    run.record.attributes.algorithm = "window";
  }
  EXPECT_TRUE(check({a, b}).empty());
  b.runs[1].record.attributes.algorithm = "ring";
  EXPECT_EQ(keys_of(check({a, b})), Keys{"algorithm"});
}

TEST(Comparable, RefusesAnotherBatchOnceAFile) {
  auto a = group("a", 1), b = group("b", 2);
  for (auto& run : b.runs)
    run.record.attributes.batch = 128;
  EXPECT_EQ(keys_of(check({a, b})), (Keys{"batch", "batch"}));
  EXPECT_EQ(keys_of(check({b})), Keys{});
}

TEST(Comparable, RefusesInvalidRunsAndAFileNamedTwice) {
  auto a = group("a", 1), b = group("b", 2);
  a.runs[0].record.attributes.status = Status::invalid;
  EXPECT_EQ(keys_of(check({a, b})), Keys{"status"});
  EXPECT_TRUE(check_named_once({a, b}).empty());
  b.runs[1].path = "./b0.h5";
  EXPECT_EQ(keys_of(check_named_once({a, b})), Keys{"./b0.h5"});
  b.runs[1].path = a.runs[0].path;
  EXPECT_EQ(keys_of(check_named_once({a, b})), Keys{"a0.h5"}) << "in another group";
}

TEST(Comparable, NamesEveryKeyOfTheConfigurationThatDiffersOnceAWorkloadDoes) {
  auto a = group("a", 1), b = group("b", 1);
  a.runs[0].record.attributes.config =
      "[model]\nlayer = linear 128\nlayer = relu\n\n[train]\nlearning-rate = 0.1\nseed = 1\n";
  b.runs[0].record.attributes.config =
      "output = b.h5\n\n[model]\nlayer = linear 64\nlayer = relu\n\n[train]\nseed = 2\n";
  EXPECT_TRUE(check({a, b}).empty()) << "another learning rate may be the point";
  b.runs[0].record.attributes.model = "small";
  const auto violations = check({a, b});
  EXPECT_EQ(keys_of(violations), (Keys{"model", "model.layer 1", "train.learning-rate"}));
  EXPECT_EQ(violations[1].message, "is configured as \"linear 128\" in a0.h5 but \"linear 64\" in b0.h5");
  EXPECT_EQ(violations[2].message, "is configured as \"0.1\" in a0.h5 but \"-\" in b0.h5");
}

TEST(Comparable, WantsRepetitionsToBeConfiguredAlike) {
  auto a = group("a", 2);
  a.runs[0].record.attributes.config = "[sync]\nbucket-bytes = 1\n\n[train]\nseed = 1\n";
  a.runs[1].record.attributes.config = "[sync]\nbucket-bytes = 2\n\n[train]\nseed = 2\n";
  EXPECT_EQ(keys_of(check({a})), Keys{"sync.bucket-bytes"});
  a.runs[0].record.attributes.config = "load-model = trained.h5\noutput = a.h5\n";
  a.runs[1].record.attributes.config = "output = b.h5\n";
  EXPECT_EQ(keys_of(check({a})), Keys{"load-model"}) << "where it starts changes the loss";
}

/// A group of two runs with these configurations.
RunGroup pair(const std::string& one, const std::string& two) {
  auto group = test::group("a", 2);
  group.runs[0].record.attributes.config = one;
  group.runs[1].record.attributes.config = two;
  return group;
}

TEST(Comparable, GoesByWhatANamedMachineCanDo) {
  auto group = pair("machine = a.machine\n", "machine = elsewhere/a.machine\n");
  const auto entries = [&](const char* one, const char* two) {
    group.runs[0].record.environment.entries["machine_hash"] = one;
    group.runs[1].record.environment.entries["machine_hash"] = two;
  };
  entries("same", "same");
  EXPECT_EQ(keys_of(check({group})), Keys{});
  entries("one", "another");
  EXPECT_EQ(keys_of(check({group})), (Keys{"machine_hash", "machine"})) << "contents and paths";
  group = pair("", "");
  entries("one", "another");
  EXPECT_EQ(keys_of(check({group})), Keys{}) << "each version has its own";
}

TEST(Comparable, KeepsMeasuredAndVirtualTimesApart) {
  auto group = test::group("a", 2), other = test::group("b", 2);
  const auto on = [](RunGroup& of, const char* first, const char* second) {
    for (auto& run : of.runs)
      run.record.attributes.kind = "virtual";
    of.runs[0].record.environment.entries = {{clock_machine_entry, first}};
    of.runs[1].record.environment.entries = {{clock_machine_entry, second}};
  };
  EXPECT_EQ(keys_of(check({group, other})), Keys{});
  on(other, "one", "one");
  EXPECT_EQ(keys_of(check({group, other})), Keys{}) << "a prediction beside what was measured";
  for (const auto& row : compare(group, other, {}))
    EXPECT_TRUE(row.verdict == Verdict::predicted || row.verdict == Verdict::same ||
                row.verdict == Verdict::incomparable)
        << row.name;
  on(group, "another", "another");
  EXPECT_EQ(keys_of(check({group, other})), Keys{}) << "two machines";
  on(group, "one", "another");
  EXPECT_EQ(keys_of(check({group})), Keys{"clock_machine_hash"});
  group.runs[0].record.attributes.kind = "measured";
  EXPECT_EQ(keys_of(check({group})), (Keys{"kind", "clock_machine_hash"}));
}

TEST(Comparable, GoesByTheContentOfWhatAKeyNames) {
  EXPECT_EQ(keys_of(check({pair("[data]\ndir = /home/a\nname = mnist\n", "[data]\nname = copy\n")})), Keys{});
  auto group = pair("load-model = a.h5\n[sync]\nalgorithm = auto\ntable = a.table\n",
                    "load-model = elsewhere/a.h5\n[sync]\nalgorithm = auto\ntable = ../a.table\n");
  EXPECT_EQ(keys_of(check({group})), (Keys{"load-model", "sync.table"}))
      << "files of before hashes were stored";
  for (auto& run : group.runs) {
    run.record.attributes.load_model_hash = "same";
    run.record.environment.entries["all_reduce_table"] = "same";
  }
  EXPECT_EQ(keys_of(check({group})), Keys{});
  auto& last = group.runs[1].record;
  last.attributes.config = group.runs[0].record.attributes.config;
  last.attributes.load_model_hash = "trained further";
  last.environment.entries["all_reduce_table"] = "measured anew";
  EXPECT_EQ(keys_of(check({group})), (Keys{"load_model_hash", "all_reduce_table"})) << "whatever the path";
  for (auto& run : group.runs)
    run.record.attributes.config = "load-model = a.h5\n[sync]\nalgorithm = ring\n";
  EXPECT_EQ(keys_of(check({group})), Keys{"load_model_hash"}) << "nothing is looked up in the table";
  group.runs[1].record.attributes.config = "[sync]\nalgorithm = ring\n";
  last.attributes.load_model_hash.clear();
  EXPECT_EQ(keys_of(check({group})), (Keys{"load_model_hash", "load-model"})) << "one starts anew";
}

TEST(Comparable, ShowsValuesWithoutTheQuotesOfAnIniFile) {
  const auto violations = check({pair("[data]\nmean = \"1 # 2\"\n", "[data]\nmean = 'a\"b'\n")});
  ASSERT_EQ(keys_of(violations), Keys{"data.mean"});
  EXPECT_NE(violations[0].message.find("as \"1 # 2\" in"), std::string::npos) << violations[0].message;
  EXPECT_NE(violations[0].message.find("but \"a\"b\" in"), std::string::npos) << violations[0].message;
}

TEST(Comparable, IgnoresWhatNeitherRunUsed) {
  EXPECT_EQ(keys_of(check({pair("[train]\nsteps = 5\nepochs = 3 # not used\n",
                                "[train]\nsteps = 5\nepochs = 4 # not used\n")})),
            Keys{});
  EXPECT_EQ(keys_of(check({pair("[train]\nsteps = 5\nepochs = 3 # not used\n", "[train]\nepochs = 4\n")})),
            (Keys{"train.epochs", "train.steps"}));
  EXPECT_EQ(keys_of(check(
                {pair("[train]\nsteps = 5\nepochs = 3 # not used\n", "[train]\nsteps = 5\nepochs = 3\n")})),
            Keys{})
      << "an earlier version did not mark it";
  EXPECT_EQ(keys_of(check({pair("[train]\ngamma = 0.5 # not used\n", "")})), Keys{});
  auto tables = pair("[sync]\nalgorithm = auto # not used\n", "[sync]\nalgorithm = ring # not used\n");
  for (auto& run : tables.runs)
    run.record.environment.entries["all_reduce_table"] = run.path.string();
  EXPECT_EQ(keys_of(check({tables})), Keys{}) << "one rank looks nothing up";
}

TEST(Comparable, IgnoresWhatARunDoesNotUseOrWhatChangesNothing) {
  EXPECT_EQ(keys_of(check(
                {pair("[log]\nmlperf = true\n[infer]\nbatch = 8\nwarmup = 1\n", "[infer]\nsamples = 3\n")})),
            Keys{});
  auto inferred =
      pair("[train]\nlearning-rate = 1\nbatch = 7\n[infer]\nbatch = 64\n", "[train]\nbatch-per-rank = 9\n");
  for (auto& run : inferred.runs)
    run.record.inference.latency_seconds = {0.1}, run.record.steps = {};
  EXPECT_EQ(keys_of(check({inferred})), Keys{}) << "64 is the batch that both used";
  inferred.runs[0].record.attributes.config = "[infer]\nwarmup = 1\n[train]\nprecision = fp64\n";
  EXPECT_EQ(keys_of(check({inferred})), (Keys{"infer.warmup", "train.precision"}));
}

TEST(Comparable, AcceptsWeakScalingAndJudgesItsThroughput) {
  auto a = group("a", 5), b = group("b", 5);
  for (auto& run : b.runs) {
    run.record.attributes.batch *= 2;
    run.record.attributes.grid.data *= 2;
    for (auto& seconds : run.record.steps.seconds)
      seconds *= 2;
  }
  EXPECT_TRUE(check({a, b}).empty());
  const auto rows = compare(a, b, {});
  EXPECT_EQ(row(rows, "wire_bytes.data.all_reduce.gradient").verdict, Verdict::incomparable);
  EXPECT_EQ(row(rows, "step_time").verdict, Verdict::worse);
  b.runs[0].record.attributes.batch += 1;
  EXPECT_FALSE(check({a, b}).empty());
}

}  // namespace
}  // namespace partita::results::test
