/// Messages between buffers on devices that the ranks of a node reach in each other's memory, whoever comes
/// first; and what becomes of those who wait for a rank that fails.
#include "shared_device.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>
#include <vector>

#include "partita/comm/group.hpp"

namespace partita::tests {
namespace {

TEST_F(SharedDevice, MessagesAreCopiedByTheirReceiver) {
  const int p = world().size(), me = world().rank();
  const int to = (me + 1) % p, from = (me + p - 1) % p;
  if (p == 1) return;
  for (const auto n : sizes()) {
    Shared buffers(cuda_->device(), world(), {n, n});
    const auto send = world().plan_send(buffers.buffer(0), to, 7, Purpose::activation);
    const auto receive = world().plan_receive(buffers.buffer(1), from, 7, Purpose::activation);
    world().connect_shared();
    const auto run_all = [&] {
      for (int run = 0; run < runs; ++run) {
        buffers.set(values_of(me, run, n), 0);
        be_late(run);
        (run % 2 ? send : receive)->start();
        be_late(run + 1);
        (run % 2 ? receive : send)->start();
        receive->wait();
        EXPECT_EQ(buffers.get(1), values_of(from, run, n));
        send->wait();
      }
    };
    Moved sent, received;
    received =
        booked(collective::Operation::receive, [&] { sent = booked(collective::Operation::send, run_all); });
    EXPECT_EQ(received.read, runs * n * 4);
    EXPECT_EQ(sent.read + sent.written + received.written, 0);
  }
}

TEST_F(SharedDevice, MessagesBetweenTwoRanksAreToldApartByTheirTags) {
  const int p = world().size(), me = world().rank();
  const int to = (me + 1) % p, from = (me + p - 1) % p;
  constexpr std::size_t count = 3;
  if (p == 1) return;
  const auto length = [](std::size_t tag) { return static_cast<std::int64_t>(100 + tag); };
  const auto content = [&](int rank, int run, std::size_t tag) {
    return values_of(rank, 10 * run + static_cast<int>(tag), length(tag));
  };
  Shared buffers(cuda_->device(), world(),
                 {length(0), length(1), length(2), length(0), length(1), length(2)});
  std::vector<std::unique_ptr<comm::Collective>> sends, receives;
  for (std::size_t i = 0; i < count; ++i) {
    const auto last = count - 1 - i;
    sends.push_back(world().plan_send(buffers.buffer(i), to, static_cast<int>(i), Purpose::activation));
    receives.push_back(world().plan_receive(buffers.buffer(count + last), from, static_cast<int>(last),
                                            Purpose::activation));
  }
  world().connect_shared();
  for (int run = 0; run < runs; ++run) {
    for (std::size_t i = 0; i < count; ++i) {
      buffers.set(content(me, run, i), i);
      sends[i]->start();
    }
    for (const auto& receive : receives)
      receive->start();
    for (std::size_t i = 0; i < count; ++i) {
      receives[i]->wait();
      sends[i]->wait();
    }
    for (std::size_t i = 0; i < count; ++i)
      EXPECT_EQ(buffers.get(count + i), content(from, run, i));
  }
}

TEST_F(SharedDevice, AFailureReachesThoseWhoWait) {
  const int p = world().size();
  if (p == 1) return;
  comm::Group group(world(), 0);
  for (int repetition = 0; repetition < 2; ++repetition) {
    const auto failures = group.run([&](comm::Communicator& job) {
      Shared buffer(cuda_->device(), job, {1000});
      const auto reduce =
          job.plan_all_reduce(buffer.buffer(), comm::Combine::sum, Algorithm::window, Purpose::gradient);
      if (job.rank() == p - 1) throw std::runtime_error("lost");
      reduce->start();
      reduce->wait();
      ADD_FAILURE() << "the last rank never came";
    });
    ASSERT_EQ(failures.size(), 1U);
    EXPECT_EQ(failures.front().rank, p - 1);
    EXPECT_EQ(failures.front().reason, "lost");
  }
}

}  // namespace
}  // namespace partita::tests
