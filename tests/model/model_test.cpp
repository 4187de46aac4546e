#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "partita/model/grammar.hpp"
#include "partita/model/parse.hpp"

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

TEST(Model, EveryLineThatIsWrongIsNamedAtOnce) {
  std::vector<base::Violation> violations;
  parse("1x28x28", {"conv 10 kernal=5", "liner 4", "maxpool 99", "dropout 1.5", "relu 3", "linear -2", ""},
        violations);
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
  const std::vector<std::string> lines{"conv 4 kernel=3 stride=2 padding=1", "avgpool 3 stride=1", "tanh",
                                       "flatten", "linear 2"};
  const auto model = parse("3x19x17", lines, violations);
  ASSERT_TRUE(violations.empty());
  for (std::size_t i = 0; i < lines.size(); ++i)
    EXPECT_EQ(model.layers[i].line(), lines[i]);
}

TEST(Model, PlacementAndStageAreRead) {
  std::vector<base::Violation> violations;
  const auto model =
      parse_model({.name = "m",
                   .input = "2x6x6",
                   .layers = {"conv 3 kernel=3 placement=height stage=0", "relu placement=height",
                              "flatten placement=batch", "linear 2 placement=row stage=1"}},
                  violations);
  ASSERT_TRUE(violations.empty());
  EXPECT_EQ(model.layers[0].placement, "height");
  EXPECT_EQ(model.layers[3].placement, "row");
  EXPECT_EQ(model.layers[3].stage, 1);
  EXPECT_FALSE(model.layers[1].stage.has_value());
  EXPECT_EQ(model.layers[0].line(), "conv 3 kernel=3 placement=height stage=0");
}

TEST(Model, WhatALayerCannotShardIsRefusedWithTheNearest) {
  std::vector<base::Violation> violations;
  parse_model({.name = "m",
               .input = "2x6x6",
               .layers = {"conv 3 kernel=3 placement=colum", "flatten placement=row",
                          "linear 4 placement=height", "relu placement=height", "tanh stage=-1"}},
              violations);
  ASSERT_GE(violations.size(), 4U);
  EXPECT_NE(violations[0].message.find("did you mean 'column'"), std::string::npos);
}

TEST(Model, FrozenLayersHaveNoWeightGradient) {
  std::vector<base::Violation> violations;
  const auto model =
      parse("12", {"linear 7 frozen", "relu", "linear 5", "linear 4 frozen", "linear 3"}, violations);
  ASSERT_TRUE(violations.empty());
  EXPECT_EQ(model.layers[0].line(), "linear 7 frozen");
  const double a = 7 * (2 * 12 + 1), relu = 7, b = 5 * (2 * 7 + 1), c = 4 * (2 * 5 + 1), d = 3 * (2 * 4 + 1);
  EXPECT_DOUBLE_EQ(model.training_flops(), a + relu + 2 * b + 2 * c + 3 * d);
  parse("12", {"relu frozen", "linear 3"}, violations);
  ASSERT_EQ(violations.size(), 1U);
  parse("12", {"linear 3 frozen"}, violations);
  EXPECT_NE(violations.at(1).message.find("not frozen"), std::string::npos);
  parse("12", {"linear 7 frozen=true", "relu frozen=1", "linear 7 frozn=1", "linear 3"}, violations);
  ASSERT_EQ(violations.size(), 5U);
  EXPECT_EQ(violations[2].message, "'frozen' stands alone, without a value");
  EXPECT_EQ(violations[3].message, "has no parameters that could be frozen");
  EXPECT_NE(violations[4].message.find("takes name, placement, stage, frozen"), std::string::npos)
      << violations[4].message;
}

