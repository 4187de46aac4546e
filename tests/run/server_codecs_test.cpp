/// Codes that workers push to parameter servers: what is trained against a process that plays all of them,
/// and against itself in the order of its log; bytes and memory by formula; restarts, and gradients that are
/// not finite.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <numeric>

#include "../mpi_main.hpp"
#include "partita/step/compression.hpp"
#include "server_play.hpp"

namespace partita::tests {
namespace {

using kernels::Codec;

/// Of those that servers decode whenever a push comes.
constexpr Codec served_codecs[] = {Codec::int8, Codec::topk, Codec::sign, Codec::bf16};

Decomposition served(std::size_t net, Codec codec, const Servers& servers,
                     OptimizerRule rule = OptimizerRule::sgd) {
  auto d = with_servers(net, servers, rule);
  d.compression = compressed(codec, codec != Codec::bf16);
  return d;
}

bool takes_all() { return std::getenv("PARTITA_EVERY_CASE") != nullptr; }

TEST(ServedCodecs, AreWhatOneProcessPlaysInTheirOrder) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto nets = cases();
  const auto plain = plain_nets();
  constexpr OptimizerRule rules[] = {OptimizerRule::sgd, OptimizerRule::adam};
  std::size_t turn = 0;
  for (const int count : counts())
    for (const auto& servers :
         {Servers{.count = count}, Servers{.count = count, .is_asynchronous = true},
          Servers{.count = count, .is_asynchronous = true, .bound = 1, .synchronous_steps = 3}})
      for (const auto codec : served_codecs) {
        const auto net = plain[turn % plain.size()];
        const auto d = served(net, codec, servers, rules[turn % std::size(rules)]);
        if (++turn % 7 != 1 && !takes_all()) continue;
        auto options = trial_of(nets[net], d);
        Gradients gradients(nets[net], *backend);
        auto start = gradients.parameters();
        const auto result = serve(nets[net], options, *backend);
        auto end = Play(nets[net], options, gradients, *backend).end(result.pushes);
        EXPECT_LE(largest_drift(nets[net].model, tensors_of(gradients, nets[net].model, start),
                                tensors_of(gradients, nets[net].model, end), result.parameters),
                  1e-10)
            << to_string(d);
        options.replay = result.pushes;
        const auto again = serve(nets[net], options, *backend);
        EXPECT_EQ(again.pushes, result.pushes) << to_string(d);
        for (std::size_t i = 0; i < result.parameters.size(); ++i)
          EXPECT_EQ(again.parameters[i].values, result.parameters[i].values) << to_string(d);
      }
}

/// Of a share of n values; `tensors` that it is of in part, by topk.
std::int64_t code_bytes(Codec codec, std::int64_t n, const std::vector<std::int64_t>& tensors) {
  std::int64_t kept = 0;
  for (const auto part : tensors)
    kept += std::max<std::int64_t>(1, (part + 9) / 10);
  switch (codec) {
    case Codec::int8:
      return n + 4;
    case Codec::sign:
      return (n + 7) / 8 + 4;
    case Codec::topk:
      return 8 * kept;
    default:
      return 2 * n;
  }
}

/// What this rank sends and gets as a push in each of some steps, and the parts of its memory that codes
/// change: in one bucket, in both kinds of steps.
TEST(ServedCodecs, SendWhatTheFormulaSays) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto c = cases()[1];
  const int count = counts().back(), workers = world().size() - count;
  const std::int64_t steps = 9;
  const std::int64_t tensors[] = {7 * 5, 5, 11 * 7, 7, 13 * 11, 11};  // as buckets have them, the last first
  const std::int64_t n = 35 + 5 + 77 + 7 + 143 + 11;
  for (const auto codec : served_codecs) {
    if (codec == Codec::bf16 && !takes_all()) continue;
    std::vector<std::int64_t> pushed;  // bytes, by server
    for (std::int64_t server = 0; server < count; ++server) {
      const auto begin = server * n / count, end = (server + 1) * n / count;
      std::vector<std::int64_t> parts;
      for (std::int64_t first = 0; const auto tensor : tensors) {
        const auto part = std::min(end, first + tensor) - std::max(begin, first);
        if (part > 0) parts.push_back(part);
        first += tensor;
      }
      pushed.push_back(code_bytes(codec, end - begin, parts));
    }
    auto ranks = comm::Communicator::world(environment());
    auto options =
        options_for(c, served(1, codec, {.count = count, .is_asynchronous = true, .synchronous_steps = 4}));
    options.steps = steps;
    options.split.bucket_bytes = kernels::Bytes(1 << 20);
    auto training = training_of(c.model, options, *backend, ranks, c.data);
    training.run({});
    std::map<std::pair<collective::Operation, collective::Purpose>, std::int64_t> bytes;
    for (const auto& row : ranks.ledger().rows(ranks.rank()))
      if (row.key.activity == collective::Activity::train)
        bytes[{row.key.operation, row.key.purpose}] += row.counts.payload_bytes.value();
    const auto& program = training.program();
    const std::int64_t residuals = codec == Codec::bf16 ? 0 : n;
    using enum collective::Operation;
    using enum collective::Purpose;
    if (program.serves()) {
      const auto server = static_cast<std::size_t>(ranks.rank() - workers);
      const auto own = program.state_count.value();
      EXPECT_EQ((bytes[{receive, gradient}]), pushed[server] * workers * steps) << to_string(codec);
      EXPECT_EQ((bytes[{send, parameter}]), 4 * own * workers * steps);
      EXPECT_EQ(program.gradient_count.value(), own * (1 + workers)) << "one sum, and an answer to each";
      EXPECT_EQ(codec_state(program).value(), pushed[server] * workers);
    } else {
      EXPECT_EQ((bytes[{send, gradient}]),
                std::accumulate(pushed.begin(), pushed.end(), std::int64_t{0}) * steps)
          << to_string(codec);
      EXPECT_EQ((bytes[{receive, parameter}]), 4 * n * steps);
      EXPECT_EQ(codec_state(program).value(), 4 * residuals);
    }
  }
}

