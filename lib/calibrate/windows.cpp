/// Times whole all-reduces, whose rounds say how many bytes are moved how.
#include "partita/calibrate/windows.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "partita/calibrate/draws.hpp"
#include "partita/calibrate/segments.hpp"
#include "partita/collective/spec.hpp"
#include "partita/memory/arena.hpp"
#include "partita/results/statistics.hpp"

namespace partita::calibrate {
namespace {

using collective::Purpose;
using kernels::Bytes;
using kernels::DataType;
using kernels::Elements;
using kernels::View;

/// Smaller buffers are reduced back to back: the clock and the barrier around a single call would weigh more.
/// Larger ones are written anew before each call, as gradients are.
constexpr std::int64_t single_from = 32 << 10;
constexpr int calls_back_to_back = 64, repetitions = 9;

WindowSample work_of(comm::Communicator& node, View buffer) {
  const auto n = buffer.size().value();
  const auto rounds = collective::rounds_of({.operation = collective::Operation::all_reduce,
                                             .algorithm = collective::Algorithm::window,
                                             .type = buffer.type(),
                                             .elements = n},
                                            node.place(comm::Buffer(buffer)));
  WindowSample work;
  for (const auto& round : rounds) {
    const auto& access = std::get<collective::WindowRound>(round);
    const auto bytes = [](std::int64_t elements) { return 4.0 * static_cast<double>(elements); };
    const double staged = bytes(access.staged()), loaded = bytes(access.loaded()),
                 stored = bytes(access.stored());
    work.rounds += 1;
    work.staged += staged, work.loaded += loaded, work.stored += stored;
    work.round_bytes = std::max(work.round_bytes, staged + loaded + stored);
  }
  return work;
}

void write_anew(View buffer) {
  const auto values = buffer.as<float>();
  std::fill(values.begin(), values.end(), 1.0F);
}

/// Of `calls` of `work` each, the lower quartile of the slowest rank's mean.
template <class Work>
double seconds_of(comm::Communicator& node, View buffer, int calls, const Work& work) {
  std::vector<double> seconds;
  for (int i = 0; i < repetitions; ++i) {
    write_anew(buffer);
    node.barrier();
    const double begin = base::now_seconds();
    for (int call = 0; call < calls; ++call)
      work();
    seconds.push_back(most(node, (base::now_seconds() - begin) / calls));
  }
  return results::percentile(seconds, quick_share);
}

WindowSample reduce(comm::Communicator& node, View buffer, const machine::Overheads& overheads) {
  const auto plan =
      node.plan_all_reduce(buffer, comm::Combine::max, comm::Algorithm::window, Purpose::gradient);
  auto sample = work_of(node, buffer);
  const int calls = buffer.bytes() < Bytes(single_from) ? calls_back_to_back : 1;
  const double seconds = seconds_of(node, buffer, calls, [&] {
    plan->start();
    plan->wait();
  });
  sample.seconds = std::max(seconds - overheads.start_seconds - overheads.wait_seconds, 1e-9);
  return sample;
}

/// A copy into the own segment, which the others have read.
WindowSample stage(comm::Communicator& node, View source, View segment) {
  const auto bytes = static_cast<double>(source.bytes().value());
  const auto readers =
      node.plan_all_reduce(segment, comm::Combine::max, comm::Algorithm::window, Purpose::gradient);
  std::vector<double> seconds;
  for (int i = 0; i < repetitions; ++i) {
    readers->start();
    readers->wait();
    node.barrier();
    write_anew(source);
    const double begin = base::now_seconds();
    std::memcpy(segment.data(), source.data(), static_cast<std::size_t>(source.bytes().value()));
    seconds.push_back(most(node, base::now_seconds() - begin));
  }
  return {.staged = bytes,
          .round_bytes = bytes,
          .seconds = std::max(results::percentile(seconds, quick_share), 1e-9)};
}

}  // namespace

std::vector<WindowSample> measure_windows(comm::Communicator& node, const WindowOptions& options) {
  const Elements largest(options.most_bytes / 4);
  const memory::HostBuffer storage{Bytes(options.most_bytes)};
  const auto window = node.allocate_shared(Bytes(options.most_bytes));
  Draws draws(options.seed, 1);
  const Budget budget(options.seconds);
  std::vector<WindowSample> samples;
  for (int i = 0; i < options.sizes; ++i) {
    // The first is a single number, which only flags take time for.
    const Elements n(i == 0 ? 1 : draws.log_uniform(1, largest.value()));
    const View here = storage.view(DataType::float32, n), there = window.view(DataType::float32, n);
    samples.push_back(reduce(node, there, options.overheads));
    samples.push_back(reduce(node, here, options.overheads));
    if (here.bytes() >= Bytes(4096)) samples.push_back(stage(node, here, there));
    if (i >= 8 && most(node, budget.share_spent()) > 1) break;
  }
  return samples;
}

namespace {

using Rates = std::array<double, 3>;  ///< seconds a byte: staged, loaded, stored

Rates bytes_of(const WindowSample& s) { return {s.staged, s.loaded, s.stored}; }

double explained(const WindowSample& sample, const Rates& rates) {
  const auto bytes = bytes_of(sample);
  return bytes[0] * rates[0] + bytes[1] * rates[1] + bytes[2] * rates[2];
}

/// Seconds beside the flags'.
double accesses(const WindowSample& sample, double flag_seconds) {
  return std::max(sample.seconds - sample.rounds * flag_seconds, 0.05 * sample.seconds);
}

/// Least squares of the relative error with no rate below 0, held by a spring to where they begin, which is
/// where they stay as far as the samples leave them open: coordinate descent.
Rates fit(const std::vector<WindowSample>& samples, double flag_seconds, const Rates& begin) {
  constexpr double spring = 0.05;
  Rates rates = begin;
  for (int sweep = 0; sweep < 300; ++sweep)
    for (std::size_t k = 0; k < rates.size(); ++k) {
      double numerator = spring / begin[k], denominator = spring / (begin[k] * begin[k]);
      for (const auto& sample : samples) {
        const double seconds = accesses(sample, flag_seconds), a = bytes_of(sample)[k] / seconds;
        numerator += a * (1 - explained(sample, rates) / seconds + a * rates[k]);
        denominator += a * a;
      }
      rates[k] = std::max(numerator / denominator, 0.01 * begin[k]);
    }
  return rates;
}

/// How many times longer the samples took than the rates say, on the whole.
double factor(const std::vector<WindowSample>& samples, double flag_seconds, const Rates& rates) {
  std::vector<double> factors;
  for (const auto& sample : samples)
    if (const double expected = explained(sample, rates); expected > 0)
      factors.push_back(accesses(sample, flag_seconds) / expected);
  return factors.empty() ? 1 : results::median(factors);
}

}  // namespace

WindowTimes window_times(std::vector<WindowSample> samples) {
  std::sort(samples.begin(), samples.end(),
            [](const auto& a, const auto& b) { return a.round_bytes < b.round_bytes; });
  WindowTimes times;
  std::vector<double> flags;
  for (const auto& s : samples)
    if (s.rounds > 0 && s.round_bytes <= 64) flags.push_back(s.seconds / s.rounds);
  if (!flags.empty()) times.flag_seconds = *std::min_element(flags.begin(), flags.end());
  std::vector<Point> points;
  for (const auto& s : samples)
    if (s.stored > 0) points.push_back({s.round_bytes, accesses(s, times.flag_seconds)});
  const auto segments = find_segments(points, 4);
  // A guess of 10 GB/s where nothing was measured.
  Rates rates{1e-10, 1e-10, 1e-10};
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const double from = segments[i].min_bytes,
                 to = i + 1 < segments.size() ? segments[i + 1].min_bytes : INFINITY;
    std::vector<WindowSample> here;
    for (const auto& s : samples)
      if (s.round_bytes >= from && s.round_bytes < to) here.push_back(s);
    const double slower = factor(here, times.flag_seconds, rates);
    for (double& rate : rates)
      rate *= slower;
    const bool stages =
        std::any_of(here.begin(), here.end(), [](const auto& s) { return s.staged > 0 && s.loaded > 0; });
    if (stages) rates = fit(here, times.flag_seconds, rates);
    times.rows.push_back({.min_bytes = Bytes(static_cast<std::int64_t>(from)),
                          .stage_byte_seconds = rates[0],
                          .load_byte_seconds = rates[1],
                          .store_byte_seconds = rates[2]});
  }
  return times;
}

}  // namespace partita::calibrate
