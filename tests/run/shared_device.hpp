/// What the tests of buffers on devices that ranks of a node reach in each other's memory start from: such
/// buffers, values, sizes, a rank that comes late, and the bytes that are booked meanwhile.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "on_cuda.hpp"
#include "partita/base/clock.hpp"
#include "partita/device/reached_mirror.hpp"
#include "partita/memory/buffer.hpp"

namespace partita::tests {

using collective::Purpose;
using comm::Algorithm;
using kernels::DataType;
using kernels::Elements;
using Queue = kernels::Device::Queue;

class SharedDevice : public OnCuda {};

/// Buffers of floats on the device, reached by the other ranks of a job.
class Shared {
 public:
  Shared(kernels::Device& device, comm::Communicator& job, const std::vector<std::int64_t>& sizes)
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

inline std::vector<std::int64_t> sizes() {
  const std::int64_t p = world().size();
  return {0, 1, p - 1, p + 1, 5003};
}

inline std::vector<float> values_of(int rank, int run, std::int64_t n) {
  std::mt19937 generator(static_cast<unsigned>(1000 * rank + run));
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& x : values)
    x = normal(generator);
  return values;
}

/// Keeps this rank from its next step for a while, in turn.
inline void be_late(int run) {
  if (run % world().size() != world().rank()) return;
  const double until = base::now_seconds() + 0.005;
  while (base::now_seconds() < until) {
  }
}

inline collective::TrafficCounts counts_of(collective::Operation operation) {
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

}  // namespace partita::tests