/// Nothing is lost of what workers keep, either.
TEST(ServedCodecs, GoOnFromACheckpointBitByBit) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto c = cases()[1];
  const int count = counts().back();
  std::vector<std::pair<Codec, Servers>> all{
      {Codec::topk, {.count = count, .is_asynchronous = true}},
      {Codec::int8, {.count = 1, .is_asynchronous = true, .bound = 0, .synchronous_steps = 3}}};
  if (takes_all()) all.insert(all.end(), {{Codec::sign, {.count = 1}}, {Codec::fp16, {.count = count}}});
  for (const auto& [codec, servers] : all) {
    const auto look = [](const run::Training& training, const auto&, const auto&) {
      const auto kept = training.parameters().residuals().as<double>();
      EXPECT_EQ(kept.empty(), training.program().serves());
      EXPECT_EQ(std::ranges::all_of(kept, [](double value) { return value == 0; }), kept.empty());
    };
    expect_to_go_on(c, served(1, codec, servers, OptimizerRule::adam), *backend, look);
  }
}

/// No server updates by a push that is not finite while another does, and all ranks end.
TEST(ServedCodecs, EndOnAllRanksWhereOneIsNotFinite) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto c = with_infinite_gradients(1);
  for (const auto codec : served_codecs)
    for (const bool is_asynchronous : {false, true}) {
      if (is_asynchronous == (codec == Codec::sign || codec == Codec::topk) && !takes_all()) continue;
      const Servers servers{.count = 1, .is_asynchronous = is_asynchronous};
      auto options = options_for(c, served(4, codec, servers));
      options.shuffle = false, options.steps = 12;
      auto training = training_of(c.model, options, *backend, world(), c.data);
      forget_large_feature(training);
      EXPECT_EQ(training.run({}), run::Outcome::diverged) << to_string(codec);
      EXPECT_FALSE(training.failure().empty());
    }
}

}  // namespace
}  // namespace partita::tests
