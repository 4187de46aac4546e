/// Which runs may be compared, and the keys that say why not.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "groups.hpp"

namespace partita::results::test {
namespace {

using Keys = std::vector<std::string>;

TEST(Comparable, NamesTheKeysThatDiffer) {
  auto a = group("a", 1), b = group("b", 1);
  EXPECT_TRUE(check_comparable({a, b}).empty());
  b.runs[0].record.attributes.precision = "bf16";
  b.runs[0].record.attributes.dataset_hash = "other";
  EXPECT_EQ(keys_of(check_comparable({a, b})), (Keys{"dataset_hash", "precision"}));
  b = group("b", 1);
  b.runs[0].record.layers[0].output = "11x24x24";
  EXPECT_EQ(keys_of(check_comparable({a, b})), Keys{"layers"});
}

TEST(Comparable, AllowsOtherGridsAndAlgorithmsBetweenGroupsOnly) {
  auto a = group("a", 2), b = group("b", 2);
  for (auto& run : b.runs) {
    run.record.attributes.grid = {.data = 4};
    run.record.attributes.algorithm = "window";
  }
  EXPECT_TRUE(check_comparable({a, b}).empty());
  b.runs[1].record.attributes.algorithm = "ring";
  EXPECT_EQ(keys_of(check_comparable({a, b})), Keys{"algorithm"});
}

TEST(Comparable, RefusesAnotherBatchOnceAFile) {
  auto a = group("a", 1), b = group("b", 2);
  for (auto& run : b.runs)
    run.record.attributes.batch = 128;
  EXPECT_EQ(keys_of(check_comparable({a, b})), (Keys{"batch", "batch"}));
  EXPECT_EQ(keys_of(check_comparable({b})), Keys{});
}

TEST(Comparable, RefusesInvalidRunsAndAFileNamedTwice) {
  auto a = group("a", 1), b = group("b", 2);
  a.runs[0].record.attributes.status = Status::invalid;
  EXPECT_EQ(keys_of(check_comparable({a, b})), Keys{"status"});
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
  EXPECT_TRUE(check_comparable({a, b}).empty()) << "another learning rate may be the point";
  b.runs[0].record.attributes.model = "small";
  const auto violations = check_comparable({a, b});
  EXPECT_EQ(keys_of(violations), (Keys{"model", "model.layer 1", "train.learning-rate"}));
  EXPECT_EQ(violations[1].message, "is configured as \"linear 128\" in a0.h5 but \"linear 64\" in b0.h5");
  EXPECT_EQ(violations[2].message, "is configured as \"0.1\" in a0.h5 but \"-\" in b0.h5");
}

TEST(Comparable, WantsRepetitionsToBeConfiguredAlike) {
  auto a = group("a", 2);
  a.runs[0].record.attributes.config = "[sync]\nbucket-bytes = 1\n\n[train]\nseed = 1\n";
  a.runs[1].record.attributes.config = "[sync]\nbucket-bytes = 2\n\n[train]\nseed = 2\n";
  EXPECT_EQ(keys_of(check_comparable({a})), Keys{"sync.bucket-bytes"});
  a.runs[0].record.attributes.config = "load-model = trained.h5\noutput = a.h5\n";
  a.runs[1].record.attributes.config = "output = b.h5\n";
  EXPECT_EQ(keys_of(check_comparable({a})), Keys{"load-model"}) << "where it starts changes the loss";
}

TEST(Comparable, AcceptsWeakScalingAndJudgesItsThroughput) {
  auto a = group("a", 5), b = group("b", 5);
  for (auto& run : b.runs) {
    run.record.attributes.batch *= 2;
    run.record.attributes.grid.data *= 2;
    for (auto& seconds : run.record.steps.seconds)
      seconds *= 2;
  }
  EXPECT_TRUE(check_comparable({a, b}).empty());
  const auto rows = compare(a, b, {});
  EXPECT_EQ(row(rows, "wire_bytes.data.all_reduce.gradient").verdict, Verdict::incomparable);
  EXPECT_EQ(row(rows, "step_time").verdict, Verdict::worse);
  b.runs[0].record.attributes.batch += 1;
  EXPECT_FALSE(check_comparable({a, b}).empty());
}

}  // namespace
}  // namespace partita::results::test
