/// Collectives on buffers on devices that the ranks of a node reach in each other's memory: values, bits and
/// bytes, whoever comes first.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "shared_device.hpp"

namespace partita::tests {
namespace {

/// The sum that a rank of the ring or the window makes: the window adds in the order of the ranks.
std::vector<float> sum_in_order(int run, std::int64_t n) {
  auto sum = values_of(0, run, n);
  for (int r = 1; r < world().size(); ++r) {
    const auto term = values_of(r, run, n);
    for (std::size_t i = 0; i < sum.size(); ++i)
      sum[i] += term[i];
  }
  return sum;
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  double largest = a.size() == b.size() ? 0 : INFINITY;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    largest = std::max(largest, std::abs(static_cast<double>(a[i]) - b[i]));
  return largest;
}

bool same_bits_everywhere(const std::vector<float>& values) {
  const auto texts = world().all_gather_text(
      {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)}, Purpose::control);
  return std::all_of(texts.begin(), texts.end(), [&](const auto& text) { return text == texts.front(); });
}

TEST_F(SharedDevice, AllReducesGiveTheSameBitsEverywhereAndMoveWhatTheirScheduleSays) {
  const int p = world().size(), me = world().rank();
  for (const auto n : sizes()) {
    const auto share = [&](int r) { return (r + 1) * n / p - r * n / p; };
    Shared buffer(cuda_->device(), world(), {n});
    for (const auto algorithm :
         {Algorithm::automatic, Algorithm::ring, Algorithm::halving_doubling, Algorithm::double_tree}) {
      const bool window = algorithm == Algorithm::automatic;
      const auto reduce =
          world().plan_all_reduce(buffer.buffer(), comm::Combine::sum, algorithm, Purpose::gradient);
      EXPECT_EQ(reduce->description().algorithm, window ? Algorithm::window : algorithm);
      const auto moved = booked(collective::Operation::all_reduce, [&] {
        for (int run = 0; run < runs; ++run) {
          buffer.set(values_of(me, run, n));
          be_late(run);
          reduce->start();
          reduce->wait();
          const auto result = buffer.get(), expected = sum_in_order(run, n);
          EXPECT_TRUE(same_bits_everywhere(result)) << to_string(algorithm) << " of " << n;
          if (window)
            EXPECT_EQ(result, expected) << n;
          else
            EXPECT_LE(largest_difference(result, expected), 1e-5) << to_string(algorithm) << " of " << n;
        }
      });
      if (window) {
        EXPECT_EQ(moved.read, runs * 4 * (p - 1) * share(me)) << n;
        EXPECT_EQ(moved.written, runs * 4 * (p - 1) * share(me)) << n;
      } else if (algorithm == Algorithm::ring) {
        const auto received = p == 1 ? 0 : (n - share((me + p - 1) % p)) + (n - share(me));
        EXPECT_EQ(moved.read, runs * 4 * received) << n;
        EXPECT_EQ(moved.written, 0);
      } else if (algorithm == Algorithm::double_tree && p == 2) {
        EXPECT_EQ(moved.read, runs * 4 * n) << "half of it on its way up, half on its way down";
        EXPECT_EQ(moved.written, 0);
      }
    }
  }
}

TEST_F(SharedDevice, GathersScattersAndExchanges) {
  const int p = world().size(), me = world().rank();
  const auto i = static_cast<std::size_t>(me);
  for (const auto n : sizes()) {
    const auto cuts = collective::even_cuts(p, n);
    const auto mine = cuts[i + 1] - cuts[i];
    const auto begin = static_cast<std::size_t>(cuts[i]), count = static_cast<std::size_t>(mine);
    Shared buffer(cuda_->device(), world(), {n});
    {
      const auto gather = world().plan_all_gather(buffer.buffer(), cuts, Purpose::activation);
      const auto moved = booked(collective::Operation::all_gather, [&] {
        for (int run = 0; run < runs; ++run) {
          std::vector<float> values(static_cast<std::size_t>(n), -1);
          const auto all = values_of(99, run, n);
          std::copy(all.begin() + cuts[i], all.begin() + cuts[i + 1], values.begin() + cuts[i]);
          buffer.set(values);
          be_late(run);
          gather->start();
          gather->wait();
          EXPECT_EQ(buffer.get(), all);
        }
      });
      EXPECT_EQ(moved.read, runs * 4 * (n - mine));
    }
    {
      const auto scatter =
          world().plan_reduce_scatter(buffer.buffer(), cuts, comm::Combine::sum, Purpose::activation);
      for (int run = 0; run < runs; ++run) {
        buffer.set(values_of(me, run, n));
        be_late(run);
        scatter->start();
        scatter->wait();
        const auto result = buffer.get(), expected = sum_in_order(run, n);
        EXPECT_LE(largest_difference(std::span(result).subspan(begin, count),
                                     std::span(expected).subspan(begin, count)),
                  1e-5);
      }
    }
  }
}

/// Rank r sends 10·r + s + 1 elements to rank s.
TEST_F(SharedDevice, AllToAllOfRaggedSharesBetweenTwoBuffers) {
  const int p = world().size(), me = world().rank();
  const auto length = [](int from, int to) { return 10 * from + to + 1; };
  std::vector<std::int64_t> send_cuts{0}, receive_cuts{0};
  for (int r = 0; r < p; ++r) {
    send_cuts.push_back(send_cuts.back() + length(me, r));
    receive_cuts.push_back(receive_cuts.back() + length(r, me));
  }
  Shared buffers(cuda_->device(), world(), {send_cuts.back(), receive_cuts.back()});
  const auto exchange = world().plan_all_to_all(buffers.buffer(0), send_cuts, buffers.buffer(1), receive_cuts,
                                                Purpose::activation);
  const auto moved = booked(collective::Operation::all_to_all, [&] {
    for (int run = 0; run < runs; ++run) {
      std::vector<float> values, expected;
      for (int r = 0; r < p; ++r) {
        values.insert(values.end(), static_cast<std::size_t>(length(me, r)),
                      static_cast<float>(100 * me + r + 1000 * run));
        expected.insert(expected.end(), static_cast<std::size_t>(length(r, me)),
                        static_cast<float>(100 * r + me + 1000 * run));
      }
      buffers.set(values, 0);
      be_late(run);
      exchange->start();
      exchange->wait();
      EXPECT_EQ(buffers.get(1), expected);
    }
  });
  EXPECT_EQ(moved.read, runs * 4 * (receive_cuts.back() - length(me, me)));
}

}  // namespace
}  // namespace partita::tests
