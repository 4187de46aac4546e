/// What a calibration makes of measurements: bends and rates that are known are found again; networks are
/// drawn alike everywhere, and none that predictions are validated on.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "networks.hpp"
#include "partita/calibrate/capacity.hpp"
#include "partita/calibrate/draws.hpp"
#include "partita/calibrate/messages.hpp"
#include "partita/calibrate/segments.hpp"
#include "partita/calibrate/windows.hpp"
#include "partita/cost/work.hpp"
#include "trainee.hpp"
#include "variance.hpp"

namespace partita::calibrate {
namespace {

constexpr double start = 60e-9, wait = 50e-9;
constexpr machine::Overheads overheads{.start_seconds = start, .wait_seconds = wait};

std::vector<double> sizes(int n, std::int64_t most) {
  Draws draws(3, 7);
  std::vector<double> sizes;
  for (int i = 0; i < n; ++i)
    sizes.push_back(static_cast<double>(draws.log_uniform(1, most)));
  std::sort(sizes.begin(), sizes.end());
  return sizes;
}

/// 1 ± 2 %.
double noise(Draws& draws) { return 0.98 + 0.04 * draws.uniform(); }

TEST(Segments, OneLineIsOneSegment) {
  Draws draws(1, 1);
  std::vector<Point> points;
  for (const double bytes : sizes(40, 1 << 20))
    points.push_back({bytes, (1e-6 + 1e-10 * bytes) * noise(draws)});
  const auto segments = find_segments(points, 4);
  ASSERT_EQ(segments.size(), 1U);
  EXPECT_EQ(segments[0].min_bytes, 0);
  EXPECT_NEAR(segments[0].line.base, 1e-6, 0.03e-6);
  EXPECT_NEAR(segments[0].line.slope, 1e-10, 0.03e-10);
}

TEST(Segments, EveryBendIsFound) {
  const auto seconds = [](double bytes) {
    if (bytes < 8000) return 0.3e-6 + 1e-10 * bytes;
    if (bytes < 500'000) return 2e-6 + 0.5e-10 * bytes;
    return 10e-6 + 2e-10 * bytes;
  };
  Draws draws(1, 2);
  std::vector<Point> points;
  for (const double bytes : sizes(60, 64 << 20))
    points.push_back({bytes, seconds(bytes) * noise(draws)});
  const auto segments = find_segments(points, 4);
  ASSERT_EQ(segments.size(), 3U);
  const double bends[] = {8000, 500'000};
  for (int i = 0; i < 2; ++i) {
    // Between the points on both sides of the bend.
    const auto next =
        std::find_if(points.begin(), points.end(), [&](const auto& p) { return p.bytes >= bends[i]; });
    EXPECT_GT(segments[i + 1].min_bytes, std::prev(next)->bytes);
    EXPECT_LE(segments[i + 1].min_bytes, next->bytes);
  }
  EXPECT_NEAR(segments[2].line.slope, 2e-10, 0.1e-10);
}

TEST(Segments, NothingIsFasterThanNothing) {
  const std::vector<Point> falling{{1, 3e-6}, {1000, 2e-6}, {2000, 1e-6}, {3000, 0.5e-6}};
  const auto line = fit_line(falling);
  EXPECT_GE(line.base, 0);
  EXPECT_GE(line.slope, 0);
}

std::vector<MessageSample> samples_of(std::span<const machine::Protocol> protocols) {
  std::vector<MessageSample> samples;
  for (const double bytes : sizes(60, 64 << 20)) {
    const auto& p = bytes < static_cast<double>(protocols[1].min_bytes.value()) ? protocols[0] : protocols[1];
    const double send = p.send_seconds + bytes * p.send_byte_seconds,
                 way = p.latency_seconds + bytes * p.byte_seconds,
                 receive = p.receive_seconds + bytes * p.receive_byte_seconds;
    samples.push_back({.bytes = static_cast<std::int64_t>(bytes),
                       .send_seconds = start + send,
                       .receive_seconds = start + wait + (p.rendezvous ? way : receive),
                       .one_way_seconds = start + send + way + receive + wait,
                       .eager = !p.rendezvous});
  }
  return samples;
}

TEST(Messages, ProtocolsAreFoundAgain) {
  const machine::Protocol known[] = {{.send_seconds = 200e-9,
                                      .send_byte_seconds = 1e-10,
                                      .latency_seconds = 300e-9,
                                      .byte_seconds = 0.2e-10,
                                      .receive_seconds = 100e-9,
                                      .receive_byte_seconds = 1.5e-10},
                                     {.min_bytes = kernels::Bytes(16'384),
                                      .send_seconds = 250e-9,
                                      .latency_seconds = 2e-6,
                                      .byte_seconds = 1e-10,
                                      .rendezvous = true}};
  const auto samples = samples_of(known);
  const auto found = protocols_of(samples, overheads);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].min_bytes.value(), 0);
  EXPECT_FALSE(found[0].rendezvous);
  EXPECT_TRUE(found[1].rendezvous);
  const auto first = std::find_if(samples.begin(), samples.end(), [](const auto& s) { return !s.eager; });
  EXPECT_EQ(found[1].min_bytes.value(), first->bytes);
  for (int i = 0; i < 2; ++i) {
    EXPECT_NEAR(found[i].send_seconds, known[i].send_seconds, 2e-9);
    EXPECT_NEAR(found[i].latency_seconds, known[i].latency_seconds, 5e-9);
    EXPECT_NEAR(found[i].receive_seconds, known[i].receive_seconds, 2e-9);
    EXPECT_NEAR(found[i].send_byte_seconds, known[i].send_byte_seconds, 1e-12);
    EXPECT_NEAR(found[i].byte_seconds, known[i].byte_seconds, 1e-12);
    EXPECT_NEAR(found[i].receive_byte_seconds, known[i].receive_byte_seconds, 1e-12);
  }
}

TEST(Messages, EndsTakeNoMoreThanTheWholeWay) {
  std::vector<MessageSample> samples;
  for (int bytes = 1; bytes <= 64; ++bytes)
    samples.push_back(
        {.bytes = bytes, .send_seconds = 1e-6, .receive_seconds = 3e-6, .one_way_seconds = 0.5e-6});
  const auto found = protocols_of(samples, overheads);
  ASSERT_EQ(found.size(), 1U);
  const auto& p = found[0];
  EXPECT_NEAR(p.send_seconds + p.latency_seconds + p.receive_seconds, 0.5e-6 - start - wait, 1e-12);
  EXPECT_GE(p.latency_seconds, 0);
  EXPECT_GE(p.receive_seconds, 0);
}

TEST(Windows, RatesAreFoundAgain) {
  constexpr double flag = 100e-9, staged = 2e-10, loaded = 1e-10, stored = 0.5e-10;
  std::vector<WindowSample> samples;
  for (const double n : sizes(40, 32 << 20)) {
    const double bytes = 4 * n;
    WindowSample shapes[] = {{.rounds = 2, .loaded = bytes, .stored = bytes / 2},
                             {.rounds = 1, .staged = bytes, .loaded = 2 * bytes},
                             {.staged = bytes}};
    for (auto& s : shapes) {
      s.round_bytes = s.staged + s.loaded + s.stored;
      s.seconds = s.rounds * flag + s.staged * staged + s.loaded * loaded + s.stored * stored;
      samples.push_back(s);
    }
  }
  samples.push_back({.rounds = 2, .loaded = 4, .stored = 2, .round_bytes = 6, .seconds = 2 * flag});
  const auto times = window_times(samples);
  EXPECT_NEAR(times.flag_seconds, flag, 0.02 * flag);
  ASSERT_FALSE(times.rows.empty());
  EXPECT_EQ(times.rows.front().min_bytes.value(), 0);
  EXPECT_NEAR(times.rows.back().stage_byte_seconds, staged, 0.05 * staged);
  EXPECT_NEAR(times.rows.back().load_byte_seconds, loaded, 0.05 * loaded);
  EXPECT_NEAR(times.rows.back().store_byte_seconds, stored, 0.1 * stored);
}

constexpr Limits limits{.step_flops = 3e10, .activation_bytes = 5e8};

/// Nearly normal: of twelve uniform draws.
double normal(Draws& draws) {
  double z = -6;
  for (int term = 0; term < 12; ++term)
    z += draws.uniform();
  return z;
}

/// Of a thousand draws the deviation is known to a few hundredths of itself; a tenth that were interrupted
/// move quartiles little.
TEST(Variance, IsFoundAgain) {
  Draws draws(6, 6);
  std::vector<double> seconds;
  for (int i = 0; i < 1000; ++i)
    seconds.push_back(1e-3 * std::exp(0.05 * normal(draws)));
  EXPECT_NEAR(std::sqrt(log_variance(seconds)), 0.05, 0.005);
  EXPECT_NEAR(std::sqrt(robust_log_variance(seconds)), 0.05, 0.006);
  for (std::size_t i = 0; i < 100; ++i)
    seconds[i] *= 10;
  EXPECT_GT(std::sqrt(log_variance(seconds)), 0.5);
  EXPECT_NEAR(std::sqrt(robust_log_variance(seconds)), 0.06, 0.012);
  EXPECT_EQ(log_variance(std::vector{1.0}), 0);
}

/// Pairs of visits to networks of any duration; a tenth of the visits were interrupted.
TEST(Variance, WithinGroupsIsFoundAgain) {
  Draws draws(7, 7);
  std::vector<std::vector<double>> groups;
  for (int i = 0; i < 500; ++i) {
    const double usual = std::exp(5 * draws.uniform());
    groups.emplace_back();
    for (int visit = 0; visit < 2; ++visit)
      groups.back().push_back(usual * std::exp(0.05 * normal(draws)));
  }
  groups.push_back({1e3});
  EXPECT_NEAR(std::sqrt(robust_log_variance_within(groups)), 0.05, 0.006);
  for (std::size_t i = 0; i < 100; ++i)
    groups[i][0] *= 10;
  EXPECT_NEAR(std::sqrt(robust_log_variance_within(groups)), 0.065, 0.015);
  EXPECT_EQ(robust_log_variance_within(std::vector<std::vector<double>>{{1.0}, {2.0}}), 0);
}

TEST(Variance, IsPooledByWeightAndKeepsWhatAFileTakes) {
  EXPECT_EQ(Pooled().deviation(), 0);
  Pooled pooled;
  pooled.add(0.04, 3);
  pooled.add(0, 1);
  EXPECT_DOUBLE_EQ(pooled.deviation(), 0.1732);
  pooled.add(1e6, 1);
  EXPECT_EQ(pooled.deviation(), 2);
}

/// Within a cache 40 ps a byte, beyond it 100, whatever the noise.
TEST(Capacity, IsWhereReadingBecomesSlower) {
  Draws draws(1, 5);
  for (const double capacity : {5e6, 33e6, 120e6}) {
    std::vector<Reading> readings;
    for (double bytes = 1e6; bytes < 512e6; bytes *= 1.26)
      readings.push_back({bytes, (bytes < capacity ? 40e-12 : 100e-12) * (0.85 + 0.3 * draws.uniform())});
    const auto found = find_capacity(readings);
    ASSERT_TRUE(found.has_value());
    EXPECT_NEAR(std::log(*found / capacity), 0, std::log(1.26));
  }
}

TEST(Capacity, IsUnknownWhereNothingBecomesSlower) {
  Draws draws(1, 6);
  std::vector<Reading> readings;
  for (double bytes = 1e6; bytes < 512e6; bytes *= 1.26)
    readings.push_back({bytes, 40e-12 * noise(draws)});
  EXPECT_FALSE(find_capacity(readings).has_value());
  EXPECT_FALSE(find_capacity(std::span(readings).first(3)).has_value());
}

constexpr machine::Cache named{.bytes = kernels::Bytes(480 << 20), .cores = 2};

TEST(Capacity, IsThatOfTheSystemWhereNoEndWasFound) {
  EXPECT_EQ(as_read(named, {.at_once = 1e6, .readers = 2, .node_cores = 2}), named);
}

TEST(Capacity, IsNoMoreThanTheSystemNames) {
  EXPECT_EQ(as_read(named, {.alone = 32e6, .readers = 2, .node_cores = 2}).bytes, kernels::Bytes(32'000'000));
  EXPECT_EQ(as_read(named, {.alone = 900e6, .readers = 2, .node_cores = 2}), named);
}

/// Two ranks on two cores have one such cache: what each had then, it has alone. On four cores there are two.
TEST(Capacity, IsACoresOwnWhereThoseThatMeetHaveAsMuch) {
  const Capacities shares{.alone = 32e6, .at_once = 30e6, .readers = 2, .node_cores = 2};
  EXPECT_EQ(as_read(named, shares).cores, 1);
  auto half = shares, apart = shares, lonely = shares;
  half.at_once = 16e6, apart.node_cores = 4, lonely.at_once.reset();
  for (const auto& found : {half, apart, lonely})
    EXPECT_EQ(as_read(named, found).cores, 2);
}

TEST(Networks, AreTheSameEverywhereAndKeepTheLimits) {
  for (const int ranks : {1, 2, 5})
    for (std::uint32_t index = 0; index < 60; ++index) {
      const auto network = draw_network(1, index, ranks, limits);
      EXPECT_EQ(network.name, draw_network(1, index, ranks, limits).name);
      EXPECT_NE(network.name, draw_network(2, index, ranks, limits).name);
      const auto [model, plan] = split(network);
      EXPECT_LE(cost::flops_of_sample(model) * static_cast<double>(network.batch), limits.step_flops);
      EXPECT_TRUE(network.grid.size() == 1 || network.grid.size() == ranks);
    }
}

TEST(Networks, HaveEveryKindOfLayerAndInstruction) {
  std::set<model::LayerKind> kinds;
  std::set<step::Kind> instructions;
  std::map<std::string, int> optimizers;
  for (std::uint32_t index = 0; index < 120; ++index) {
    const auto network = draw_network(1, index, 2, limits);
    const auto [model, plan] = split(network);
    for (const auto& layer : model.layers)
      kinds.insert(layer.kind);
    for (const auto& instruction : step::build_training_program(model, plan, {}, {}).instructions)
      instructions.insert(instruction.kind);
    ++optimizers[std::string(to_string(network.optimizer))];
  }
  EXPECT_EQ(kinds.size(), static_cast<std::size_t>(model::LayerKind::batchnorm) + 1);
  // All but the sum of what is pushed to a server, which has the kernel of `combine`.
  EXPECT_EQ(instructions.size(), static_cast<std::size_t>(step::Kind::update));
  EXPECT_EQ(optimizers.size(), kernels::optimizers.size());
}

TEST(Networks, EveryInstructionOfEveryRankHasAKernel) {
  for (const int ranks : {1, 2, 3})
    for (std::uint32_t index = 0; index < 90; ++index) {
      const auto network = draw_network(1, index, ranks, limits);
      const auto [model, plan] = split(network);
      for (int rank = 0; rank < plan.grid.size(); ++rank) {
        const auto at = topology::coordinate_of(plan.grid, rank);
        const auto program = step::build_training_program(model, plan, at, {});
        for (const auto& instruction : program.instructions) {
          if (instruction.kind == step::Kind::start || instruction.kind == step::Kind::wait) continue;
          const auto samples = program.samples_of(instruction.microbatch, rank, network.batch);
          EXPECT_FALSE(cost::key_of(program, instruction, samples, {}).kernel.empty()) << network.name;
        }
      }
    }
}

TEST(Networks, LeaveOutWhatPredictionsAreValidatedOn) {
  for (std::uint32_t index = 0; index < 300; ++index)
    for (const auto& layer : model_of(draw_network(1, index, 1, limits)).layers) {
      if (layer.kind != model::LayerKind::linear) continue;
      const auto in = layer.input.elements().value(), out = layer.output.elements().value();
      EXPECT_FALSE((in == 784 && (out == 128 || out == 512 || out == 2048)) || (in == 2048 && out == 2048) ||
                   (in == 512 && out == 512) || (in == 128 && out == 10) || (in == 1024 && out == 1024));
    }
}

}  // namespace
}  // namespace partita::calibrate
