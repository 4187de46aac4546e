/// Numbers of different things are different types, and a list takes those of its own things alone.
#include "partita/base/id.hpp"

#include <gtest/gtest.h>

#include <concepts>
#include <vector>

namespace partita::base {
namespace {

using ApplesId = Id<struct Apples>;
using PearsId = Id<struct Pears>;

template <class List, class Key>
concept Takes = requires(List list, Key key) {
  list[key];
};

static_assert(!std::convertible_to<int, ApplesId> && !std::convertible_to<ApplesId, int>);
static_assert(!std::constructible_from<ApplesId, PearsId> &&
              !std::equality_comparable_with<ApplesId, PearsId>);
static_assert(Takes<IdVector<ApplesId, double>, ApplesId>);
static_assert(!Takes<IdVector<ApplesId, double>, PearsId> && !Takes<IdVector<ApplesId, double>, int>);

TEST(IdVector, NumbersItsElementsInTheOrderInWhichTheyCome) {
  IdVector<ApplesId, double> weights;
  EXPECT_TRUE(weights.ids().empty());
  EXPECT_FALSE(weights.has(ApplesId(0)));
  EXPECT_EQ(weights.end_id(), ApplesId(0));
  EXPECT_EQ(weights.push_back(0.5), ApplesId(0));
  EXPECT_EQ(weights.push_back(1.5), ApplesId(1));
  std::vector<int> numbers;
  for (const auto id : weights.ids()) {
    EXPECT_TRUE(weights.has(id));
    EXPECT_DOUBLE_EQ(weights[id], 0.5 + id.value());
    numbers.push_back(id.value());
  }
  EXPECT_EQ(numbers, (std::vector{0, 1}));
  numbers.clear();
  for (const auto id : weights.ids().reversed())
    numbers.push_back(id.value());
  EXPECT_EQ(numbers, (std::vector{1, 0}));
  EXPECT_FALSE(weights.has(weights.end_id()));
  EXPECT_FALSE(weights.has(ApplesId(-1)));
}

}  // namespace
}  // namespace partita::base
