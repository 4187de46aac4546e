/// Words that somebody may have meant.
#include "partita/base/nearest.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace partita::base {
namespace {

TEST(Nearest, WordIsNear) {
  const std::vector<std::string_view> words{"ring", "window", "hierarchical"};
  EXPECT_EQ(nearest_word("rnig", words), "ring");
  EXPECT_EQ(nearest_word("windows", words), "window");
  EXPECT_EQ(nearest_word("quetzalcoatl", words), "");
}

TEST(Nearest, DistanceCountsEachChange) {
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("window", "window"), 0U);
}

}  // namespace
}  // namespace partita::base
