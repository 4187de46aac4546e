/// What layer lines may say, and what is said of those that are wrong.
#include "partita/model/grammar.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <initializer_list>
#include <iomanip>
#include <sstream>
#include <utility>

#include "partita/model/parse.hpp"

namespace partita::model {
namespace {

ModelSpec parse(const std::string& input, std::vector<std::string> layers,
                std::vector<base::Violation>& violations) {
  return parse_model({.name = "m", .input = input, .layers = std::move(layers)}, violations);
}

TEST(Grammar, EveryLineThatIsWrongIsNamedAtOnce) {
  std::vector<base::Violation> violations;
  parse("1x28x28", {"conv 10 kernal=5", "liner 4", "maxpool 99", "dropout 1.5", "relu 3", "linear -2", ""},
        violations);
  EXPECT_EQ(violations.size(), 8U);  // the first line lacks its kernel too
  EXPECT_NE(violations[0].message.find("did you mean 'kernel'"), std::string::npos);
}

TEST(Grammar, WhatHeightWidthAndWordsCannotBeIsSaid) {
  const auto message = [](const std::string& line) {
    std::vector<base::Violation> violations;
    parse("2x9x9", {line, "flatten", "linear 2"}, violations);
    return violations.size() == 1 ? violations.front().message
                                  : std::to_string(violations.size()) + " violations";
  };
  for (const auto* line :
       {"conv 2 kernel=3x", "conv 2 kernel=x3", "conv 2 kernel=3x3x3", "conv 2 kernel=same"})
    EXPECT_EQ(message(line), "kernel must be a whole number from 1 to 4096, or two as HEIGHTxWIDTH") << line;
  EXPECT_EQ(message("conv 2 kernel=3 padding=sane"),
            "padding must be a whole number from 0 to 4096, or two as HEIGHTxWIDTH, or same; did you mean "
            "'same'?");
  EXPECT_EQ(message("conv 2 kernel=3 stride=2 padding=same"), "padding=same needs stride=1");
  EXPECT_NE(message("conv 2 kernel=3x4 padding=same").find("nearest to 4 are 3 and 5"), std::string::npos);
  EXPECT_EQ(message("avgpool global stride=2"), "global is one window; it takes no stride");
  EXPECT_NE(message("maxpool global").find("from 1 to 16"), std::string::npos);
  EXPECT_NE(message("conv 2 kernel=3x12 padding=0x1")
                .find("its 3x12 window needs an image of at least that "
                      "size; the largest kernel here is 9x11"),
            std::string::npos);
}

TEST(Grammar, TheNearestValueIsNamed) {
  const auto nearest = [](const std::string& line) {
    std::vector<base::Violation> violations;
    parse("2x9x9", {line, "flatten", "linear 2"}, violations);
    if (violations.size() != 1) return std::to_string(violations.size()) + " violations";
    const auto& message = violations.front().message;
    const auto begin = message.find("; ");
    return begin == std::string::npos ? "none" : message.substr(begin + 2);
  };
  for (const auto& [line, wanted] : std::initializer_list<std::pair<const char*, const char*>>{
           {"batchnorm momentum=1", "the nearest is just below 1"},
           {"batchnorm momentum=-0.5", "the nearest is 0"},
           {"batchnorm momentum=nan", "the nearest is 0"},
           {"batchnorm momentum=small", "none"},
           {"batchnorm eps=0", "the nearest is 1e-12"},
           {"batchnorm affine=off", "did you mean 'false'?"},
           {"batchnorm affine=True", "did you mean 'true'?"},
           {"batchnorm affine=flase", "did you mean 'false'?"},
           {"batchnorm affine=perhaps", "none"},
           {"avgpool globl", "did you mean 'global'?"},
           {"avgpool 0", "the nearest is 1"},
           {"maxpool 99", "the nearest is 16"},
           {"conv 2.7 kernel=3", "the nearest is 3"},
           {"conv 2 kernel=3x0", "the nearest is 3x1"},
           {"conv 2 kernel=3 stride=9999x-1", "the nearest is 4096x1"},
           {"relu stage=-1", "the nearest is 0"},
           {"relu stage=99999999999", "the nearest is 1048576"}})
    EXPECT_EQ(nearest(line), wanted) << line;
  std::vector<base::Violation> violations;
  parse_model({.name = "m", .input = "2", .layers = {"linear 2"}, .loss = "ms"}, violations);
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_EQ(violations.front().message, "must be cross-entropy or mse; did you mean 'mse'?");
}

/// Files are read by them.
TEST(Grammar, ParameterNamesAreThoseOfAllKinds) {
  const auto names = parameter_names();
  for (const auto& kind : layer_kinds()) {
    std::vector<base::Violation> violations;
    const auto input = kind.takes == Takes::vectors ? "100" : "1x100x100";
    for (const auto& layer :
         parse(input, {std::string(kind.example), "flatten", "linear 2"}, violations).layers)
      for (const auto& parameter : layer.parameters())
        EXPECT_EQ(std::count(names.begin(), names.end(), parameter.name), 1) << parameter.name;
  }
  EXPECT_EQ(names, (std::vector<std::string_view>{"weight", "bias", "running_mean", "running_var"}));
}

TEST(Grammar, PlacementAndStageAreRead) {
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

TEST(Grammar, WhatALayerCannotShardIsRefusedWithTheNearest) {
  std::vector<base::Violation> violations;
  parse_model({.name = "m",
               .input = "2x6x6",
               .layers = {"conv 3 kernel=3 placement=colum", "flatten placement=row",
                          "linear 4 placement=height", "relu placement=height", "tanh stage=-1"}},
              violations);
  ASSERT_GE(violations.size(), 4U);
  EXPECT_NE(violations[0].message.find("did you mean 'column'"), std::string::npos);
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

std::string words_of(const std::string& text) {
  std::istringstream words(text);
  std::string all;
  for (std::string word; words >> word;)
    all += (all.empty() ? "" : " ") + word;
  return all;
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
      // Its lines may be broken anywhere.
      EXPECT_NE(words_of(text).find(words_of(allowed(option))), std::string::npos);
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
  const auto bounds = [](const LayerDescription& kind, const LayerValue& number, const std::string& before) {
    if (std::holds_alternative<bool Layer::*>(number.field)) return;
    const auto text = [](double n) {
      std::ostringstream out;
      out << std::setprecision(17) << n;
      return out.str();
    };
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

}  // namespace
}  // namespace partita::model
