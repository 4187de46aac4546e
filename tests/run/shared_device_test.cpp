/// Buffers on devices that the ranks of a node reach in each other's memory: values, bits and bytes of every
/// operation, whoever comes first; and trainings that give the bits of those through the host.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "covering_array.hpp"
#include "partita/base/clock.hpp"
#include "partita/comm/group.hpp"
#include "partita/device/reached_mirror.hpp"
#include "partita/kernels/cuda/backend.hpp"
#include "partita/kernels/cuda/devices.hpp"
#include "partita/memory/buffer.hpp"
#include "trained.hpp"

namespace partita::tests {
namespace {

using collective::Purpose;
using comm::Algorithm;
using kernels::DataType;
using kernels::Elements;
using Queue = kernels::Device::Queue;

class SharedDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto query = kernels::cuda::query_devices();
    if (query.devices.empty()) GTEST_SKIP() << "no CUDA device: " << query.problem;
    const auto devices = static_cast<int>(query.devices.size());
    cuda_ = kernels::cuda::make_cuda_backend({.device = world().local_rank() % devices});
  }
  std::unique_ptr<kernels::Backend> cuda_;
};

/// Buffers of floats on the device, reached by the other ranks of a job.
class Shared {
 public:
  Shared(kernels::Device& device, comm::Communicator& job, std::vector<std::int64_t> sizes)
      : device_(device) {
    for (const auto n : sizes) {
      storage_.emplace_back(device, bytes_of(DataType::float32, Elements(offset + n)));
      host_.emplace_back(device, bytes_of(DataType::float32, Elements(n + 1)));
      views_.push_back(
          storage_.back().view(DataType::float32, Elements(offset + n)).slice(Elements(offset), Elements(n)));
    }
    memory_.emplace(device, job);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      EXPECT_TRUE(memory_->share(storage_[i].bytes())) << memory_->why_not();
      mirrors_.push_back(std::make_unique<device::ReachedMirror>(device, *memory_, views_[i]));
    }
  }
  ~Shared() {
    mirrors_.clear();
    memory_.reset();  // before the storage
  }
  [[nodiscard]] comm::Buffer buffer(std::size_t i = 0) {
    return comm::Buffer(static_cast<comm::SharedMirror&>(*mirrors_[i]));
  }
  /// Issued, not waited for.
  void set(const std::vector<float>& values, std::size_t i = 0) {
    device_.synchronize();
    const auto image = host_[i].view(DataType::float32, views_[i].size());
    std::copy(values.begin(), values.end(), static_cast<float*>(image.data()));
    device_.copy(Queue::compute, views_[i], image);
  }
  [[nodiscard]] std::vector<float> get(std::size_t i = 0) {
    const auto image = host_[i].view(DataType::float32, views_[i].size());
    device_.copy(Queue::compute, image, views_[i]);
    device_.synchronize();
    const auto values = image.as<float>();
    return {values.begin(), values.end()};
  }

 private:
  static constexpr std::int64_t offset = 3;  // no multiple of a vector
  kernels::Device& device_;
  std::vector<memory::DeviceBuffer> storage_;
  std::vector<memory::PinnedBuffer> host_;
  std::vector<kernels::View> views_;
  std::optional<device::SharedMemory> memory_;
  std::vector<std::unique_ptr<device::ReachedMirror>> mirrors_;
};

std::vector<std::int64_t> sizes() {
  const std::int64_t p = world().size();
  return {0, 1, p - 1, p + 1, 5003};
}

std::vector<float> values_of(int rank, int run, std::int64_t n) {
  std::mt19937 generator(static_cast<unsigned>(1000 * rank + run));
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& x : values)
    x = normal(generator);
  return values;
}

/// Keeps this rank from its next step for a while, in turn.
void be_late(int run) {
  if (run % world().size() != world().rank()) return;
  const double until = base::now_seconds() + 0.005;
  while (base::now_seconds() < until) {
  }
}

collective::TrafficCounts counts_of(collective::Operation operation) {
  collective::TrafficCounts counts;
  for (const auto& row : world().ledger().rows(world().rank()))
    if (row.key.activity == collective::Activity::train && row.key.operation == operation)
      counts += row.counts;
  return counts;
}

