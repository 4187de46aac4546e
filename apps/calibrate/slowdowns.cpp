/// One rank measures, its neighbour copies or sleeps, the others sleep.
#include "slowdowns.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include "memory.hpp"
#include "partita/memory/arena.hpp"
#include "partita/results/statistics.hpp"

namespace partita::calibrate {
namespace {

using kernels::Bytes;
using kernels::DataType;
using kernels::Elements;

constexpr int samples = 15;
constexpr double sample_seconds = 10e-3;
constexpr std::chrono::milliseconds until_all_are_awake{3};
constexpr double most_factor = 10;  ///< what takes longer was interrupted
constexpr std::int64_t copied = 32 << 20, message = 1 << 20;
constexpr std::int64_t touched = 24 << 20;  ///< by the pass over vectors

/// Copies one block after the other until all ranks have come.
class Copier {
 public:
  void work_until_all_come(comm::Communicator& world) {
    const auto barrier = world.plan_barrier();
    barrier->start();
    for (std::size_t at = 0; !barrier->test(); at = (at + block) % from_.bytes().size())
      std::memcpy(to_.bytes().data() + at, from_.bytes().data() + at, block);
    barrier->wait();
  }

 private:
  static constexpr auto block = static_cast<std::size_t>(message);
  memory::HostBuffer from_{Bytes(copied)}, to_{Bytes(copied)};
};

/// What rank 0 runs.
class Work {
 public:
  explicit Work(kernels::Backend& backend)
      : plan_(backend.plan_gemm({.m = rows, .n = side, .k = side})),
        workspace_(plan_->workspace()),
        a_(bytes_of(DataType::float32, Elements(rows * side))),
        b_(bytes_of(DataType::float32, Elements(side * side))),
        c_(bytes_of(DataType::float32, Elements(rows * side))),
        triad_(touched) {}

  void product() {
    plan_->run({.a = a_.view(DataType::float32, Elements(rows * side)),
                .b = b_.view(DataType::float32, Elements(side * side)),
                .c = c_.view(DataType::float32, Elements(rows * side))},
               workspace_.bytes());
  }
  void pass() { triad_.run(); }

 private:
  static constexpr std::int64_t rows = 240, side = 480;
  std::unique_ptr<kernels::Gemm> plan_;
  memory::HostBuffer workspace_, a_, b_, c_;
  Triad triad_;
};

template <class Run>
double seconds_of(const Run& run, int calls) {
  const double begin = base::now_seconds();
  for (int call = 0; call < calls; ++call)
    run();
  return (base::now_seconds() - begin) / calls;
}

}  // namespace

std::vector<machine::Slowdown> measure_slowdowns(comm::Communicator& world, kernels::Backend& backend) {
  if (world.size() == 1 || world.nodes()[1] != world.nodes()[0]) return {};
  std::vector<machine::Slowdown> slowdowns;
  std::unique_ptr<Work> work;
  std::unique_ptr<Copier> copier;
  if (world.rank() == 0) work = std::make_unique<Work>(backend);
  if (world.rank() == 1) copier = std::make_unique<Copier>();
  for (const bool products : {true, false}) {
    const auto call = [&] { products ? work->product() : work->pass(); };
    const int calls = work ? std::max(1, static_cast<int>(sample_seconds / seconds_of(call, 3))) : 0;
    std::vector<double> alone, beside;
    for (int sample = 0; sample < samples; ++sample)
      for (const bool copies : {false, true}) {
        gather_asleep(world);
        if (work) {
          std::this_thread::sleep_for(until_all_are_awake);
          (copies ? beside : alone).push_back(seconds_of(call, calls));
        }
        if (copies && copier)
          copier->work_until_all_come(world);
        else
          gather_asleep(world);
      }
    const double ratio = work ? results::median(beside) / results::median(alone) : 1;
    const double factor = std::round(std::clamp(ratio, 1.0, most_factor) * 1e3) / 1e3;
    slowdowns.push_back(
        {.of = products ? "products" : "others", .beside = "messages", .factor = most(world, factor)});
  }
  return slowdowns;
}

}  // namespace partita::calibrate
