/// How a sample is taken so that contenders are equal: the same buffers, results known exactly, a barrier
/// before the clock, the slowest rank's time, and large buffers written anew before every call.
#include "measure.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "partita/base/clock.hpp"
#include "partita/calibrate/network.hpp"
#include "partita/calibrate/overheads.hpp"
#include "partita/comm/yardstick.hpp"
#include "partita/memory/arena.hpp"
#include "partita/results/statistics.hpp"

namespace partita::bench_comm {
namespace {

using collective::Purpose;
using comm::Communicator;
using comm::View;

/// What rank r contributes to element i: small integers, so that a sum in any order is exact. Never zeros.
float contribution(int rank, std::int64_t i) {
  return static_cast<float>(1 + (i + std::int64_t{3} * rank) % 7);
}

void fill(View buffer, int rank) {
  auto values = buffer.as<float>();
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = contribution(rank, static_cast<std::int64_t>(i));
}

bool holds_sum(View buffer, int ranks) {
  const auto values = buffer.as<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    float sum = 0;
    for (int r = 0; r < ranks; ++r)
      sum += contribution(r, static_cast<std::int64_t>(i));
    if (values[i] != sum) return false;
  }
  return true;
}

constexpr std::int64_t most_calls = 10'000;  ///< in one sample

/// A contender with its plan and buffer.
struct Entrant {
  View buffer;
  std::unique_ptr<comm::Collective> plan;  ///< null: the stock call
  std::int64_t calls = 1;                  ///< in one sample

  void reduce(const Communicator& world) const {
    if (!plan) return comm::stock_all_reduce(world, buffer, comm::Combine::sum);
    plan->start();
    plan->wait();
  }
};

/// Buffers of at least this size are written anew before each call, as gradients are: in a repeated sum in
/// place no rank would touch what another one wrote, and the caches would flatter. Below, a clock around each
/// call would weigh more.
constexpr comm::Bytes written_anew_from(32 << 10);

/// Seconds of one call on this rank, the mean of back-to-back calls or of single ones after a barrier. Where
/// a buffer overflows to infinity in a long sample, adding costs the same.
double time_calls(Communicator& world, comm::Collective& barrier, const Entrant& entrant) {
  const bool writes = entrant.buffer.bytes() >= written_anew_from;
  double seconds = 0;
  for (std::int64_t call = 0; call < entrant.calls;) {
    fill(entrant.buffer, world.rank());
    barrier.start();
    barrier.wait();
    const double begin = base::now_seconds();
    for (const auto end = writes ? call + 1 : entrant.calls; call < end; ++call)
      entrant.reduce(world);
    seconds += base::now_seconds() - begin;
  }
  return seconds / static_cast<double>(entrant.calls);
}

bool is_correct(Communicator& world, comm::Collective& barrier, const Entrant& entrant) {
  fill(entrant.buffer, world.rank());
  barrier.start();
  barrier.wait();
  entrant.reduce(world);
  return holds_sum(entrant.buffer, world.size());
}

}  // namespace

std::vector<Contender> contenders(const Communicator& world) {
  std::vector<Contender> all{{.name = "MPI_Allreduce"}};
  const auto reach = reach_of(world.place(View()));
  for (const auto algorithm : collective::candidates(reach))
    all.push_back(
        {.name = algorithm == comm::Algorithm::mpi ? "mpi-yielding" : std::string(to_string(algorithm)),
         .algorithm = algorithm});
  if (reach == collective::Reach::node)
    all.push_back({.name = "window-in-place", .algorithm = comm::Algorithm::window, .in_window = true});
  return all;
}

double Measurement::median_seconds() const { return results::median(seconds); }

std::vector<Measurement> measure(Communicator& world, comm::Bytes bytes, const SamplingOptions& options) {
  const comm::Elements n(bytes.value() / 4);
  memory::HostBuffer storage(bytes);
  const View private_buffer(storage.bytes().data(), comm::DataType::float32, n);
  const auto window = world.allocate_shared(bytes);
  const View window_buffer = window.view(comm::DataType::float32, n);
  const auto barrier = world.plan_barrier();

  std::vector<Measurement> measurements;
  std::vector<Entrant> entrants;
  for (const auto& contender : contenders(world)) {
    Entrant entrant{.buffer = contender.in_window ? window_buffer : private_buffer};
    if (contender.algorithm)
      entrant.plan =
          world.plan_all_reduce(entrant.buffer, comm::Combine::sum, *contender.algorithm, Purpose::gradient);
    measurements.push_back(
        {.contender = contender, .bytes = bytes, .correct = is_correct(world, *barrier, entrant)});
    entrants.push_back(std::move(entrant));
  }
  const auto slowest = [&](std::vector<double>& seconds) {
    world.all_reduce(View(std::span(seconds)), comm::Combine::max, Purpose::metric);
  };
  /// Of one call on the slowest rank, the same on all.
  const auto take = [&](const Entrant& entrant) {
    std::vector<double> seconds{time_calls(world, *barrier, entrant)};
    slowest(seconds);
    return seconds.front();
  };
  // Doubled step by step: a single call may be a lucky one, and the rest take a thousand times as long where
  // others compute.
  for (auto& entrant : entrants)
    while (entrant.calls < most_calls &&
           take(entrant) * static_cast<double>(entrant.calls) < options.sample_seconds / 2)
      entrant.calls = std::min(2 * entrant.calls, most_calls);

  for (int sample = 0; sample < options.samples; ++sample)
    for (std::size_t e = 0; e < entrants.size(); ++e) {
      const double seconds = take(entrants[e]);
      measurements[e].seconds.push_back(seconds);
      const auto that_fit = static_cast<std::int64_t>(options.sample_seconds / std::max(seconds, 1e-9));
      if (entrants[e].calls > 4 * that_fit) entrants[e].calls = std::max<std::int64_t>(that_fit, 1);
    }

  std::vector<double> wrong;
  for (std::size_t e = 0; e < entrants.size(); ++e)
    wrong.push_back(measurements[e].correct && is_correct(world, *barrier, entrants[e]) ? 0 : 1);
  slowest(wrong);
  for (std::size_t e = 0; e < entrants.size(); ++e)
    measurements[e].correct = wrong[e] == 0;
  return measurements;
}

machine::Machine measure_rows(comm::MpiEnvironment& environment, Communicator& world, comm::Bytes largest) {
  machine::Machine rows{.progress = machine::Progress::polled};  // the engine's
  auto self = Communicator::self(environment);
  if (world.rank() == 0) rows.overheads = calibrate::measure_overheads(self);
  calibrate::gather_asleep(world);
  constexpr std::int64_t least = 64 << 10;  // fewer show no protocol
  calibrate::MessageOptions messages;
  messages.most_bytes = std::clamp(largest.value(), least, messages.most_bytes);
  rows.levels = calibrate::measure_levels(world, rows.overheads, messages);
  calibrate::WindowOptions windows{.overheads = rows.overheads};
  windows.most_bytes = std::clamp(largest.value(), least, windows.most_bytes);
  const auto times = calibrate::measure_window_times(world, windows);
  rows.flag_seconds = times.flag_seconds;
  rows.windows = times.rows;
  return rows;
}

double median_ratio(const Measurement& yardstick, const Measurement& ours) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.seconds.size(); ++i)
    ratios.push_back(yardstick.seconds[i] / ours.seconds[i]);
  return results::median(ratios);
}

}  // namespace partita::bench_comm
