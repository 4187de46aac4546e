/// Shapes, parameters, FLOPs and lines of models.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "partita/model/parse.hpp"
#include "partita/model/passes.hpp"

namespace partita::model {
namespace {

ModelSpec parse(const std::string& input, std::vector<std::string> layers,
                std::vector<base::Violation>& violations) {
  return parse_model({.name = "m", .input = input, .layers = std::move(layers)}, violations);
}

TEST(Model, InfersShapesParametersAndNames) {
  std::vector<base::Violation> violations;
  const auto model = parse("1x28x28",
                           {"conv 10 kernel=5", "maxpool 2", "relu", "conv 20 kernel=5", "maxpool 2", "relu",
                            "flatten", "linear 50", "relu", "linear 10"},
                           violations);
  ASSERT_TRUE(violations.empty());
  EXPECT_EQ(model.layers[0].output, (Shape{10, 24, 24}));
  EXPECT_EQ(model.layers[4].output, (Shape{20, 4, 4}));
  EXPECT_EQ(model.layers[6].output, (Shape{320}));
  EXPECT_EQ(model.layers[3].name, "conv2");
  EXPECT_EQ(model.layers[3].parameters().front().shape, (Shape{20, 10, 5, 5}));
  EXPECT_EQ(model.parameters().value(), 10 * 25 + 10 + 20 * 250 + 20 + 320 * 50 + 50 + 500 + 10);
}

TEST(Model, StridesAndPaddingRoundDown) {
  std::vector<base::Violation> violations;
  const auto model =
      parse("3x9x7", {"conv 4 kernel=3 stride=2 padding=1", "maxpool 2", "flatten", "linear 2"}, violations);
  ASSERT_TRUE(violations.empty());
  EXPECT_EQ(model.layers[0].output, (Shape{4, 5, 4}));
  EXPECT_EQ(model.layers[1].output, (Shape{4, 2, 2}));
}

/// The position in a window of a maximum is kept in a byte; an average keeps nothing.
TEST(Model, AnAverageMayTakeInAWholeImage) {
  std::vector<base::Violation> violations;
  const auto model = parse("3x28x28", {"avgpool 28", "flatten", "linear 2"}, violations);
  ASSERT_TRUE(violations.empty());
  EXPECT_EQ(model.layers[0].output, (Shape{3, 1, 1}));
  parse("3x28x28", {"maxpool 16", "flatten", "linear 2"}, violations);
  EXPECT_TRUE(violations.empty());
  parse("3x28x28", {"maxpool 17", "flatten", "linear 2"}, violations);
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_NE(violations[0].message.find("from 1 to 16"), std::string::npos);
}

TEST(Model, HeightAndWidthMayDiffer) {
  std::vector<base::Violation> violations;
  const auto model = parse("3x9x14",
                           {"conv 4 kernel=3x5 stride=2x1 padding=1x0", "maxpool 2x3",
                            "conv 5 kernel=3x1 padding=same", "avgpool 1x2 stride=1", "flatten", "linear 2"},
                           violations);
  ASSERT_TRUE(violations.empty()) << to_string(violations.front());
  EXPECT_EQ(model.layers[0].output, (Shape{4, 5, 10}));
  EXPECT_EQ(model.layers[0].parameters().front().shape, (Shape{4, 3, 3, 5}));
  EXPECT_EQ(model.layers[1].output, (Shape{4, 2, 3}));
  EXPECT_EQ(model.layers[1].stride, Extent2(2, 3));
  EXPECT_EQ(model.layers[2].output, (Shape{5, 2, 3}));
  EXPECT_EQ(model.layers[3].output, (Shape{5, 2, 2}));
  // One spelling each, so that equal nets have equal lines.
  EXPECT_EQ(model.layers[0].line(), "conv 4 kernel=3x5 stride=2x1 padding=1x0");
  EXPECT_EQ(model.layers[2].line(), "conv 5 kernel=3x1 padding=1x0");
  const auto square =
      parse("1x9x9", {"conv 2 kernel=3x3 stride=1x1 padding=same", "flatten", "linear 2"}, violations);
  EXPECT_EQ(square.layers[0].line(), "conv 2 kernel=3 padding=1");
  EXPECT_EQ(square.layers[0].output, (Shape{2, 9, 9}));
}

TEST(Model, ABiasCanBeLeftOut) {
  std::vector<base::Violation> violations;
  const auto model =
      parse("2x5x5", {"conv 3 kernel=2 bias=false", "flatten", "linear 4 bias=false", "linear 2 bias=true"},
            violations);
  ASSERT_TRUE(violations.empty());
  EXPECT_EQ(model.parameters().value(), 3 * 2 * 4 + 4 * 48 + 4 * 2 + 2);
  ASSERT_EQ(model.layers[0].parameters().size(), 1U);
  EXPECT_EQ(model.layers[0].parameters().front().name, "weight");
  EXPECT_EQ(model.layers[0].line(), "conv 3 kernel=2 bias=false");
  EXPECT_EQ(model.layers[3].line(), "linear 2");
  EXPECT_DOUBLE_EQ(model.layers[0].forward_flops(), 3 * 16 * 2 * 8);
  parse("4", {"linear 2 bias=no", "linear 2 bias", "relu bias=false"}, violations);
  ASSERT_EQ(violations.size(), 3U);
  EXPECT_EQ(violations[0].message, "bias must be true or false; did you mean 'false'?");
}

TEST(Model, AGlobalAverageTakesAnyImage) {
  for (const auto& [input, pixels] :
       {std::pair("3x28x28", 784), std::pair("1x5x7", 35), std::pair("4x1x1", 1)}) {
    std::vector<base::Violation> violations;
    const auto model = parse(input, {"avgpool global", "flatten", "linear 2"}, violations);
    ASSERT_TRUE(violations.empty()) << input;
    EXPECT_EQ(model.layers[0].output, (Shape{model.input[0], 1, 1}));
    EXPECT_EQ(model.layers[0].line(), "avgpool global");
    EXPECT_DOUBLE_EQ(model.layers[0].forward_flops(), static_cast<double>(model.input[0]) * pixels);
  }
}

TEST(Model, ShapesThatDoNotFitNameTheLayerAndBothShapes) {
  std::vector<base::Violation> violations;
  parse("1x28x28", {"linear 10"}, violations);
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_NE(violations[0].message.find("linear1"), std::string::npos);
  EXPECT_NE(violations[0].message.find("1x28x28"), std::string::npos);
  EXPECT_NE(violations[0].message.find("784"), std::string::npos);
  violations.clear();
  parse("1x4x4", {"conv 3 kernel=5", "flatten", "linear 2"}, violations);
  ASSERT_EQ(violations.size(), 1U);
  violations.clear();
  parse("1x0x4", {"flatten", "linear 2"}, violations);
  EXPECT_EQ(violations.size(), 1U);
}

TEST(Model, SizesThatWouldOverflowAreRefused) {
  std::vector<base::Violation> violations;
  parse("16777216x16777216x16777216", {"flatten", "linear 2"}, violations);
  EXPECT_EQ(violations.size(), 1U);
  violations.clear();
  parse("1048576x1024x1024", {"conv 16777216 kernel=1024", "flatten", "linear 2"}, violations);
  EXPECT_EQ(violations.size(), 1U);
}

TEST(Model, LinesRoundTrip) {
  std::vector<base::Violation> violations;
  const std::vector<std::string> lines{"conv 4 kernel=3 stride=2 padding=1", "avgpool 3 stride=1", "tanh",
                                       "flatten", "linear 2"};
  const auto model = parse("3x19x17", lines, violations);
  ASSERT_TRUE(violations.empty());
  for (std::size_t i = 0; i < lines.size(); ++i)
    EXPECT_EQ(model.layers[i].line(), lines[i]);
}

TEST(Model, FrozenLayersHaveNoWeightGradient) {
  std::vector<base::Violation> violations;
  const auto model =
      parse("12", {"linear 7 frozen", "relu", "linear 5", "linear 4 frozen", "linear 3"}, violations);
  ASSERT_TRUE(violations.empty());
  EXPECT_EQ(model.layers[0].line(), "linear 7 frozen");
  std::vector<int> passes;
  for (int l = 0; l < 5; ++l)
    passes.push_back(passes_over(model, l));
  EXPECT_EQ(passes, (std::vector{1, 1, 2, 2, 3}));
  parse("12", {"relu frozen", "linear 3"}, violations);
  ASSERT_EQ(violations.size(), 1U);
  parse("12", {"linear 3 frozen"}, violations);
  EXPECT_NE(violations.at(1).message.find("not frozen"), std::string::npos);
  parse("12", {"linear 7 frozen=true", "relu frozen=1", "linear 7 frozn=1", "linear 3"}, violations);
  ASSERT_EQ(violations.size(), 5U);
  EXPECT_EQ(violations[2].message, "'frozen' stands alone, without a value");
  EXPECT_EQ(violations[3].message, "has no parameters that could be frozen");
  EXPECT_NE(violations[4].message.find("takes bias, name, placement, stage, frozen"), std::string::npos)
      << violations[4].message;
}

TEST(Model, FlopsFollowFromShapes) {
  std::vector<base::Violation> violations;
  const auto model = parse_model({.name = "m",
                                  .input = "2x6x6",
                                  .layers = {"conv 3 kernel=3", "relu", "maxpool 2", "flatten", "linear 5"}},
                                 violations);
  ASSERT_TRUE(violations.empty());
  const double conv = 3 * 4 * 4 * (2 * 2 * 3 * 3 + 1), pool = 3 * 2 * 2 * 4, linear = 5 * (2 * 12 + 1);
  EXPECT_DOUBLE_EQ(model.layers[0].forward_flops(), conv);
  EXPECT_DOUBLE_EQ(model.layers[2].forward_flops(), pool);
  EXPECT_DOUBLE_EQ(model.layers[4].forward_flops(), linear);
}

TEST(Model, TheSmoothTwinNamesItsLayersByTheirKind) {
  std::vector<base::Violation> violations;
  const auto twin =
      smooth_twin(parse_model({.name = "m",
                               .input = "1x8x8",
                               .layers = {"tanh", "relu", "maxpool 2", "avgpool 2", "flatten", "linear 2"}},
                              violations));
  EXPECT_EQ(twin.layers[1].name, "tanh2");
  EXPECT_EQ(twin.layers[2].name, "avgpool1");
  EXPECT_EQ(twin.layers[3].name, "avgpool2");
}

TEST(Model, KaimingBoundsWeightsByTheSquareRootOfSixOverFanIn) {
  std::vector<base::Violation> violations;
  const auto model = parse_model({.name = "m", .input = "100", .layers = {"linear 100"}}, violations);
  const InitialValues weights(model, 0, 0, Initializer::kaiming, 1);
  double largest = 0;
  for (int i = 0; i < 10'000; ++i)
    largest = std::max(largest, std::abs(weights(Elements(i))));
  EXPECT_LE(largest, std::sqrt(6.0 / 100));
  EXPECT_GT(largest, 0.99 * std::sqrt(6.0 / 100));
}

TEST(Model, InitialValuesAreBoundedAndDependOnTheSeed) {
  std::vector<base::Violation> violations;
  const auto model = parse("100", {"linear 5"}, violations);
  const InitialValues weights(model, 0, 0, Initializer::torch, 1);
  double largest = 0;
  for (std::int64_t i = 0; i < 500; ++i)
    largest = std::max(largest, std::abs(weights(Elements(i))));
  EXPECT_LE(largest, 0.1);  // 1/√100
  EXPECT_GT(largest, 0.09);
  EXPECT_NE(weights(Elements(0)), InitialValues(model, 0, 0, Initializer::torch, 2)(Elements(0)));
  EXPECT_EQ(InitialValues(model, 0, 1, Initializer::kaiming, 1)(Elements(0)), 0.0);
}

}  // namespace
}  // namespace partita::model
