/// Whose push a server takes, of several that have come.
#include "partita/step/turns.hpp"

#include <gtest/gtest.h>

namespace partita::step {
namespace {

TEST(Turns, GoRoundAllWorkersThatHavePushed) {
  Turns turns({.count = 1, .is_asynchronous = true}, 3, 2);
  std::vector<int> served;
  while (const auto worker = turns.next([](int) { return true; })) {
    served.push_back(*worker);
    turns.take(*worker);
  }
  EXPECT_EQ(served, (std::vector{0, 1, 2, 0, 1, 2}));
  EXPECT_TRUE(turns.is_over());
}

TEST(Turns, PassOverWorkersThatHaveNot) {
  Turns turns({.count = 1, .is_asynchronous = true}, 3, 2);
  turns.take(1);
  EXPECT_EQ(turns.next([](int worker) { return worker < 2; }), 0);
  EXPECT_EQ(turns.next([](int) { return false; }), std::nullopt);
}

}  // namespace
}  // namespace partita::step
