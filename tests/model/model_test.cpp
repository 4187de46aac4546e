#include <gtest/gtest.h>

#include "partita/model/parse.hpp"

namespace partita::model {
namespace {

ModelSpec parse(const std::string& input, std::vector<std::string> layers, std::vector<base::Violation>& violations) {
  return parse_model({.name = "m", .input = input, .layers = std::move(layers)}, violations);
}

TEST(Model, InfersShapesParametersAndNames) {
  std::vector<base::Violation> violations;
  const auto model = parse("1x28x28", {"conv 10 kernel=5", "maxpool 2", "relu", "conv 20 kernel=5", "maxpool 2", "relu", "flatten",
                                       "linear 50", "relu", "linear 10"}, violations);
  ASSERT_TRUE(violations.empty());
  EXPECT_EQ(model.layers[0].output, (Shape{10, 24, 24}));
  EXPECT_EQ(model.layers[4].output, (Shape{20, 4, 4}));
  EXPECT_EQ(model.layers[6].output, (Shape{320}));
  EXPECT_EQ(model.layers[3].name, "conv2");
  EXPECT_EQ(model.layers[3].weight_shape(), (Shape{20, 10, 5, 5}));
  EXPECT_EQ(model.parameters().value(), 10 * 25 + 10 + 20 * 250 + 20 + 320 * 50 + 50 + 500 + 10);
}

TEST(Model, StridesAndPaddingRoundDown) {
  std::vector<base::Violation> violations;
  const auto model = parse("3x9x7", {"conv 4 kernel=3 stride=2 padding=1", "maxpool 2", "flatten", "linear 2"}, violations);
  ASSERT_TRUE(violations.empty());
  EXPECT_EQ(model.layers[0].output, (Shape{4, 5, 4}));
  EXPECT_EQ(model.layers[1].output, (Shape{4, 2, 2}));
}

TEST(Model, EveryLineThatIsWrongIsNamedAtOnce) {
  std::vector<base::Violation> violations;
  parse("1x28x28", {"conv 10 kernal=5", "liner 4", "maxpool 99", "dropout 1.5", "relu 3", "linear -2", ""}, violations);
  EXPECT_EQ(violations.size(), 8U);  // the first line lacks its kernel too
  EXPECT_NE(violations[0].message.find("did you mean 'kernel'"), std::string::npos);
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
  const std::vector<std::string> lines{"conv 4 kernel=3 stride=2 padding=1", "avgpool 3 stride=1", "tanh", "flatten", "linear 2"};
  const auto model = parse("3x19x17", lines, violations);
  ASSERT_TRUE(violations.empty());
  for (std::size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(model.layers[i].line(), lines[i]);
}

TEST(Model, InitialValuesAreBoundedAndDependOnTheSeed) {
  std::vector<base::Violation> violations;
  const auto model = parse("100", {"linear 5"}, violations);
  double largest = 0;
  for (std::int64_t i = 0; i < 500; ++i)
    largest = std::max(largest, std::abs(initial_value(model, 0, false, Elements(i), Initializer::torch, 1)));
  EXPECT_LE(largest, 0.1);  // 1/√100
  EXPECT_GT(largest, 0.09);
  EXPECT_NE(initial_value(model, 0, false, Elements(0), Initializer::torch, 1),
            initial_value(model, 0, false, Elements(0), Initializer::torch, 2));
  EXPECT_EQ(initial_value(model, 0, true, Elements(0), Initializer::kaiming, 1), 0.0);
}

}  // namespace
}  // namespace partita::model