TEST(Model, FlopsFollowFromShapes) {
  std::vector<base::Violation> violations;
  const auto model = parse_model({.name = "m",
                                  .input = "2x6x6",
                                  .layers = {"conv 3 kernel=3", "relu", "maxpool 2", "flatten", "linear 5"}},
                                 violations);
  ASSERT_TRUE(violations.empty());
  const double conv = 3 * 4 * 4 * (2 * 2 * 3 * 3 + 1), relu = 3 * 4 * 4, pool = 3 * 2 * 2 * 4,
               linear = 5 * (2 * 12 + 1);
  EXPECT_DOUBLE_EQ(model.layers[0].forward_flops(), conv);
  EXPECT_DOUBLE_EQ(model.layers[2].forward_flops(), pool);
  EXPECT_DOUBLE_EQ(model.layers[4].forward_flops(), linear);
  // The lowest trained layer has no data gradient.
  EXPECT_DOUBLE_EQ(model.training_flops(), 2 * conv + 2 * relu + 2 * pool + 3 * linear);
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

/// What is wrong with `line` as a layer of an image or, where it must be flat, of a vector.
std::string refusal(const LayerDescription& kind, const std::string& line) {
  std::vector<base::Violation> violations;
  if (kind.takes == Takes::vectors)
    parse("100", {line, "linear 2"}, violations);
  else
    parse("1x100x100", {line, "flatten", "linear 2"}, violations);
  std::string messages;
  for (const auto& violation : violations)
    messages += violation.message + "\n";
  return messages;
}

TEST(Grammar, EveryKindIsReadAsItIsExplained) {
  const auto text = grammar_text();
  for (const auto& kind : layer_kinds()) {
    EXPECT_EQ(refusal(kind, std::string(kind.example)), "") << kind.example;
    EXPECT_NE(text.find("layer = " + std::string(kind.example)), std::string::npos);
    const std::string name(kind.name);
    const auto unknown = refusal(kind, name + " 2 kernel=2 wide=3 name=a");
    for (const auto& option : kind.options) {
      EXPECT_NE(unknown.find(option.name), std::string::npos) << unknown;
      EXPECT_NE(text.find(allowed(option)), std::string::npos);
    }
    for (const auto& option : common_options())
      EXPECT_NE(refusal(kind, name + " wide=3").find(option.name), std::string::npos) << name;
    for (const auto placement : kind.placements)
      EXPECT_EQ(refusal(kind, std::string(kind.example).substr(0, kind.example.find(" name=")) +
                                  " placement=" + std::string(placement)),
                "")
          << name << ' ' << placement;
    EXPECT_EQ(refusal(kind, std::string(kind.example) + " frozen").empty(), kind.has_parameters());
  }
}

TEST(Grammar, BoundsHoldWhereTheyAreExplained) {
  const auto bounds = [](const LayerDescription& kind, const LayerNumber& number, std::string before) {
    const auto text = [](double n) { return std::to_string(static_cast<std::int64_t>(n)); };
    for (const auto& outside :
         {text(number.least - 1), text(number.most + 1), std::string("x"), std::string()})
      EXPECT_NE(refusal(kind, before + outside).find(allowed(number)), std::string::npos) << before + outside;
    for (const auto inside : {number.least, number.most})
      EXPECT_EQ(refusal(kind, before + text(inside)).find(std::string(number.name) + " must"),
                std::holds_alternative<double Layer::*>(number.field) && inside == number.most
                    ? 0
                    : std::string::npos)
          << before + text(inside);
  };
  for (const auto& kind : layer_kinds()) {
    std::string line(kind.name);
    if (kind.argument) bounds(kind, *kind.argument, line + " ");
    if (kind.argument) line += " 1";
    for (const auto& option : kind.options) {
      bounds(kind, option, line + " " + std::string(option.name) + "=");
      if (option.otherwise.empty()) line += " " + std::string(option.name) + "=1";
    }
  }
}

TEST(Grammar, ALayerIsCalledAsItsLineSays) {
  std::vector<base::Violation> violations;
  const auto model =
      parse("4", {"linear 3 name=features.0", "relu", "linear 2", "linear 2 name=head"}, violations);
  ASSERT_TRUE(violations.empty());
  EXPECT_EQ(model.layers[0].name, "features.0");
  EXPECT_EQ(model.layers[2].name, "linear2");  // naming one renames no other
  EXPECT_EQ(model.layers[3].name, "head");
  EXPECT_EQ(model.layers[3].line(), "linear 2 name=head");
  EXPECT_EQ(smooth_twin(model).layers[3].name, "head");
  for (const auto& name :
       {std::string(), std::string("a/b"), std::string("."), std::string(".."), std::string("-x"),
        std::string("a+b"), std::string("a,b"), std::string("\xc3\xa4"), std::string(65, 'x')}) {
    parse("4", {"linear 2 name=" + name}, violations);
    EXPECT_EQ(violations.size(), 1U) << name;
    violations.clear();
  }
  parse("4", {"linear 3", "relu name=linear1", "linear 2 name=x", "linear 2 name=x"}, violations);
  ASSERT_EQ(violations.size(), 2U);
  EXPECT_NE(violations[0].message.find("linear1 like layer 1"), std::string::npos);
  EXPECT_NE(violations[1].message.find("x like layer 3"), std::string::npos);
}

TEST(Model, TheNearestWordIsNear) {
  const std::vector<std::string_view> words{"ring", "window", "hierarchical"};
  EXPECT_EQ(nearest_word("rnig", words), "ring");
  EXPECT_EQ(nearest_word("windows", words), "window");
  EXPECT_EQ(nearest_word("quetzalcoatl", words), "");
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
