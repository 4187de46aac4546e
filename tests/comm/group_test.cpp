/// Jobs side by side on parts of the world, and failures that stay inside them.
#include "partita/comm/group.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>

#include "../mpi_main.hpp"

namespace partita::comm {
namespace {

using collective::Activity;
using collective::Purpose;
using tests::world;

/// Groups of two ranks, the last one perhaps of one.
Group pairs() { return {world(), world().rank() / 2}; }

double sum_of_ones(Communicator& ranks, Algorithm algorithm, std::size_t elements) {
  std::vector<double> values(elements, 1.0);
  ranks.all_reduce(std::span(values), Combine::sum, Purpose::gradient, algorithm);
  return values.back();
}

TEST(Group, RunsJobsAsIfEachHadTheWorldToItself) {
  auto group = pairs();
  for (int job = 0; job < 1 + world().rank() / 2; ++job) {  // every group another number of jobs
    const auto failures = group.run([&](Communicator& ranks) {
      EXPECT_EQ(ranks.size(), group.control().size());
      EXPECT_EQ(ranks.node_cores(), world().node_cores());
      ranks.ledger().set_activity(Activity::train);
      EXPECT_EQ(sum_of_ones(ranks, Algorithm::ring, 100), ranks.size());
      std::int64_t sent = 0;
      for (const auto& row : ranks.gather_traffic())
        if (row.key.activity == Activity::train && row.key.purpose == Purpose::gradient)
          sent += row.counts.wire_bytes.value();
      if (ranks.rank() == 0) {
        EXPECT_EQ(sent, 2 * (ranks.size() - 1) * 800) << "the job's own bytes, in every job";
      }
    });
    EXPECT_TRUE(failures.empty());
  }
}

/// What is under way when one rank throws.
struct Case {
  const char* name;
  std::function<void(Communicator&, int thrower)> job;
};

[[noreturn]] void fail() { throw std::runtime_error("this rank cannot go on"); }

const std::vector<Case> cases{
    {"peers wait in a plan",
     [](Communicator& ranks, int thrower) {
       if (ranks.rank() == thrower) fail();
       sum_of_ones(ranks, Algorithm::ring, 10);
     }},
    {"a large and a small message are under way",
     [](Communicator& ranks, int thrower) {
       for (const std::size_t elements : {10UL, 1UL << 20}) {
         std::vector<double> values(elements);
         const auto operation =
             ranks.plan_all_reduce(std::span(values), Combine::sum, Algorithm::ring, Purpose::gradient);
         if (elements > 10) operation->start();
         if (ranks.rank() == thrower && elements > 10) fail();
         if (elements > 10) operation->wait();
       }
     }},
    {"messages that nobody will receive",
     [](Communicator& ranks, int thrower) {
       std::vector<double> values(1 << 20), answer(4);
       const int peer = (ranks.rank() + 1) % ranks.size();
       const auto send = ranks.plan_send(std::span(values), peer, 1, Purpose::activation);
       const auto receive = ranks.plan_receive(std::span(answer), peer, 2, Purpose::activation);
       send->start(), receive->start();
       if (ranks.rank() == thrower) fail();
       receive->wait();
     }},
    {"peers wait in a window",
     [](Communicator& ranks, int thrower) {
       std::vector<double> values(1000);
       const auto shared = ranks.allocate_shared(Bytes(800));
       const auto operation = ranks.plan_all_reduce(
           shared.view(DataType::float64, Elements(100)), Combine::sum,
           ranks.local_size() == ranks.size() ? Algorithm::window : Algorithm::ring, Purpose::gradient);
       if (ranks.rank() == thrower) fail();
       operation->start(), operation->wait();
     }},
    {"every rank throws", [](Communicator&, int) { fail(); }},
};

/// Whose messages all ask for their receivers.
machine::Machine of_rendezvous() {
  return {.flops_per_second = 1,
          .main_bytes_per_second = 1,
          .link_bytes_per_second = 1,
          .levels = {{.protocols = {{.rendezvous = true}}}}};
}

/// `virtually`: the times of messages are under way, too.
void expect_contained(bool virtually) {
  auto group = pairs();
  const bool fails = world().rank() / 2 == 0;  // the other groups are not disturbed
  for (const auto& what : cases)
    for (int thrower = 0; thrower < 2; ++thrower) {
      SCOPED_TRACE(what.name);
      const auto failures = group.run([&](Communicator& ranks) {
        if (virtually) ranks.use_virtual_clock(of_rendezvous());
        const VirtualClock::Run runs(ranks.virtual_clock());
        if (fails && ranks.size() > 1)
          what.job(ranks, thrower);
        else
          EXPECT_EQ(sum_of_ones(ranks, Algorithm::ring, 1000), ranks.size());
      });
      const bool all = std::string_view(what.name) == "every rank throws";
      const std::size_t expected = !fails || group.control().size() == 1 ? 0 : all ? 2 : 1;
      ASSERT_EQ(failures.size(), expected);
      for (const auto& failure : failures) {
        EXPECT_EQ(failure.reason, "this rank cannot go on");
        if (!all) {
          EXPECT_EQ(failure.rank, thrower);
        }
      }
      EXPECT_TRUE(group
                      .run([&](Communicator& ranks) {
                        EXPECT_EQ(sum_of_ones(ranks, Algorithm::automatic, 50000), ranks.size());
                      })
                      .empty());
    }
}

TEST(Group, ContainsAFailureAndGoesOn) { expect_contained(false); }
TEST(Group, ContainsAFailureInVirtualTimeAndGoesOn) { expect_contained(true); }

TEST(Group, LeavesNothingBehindThatCouldRunOut) {
  auto group = pairs();
  if (group.control().size() == 1 || world().size() > 2) return;
  // MPICH has about 2,048 communicators; each of these jobs opens 16.
  for (int i = 0; i < 160; ++i) {
    const auto failures = group.run([&](Communicator& ranks) {
      std::vector<Communicator> open;
      for (int copy = 0; copy < 7; ++copy)
        open.push_back(ranks.with_nodes_of(0));
      cases[static_cast<std::size_t>(i % 4)].job(open.back(), i % 2);
    });
    ASSERT_EQ(failures.size(), 1U);
  }
}

}  // namespace
}  // namespace partita::comm
