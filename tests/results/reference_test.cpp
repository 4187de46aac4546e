/// Absolute expectations as ReFrame writes them.
#include "partita/results/reference.hpp"

#include <gtest/gtest.h>

#include "sample_record.hpp"

namespace partita::results::test {
namespace {

using Violations = std::vector<base::Violation>;

Reference parsed(const std::string& text) {
  Violations violations;
  const auto reference = parse_reference("--reference", text, violations);
  EXPECT_TRUE(violations.empty()) << text;
  return reference.value_or(Reference{});
}

TEST(Reference, IsATargetWithFractions) {
  const auto r = parsed("samples_per_second=42000,-0.05,0.10,samples/s");
  EXPECT_EQ(r.metric, "samples_per_second");
  EXPECT_EQ(r.target, 42000);
  EXPECT_EQ(r.lower, -0.05);
  EXPECT_EQ(r.upper, 0.10);
  EXPECT_EQ(r.unit, "samples/s");
  EXPECT_FALSE(parsed("step_time=0.002,,0.05").lower.has_value());
  EXPECT_FALSE(parsed("step_time=0.002,None,0.05").lower.has_value());
  EXPECT_FALSE(parsed("step_time=2e-3,-0.5,None").upper.has_value());
  EXPECT_EQ(parsed("copy bytes=64=1,,0.1").metric, "copy bytes=64");
  EXPECT_EQ(parsed("step_time=1,-1,9").upper, 9) << "a value may be many times the target";
  EXPECT_EQ(parsed("step_time=-1,-9,1").lower, -9);
  const auto spaced = parsed("step_time = +100, -0.05, +0.05 , s ");
  EXPECT_EQ(spaced.metric, "step_time");
  EXPECT_EQ(spaced.target, 100);
  EXPECT_EQ(spaced.lower, -0.05);
  EXPECT_EQ(spaced.upper, 0.05);
  EXPECT_EQ(spaced.unit, "s");
}

TEST(Reference, SaysWhatIsWrong) {
  for (const auto* text :
       {"", "step_time", "=1,2,3", "step_time=", "step_time=1", "step_time=1,-0.1", "step_time=x,-0.1,0.1",
        "step_time=nan,-0.1,0.1", "step_time=1,0.1,0.1", "step_time=1,-0.1,-0.1", "step_time=1,-0.1,inf",
        "step_time=1,-0.1,5%", "step_time=1,-0.1,0.1,s,s", "step_time=1e9,-5,None", "step_time=0,-1.01,0.1",
        "step_time=-1,-0.1,5", "step_time=1,-0.1,+-0.1", " =1,-0.1,0.1"}) {
    Violations violations;
    EXPECT_FALSE(parse_reference("--reference", text, violations).has_value()) << text;
    EXPECT_EQ(violations.size(), 1u) << text;
  }
  Violations violations;
  parse_reference("--reference", "step_time=x,0.1,-0.1", violations);
  EXPECT_EQ(violations.size(), 3u) << "all of it at once";
  violations.clear();
  parse_reference("--reference", "step_time=1,-5,0.1", violations);
  EXPECT_NE(violations.at(0).message.find("[-1, 0]: -5 % is -0.05"), std::string::npos);
}

/// Three runs with step times of 1.9, 2.0 and 2.5 ms.
RunGroup three() {
  RunGroup group{.name = "new", .runs = {}};
  for (const double seconds : {0.0025, 0.0019, 0.0020}) {
    auto record = sample_record(45);
    record.steps.seconds.assign(45, seconds);
    group.runs.push_back({.path = std::to_string(seconds), .record = record});
  }
  return group;
}

CheckedReference checked(const std::string& text) {
  Violations violations;
  const auto references = std::vector{parsed(text)};
  const auto result = check_references(references, three(), violations);
  EXPECT_TRUE(violations.empty()) << text;
  return result.empty() ? CheckedReference{} : result.front();
}

TEST(Reference, HoldsForTheMedianWithinItsBounds) {
  const auto c = checked("step_time=0.002,-0.05,0.05,s");
  EXPECT_TRUE(c.holds);
  EXPECT_EQ(c.median, 0.0020);
  EXPECT_EQ(c.runs, 3u);
  EXPECT_NEAR(c.least.value(), 0.0019, 1e-12);
  EXPECT_NEAR(c.most.value(), 0.0021, 1e-12);
  EXPECT_TRUE(checked("step_time=0.002,0,0").holds) << "bounds are included";
  EXPECT_FALSE(checked("step_time=0.0018,-0.05,0.05").holds);
  EXPECT_TRUE(checked("step_time=0.0018,-0.05,").holds) << "no upper bound";
  EXPECT_FALSE(checked("step_time=0.0030,-0.05,").holds);
  EXPECT_TRUE(checked("step_time=0.0030,None,0.05").holds);
  EXPECT_FALSE(checked("step_time=-1,-0.05,0.05").holds);
  EXPECT_TRUE(checked("step_time=-1,None,None").holds);
}

TEST(Reference, NamesMissingMetricsAndOtherUnitsTogether) {
  Violations violations;
  const auto references = std::vector{parsed("step_tme=1,,0.1"), parsed("step_time=2,,0.1,ms")};
  EXPECT_TRUE(check_references(references, three(), violations).empty());
  ASSERT_EQ(violations.size(), 2u);
  EXPECT_NE(violations[0].message.find("the nearest is step_time"), std::string::npos);
  EXPECT_EQ(violations[1].message, "the unit is s");
}

TEST(Reference, OffersTheMembersOfAFamily) {
  Violations violations;
  check_references(std::vector{parsed("phase=1,,0.1")}, three(), violations);
  EXPECT_NE(violations.at(0).message.find("phase.load, phase.forward"), std::string::npos)
      << violations.at(0).message;
}

TEST(Reference, DoesNotHoldWhereARunLacksTheMetric) {
  auto group = three();
  group.runs[1].record.epochs.clear();
  Violations violations;
  const auto result = check_references(std::vector{parsed("train_loss=0.25,-1,1")}, group, violations);
  EXPECT_FALSE(result.at(0).holds);
}

TEST(NearestName, IsTheOneOfLeastEdits) {
  const std::vector<std::string> names{"step_time", "samples_per_second", "loss"};
  EXPECT_EQ(nearest_name("steptime", names), "step_time");
  EXPECT_EQ(nearest_name("los", names), "loss");
  EXPECT_EQ(nearest_name("x", {}), "");
}

}  // namespace
}  // namespace partita::results::test