struct Moved {
  std::int64_t read = 0, written = 0;
};
/// What `run` books as training under `operation`, all of it in memory that ranks share.
template <class Run>
Moved booked(collective::Operation operation, Run run) {
  auto& ledger = world().ledger();
  const auto before = counts_of(operation);
  const auto activity = ledger.activity();
  ledger.set_activity(collective::Activity::train);
  run();
  ledger.set_activity(activity);
  const auto after = counts_of(operation);
  EXPECT_EQ(after.messages, before.messages);
  EXPECT_EQ(after.wire_bytes, before.wire_bytes);
  EXPECT_EQ(after.wire_bytes_received, before.wire_bytes_received);
  EXPECT_EQ(after.staged_bytes.value(), 0);
  return {.read = (after.window_bytes_read - before.window_bytes_read).value(),
          .written = (after.window_bytes_written - before.window_bytes_written).value()};
}

constexpr int runs = 3;

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
    for (const auto algorithm : {Algorithm::automatic, Algorithm::ring, Algorithm::halving_doubling}) {
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

struct Trained {
  std::vector<std::vector<double>> values;
  std::string messages;
  collective::TrafficCounts counts;
};

Trained trained(const Case& c, const Decomposition& d, kernels::Backend& backend, comm::Algorithm algorithm,
                collective::DeviceMessages way) {
  const auto total = [] {
    collective::TrafficCounts counts;
    for (const auto& row : world().ledger().rows(world().rank()))
      if (row.key.activity == collective::Activity::train) counts += row.counts;
    return counts;
  };
  auto options = options_for(c, d);
  options.poison_released = d.microbatches > 1;  // else recorded graphs
  options.algorithm = algorithm;
  options.device_messages = way;
  const auto before = total();
  const auto model = placed(c.model, d.placing);
  run::Training training(model, options, backend, world(), c.data);
  training.run({});
  EXPECT_TRUE(replicas_are_identical(training));
  Trained result{.messages = training.executor().device_messages(), .counts = total()};
  result.counts.staged_bytes -= before.staged_bytes;
  result.counts.messages -= before.messages;
  result.counts.window_bytes_read -= before.window_bytes_read;
  for (auto& tensor : training.gather_parameters())
    result.values.push_back(std::move(tensor.values));
  return result;
}

/// Both add in the same order: in a ring own and received, in a window rank by rank.
TEST_F(SharedDevice, TrainingsGiveTheBitsOfThoseThroughTheHost) {
  const int p = world().size();
  using S = step::Schedule;
  std::vector<Decomposition> decompositions{{1, {.data = p}, S::one_f_one_b, 1, Placing::cheapest},
                                            {1, {.pipeline = p}, S::one_f_one_b, 3, Placing::cheapest},
                                            {5, {.tensor = p}, S::one_f_one_b, 1, Placing::column}};
  for (const auto& d : covering_array())
    if (d.grid.size() == p) decompositions.push_back(d);
  std::int64_t staged_bytes = 0, read = 0;
  for (std::size_t i = 0; i < decompositions.size(); ++i) {
    const auto& d = decompositions[i];
    const auto algorithm = i % 2 == 0 ? Algorithm::window : Algorithm::ring;
    const auto c = cases()[d.net];
    const auto staged = trained(c, d, *cuda_, algorithm, collective::DeviceMessages::staged);
    const auto ipc = trained(c, d, *cuda_, algorithm, collective::DeviceMessages::ipc);
    const auto what = to_string(d) + ", " + std::string(to_string(algorithm));
    EXPECT_EQ(staged.values, ipc.values) << what;
    EXPECT_EQ(staged.messages, p == 1 ? "" : "staged");
    EXPECT_EQ(ipc.messages, p == 1 ? "" : "ipc");
    EXPECT_EQ(ipc.counts.staged_bytes.value(), 0) << what;
    EXPECT_EQ(ipc.counts.messages, 0) << what;
    staged_bytes += staged.counts.staged_bytes.value();
    read += ipc.counts.window_bytes_read.value();
  }
  EXPECT_EQ(staged_bytes > 0, p > 1);
  EXPECT_EQ(read > 0, p > 1);
}

}  // namespace
}  // namespace partita::tests
