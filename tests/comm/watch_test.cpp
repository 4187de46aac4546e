/// Whose waits end a job: those for ranks that do nothing any more, not those for ranks that others keep
/// busy.
#include "../../lib/comm/watch.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "../mpi_main.hpp"

namespace partita::comm {
namespace {

constexpr double limit_seconds = 10;

/// Waits by a clock of its own.
class Waiting {
 public:
  explicit Waiting(Watch& watch) : watch_(watch) {}
  std::optional<std::string> report_after(double seconds) {
    for (; seconds > 0; seconds -= 0.5)
      if (auto report = clock_.tick(watch_, now_ += 0.5)) return report;
    return {};
  }

 private:
  Watch& watch_;
  WaitClock clock_;
  double now_ = 1;
};

/// All ranks; `in_turn` runs on the first, and the last one starts an operation whenever that asks it to.
void with_shared_blocks(const std::function<void(Watch&, const std::function<void()>& move)>& in_turn) {
  Watch watch;
  watch.set_limit(limit_seconds);
  std::vector<int> ranks(static_cast<std::size_t>(tests::world().size()));
  std::iota(ranks.begin(), ranks.end(), 0);
  watch.share(MPI_COMM_WORLD, ranks, [](MPI_Request& request) { MPI_Wait(&request, MPI_STATUS_IGNORE); });
  const Shown operation{.operation = static_cast<std::uint8_t>(collective::Operation::send), .peer = 0};
  const int me = tests::world().rank(), last = tests::world().size() - 1;
  watch.started(operation);
  tests::world().barrier();
  const auto move = [&](int more) {
    MPI_Bcast(&more, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (me == last && more != 0) watch.started(operation);
    MPI_Barrier(MPI_COMM_WORLD);
    return more != 0;
  };
  if (me == 0) {
    in_turn(watch, [&] { move(1); });
    move(0);
  } else {
    while (move(1)) {
    }
  }
}

Shown message_from_last() {
  return {.operation = static_cast<std::uint8_t>(collective::Operation::receive),
          .peer = tests::world().size() - 1};
}

TEST(Watch, CountsFromWhenWhoIsAwaitedLastMoved) {
  with_shared_blocks([](Watch& watch, const std::function<void()>& move) {
    watch.waits(message_from_last());
    Waiting waiting(watch);
    for (int moves = 0; moves < 3; ++moves) {
      EXPECT_FALSE(waiting.report_after(limit_seconds - 1));
      move();
    }
    EXPECT_FALSE(waiting.report_after(limit_seconds - 1));
    const auto report = waiting.report_after(3);
    ASSERT_TRUE(report);
    EXPECT_NE(report->find("rank 0: waits in receive"), std::string::npos) << *report;
  });
}

TEST(Watch, DoesNotCountMovesFromBefore) {
  with_shared_blocks([](Watch& watch, const std::function<void()>& move) {
    move();
    watch.waits(message_from_last());
    EXPECT_TRUE(Waiting(watch).report_after(limit_seconds + 2));
  });
}

TEST(Watch, CountsAllOfAWaitForEverybody) {
  with_shared_blocks([](Watch& watch, const std::function<void()>& move) {
    watch.waits({.operation = static_cast<std::uint8_t>(collective::Operation::barrier)});
    Waiting waiting(watch);
    EXPECT_FALSE(waiting.report_after(limit_seconds - 1));
    move();
    EXPECT_TRUE(waiting.report_after(3));
  });
}

}  // namespace
}  // namespace partita::comm
