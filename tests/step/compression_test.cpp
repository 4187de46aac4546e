/// What codes take, as plain arithmetic: bytes of each rank of a step, however its buckets are cut.
#include "partita/step/compression.hpp"

#include <gtest/gtest.h>

#include "../models.hpp"
#include "partita/plan/plan.hpp"
#include "partita/step/build.hpp"
#include "partita/step/traffic.hpp"

namespace partita::step {
namespace {

using kernels::Codec;
using tests::model_of;

plan::Request request_for(int data, Compression compression, Split split = Split::none) {
  return {.grid = {.data = data},
          .batch = 64,
          .bucket_bytes = kernels::Bytes(1 << 20),
          .split = split,
          .compression = compression};
}

/// Bytes that a rank of a data-parallel training sends of its gradients.
std::int64_t sent_by(const model::ModelSpec& model, int rank, const plan::Request& request) {
  const auto program = build_training_program(model, plan::choose(model, request), {.data = rank}, {});
  const Site site{.node_of = [&] {
    std::vector<int> nodes;
    for (int r = 0; r < request.grid.data; ++r)
      nodes.push_back(r);
    return nodes;
  }()};
  return coded_traffic(program, rank, request.batch, site).coded.value();
}

model::ModelSpec mlp_mnist() { return model_of("784", {"linear 128", "relu", "linear 10"}); }

TEST(Compression, SendsOfTheMnistPerceptronOnTwoRanksWhatWasCountedByHand) {
  const auto bytes = [](Codec codec, int rank = 2) {
    return sent_by(mlp_mnist(), 0, request_for(2, {.codec = codec, .ratio = 0.01, .rank = rank}));
  };
  EXPECT_EQ(bytes(Codec::bf16), 203'540);
  EXPECT_EQ(bytes(Codec::fp16), 203'540);
  EXPECT_EQ(bytes(Codec::int8), 101'774);
  EXPECT_EQ(bytes(Codec::sign), 12'726);
  EXPECT_EQ(bytes(Codec::topk), 8'160);
  EXPECT_EQ(bytes(Codec::powersgd, 2), 8'952);
  EXPECT_EQ(bytes(Codec::powersgd, 1), 4'752);
  const auto program = build_training_program(
      mlp_mnist(), plan::choose(mlp_mnist(), request_for(2, {.codec = Codec::int8})), {}, {});
  EXPECT_EQ(coded_traffic(program, 0, 64).dense.value(), 407'080);
}

/// Of n values a message takes so many bytes.
std::int64_t encoded(Codec codec, std::int64_t n) {
  if (n == 0) return 0;
  return codec == Codec::int8 ? n + 4 : codec == Codec::sign ? (n + 7) / 8 + 4 : 2 * n;
}

TEST(Compression, SendsSharesToTheirOwnersAndTheirSumsRoundTheRing) {
  for (const auto& model :
       {mlp_mnist(), model_of("3", {"linear 1 bias=false"})})  // one with fewer values than ranks
    for (const auto codec : {Codec::bf16, Codec::fp16, Codec::int8, Codec::sign})
      for (const int p : {2, 3, 4, 7})
        for (const auto split : {Split::none, Split::state})
          for (int rank = 0; rank < p; ++rank) {
            const std::int64_t n = model.layers.size() > 1 ? 101'770 : 3;
            const auto share = [&](int r) { return encoded(codec, (r + 1) * n / p - r * n / p); };
            std::int64_t expected = 0;
            for (int r = 0; r < p; ++r) {
              if (r != rank) expected += share(r);
              if (r != (rank + 1) % p && split == Split::none) expected += share(r);
            }
            if (p == 2 && split == Split::none) expected = encoded(codec, n);
            EXPECT_EQ(sent_by(model, rank, request_for(p, {.codec = codec}, split)), expected)
                << to_string(codec) << " on rank " << rank << " of " << p << ", split of "
                << to_string(split);
          }
}

TEST(Compression, GathersWhatTopkKeepsOfEachTensor) {
  const std::int64_t kept = 1004 + 2 + 13 + 1;  // of 100352, 128, 1280 and 10, a hundredth, rounded up
  for (const int p : {2, 3, 5})
    EXPECT_EQ(sent_by(mlp_mnist(), p - 1, request_for(p, {.codec = Codec::topk, .ratio = 0.01})),
              (p - 1) * 8 * kept);
}

TEST(Compression, ReducesFactorsByTheRing) {
  for (const int rank : {1, 2, 7}) {
    const std::int64_t left = rank * 128 + 128 + 10 + (rank < 5 ? rank * 10 : 1280),
                       right = rank * 784 + (rank < 5 ? rank * 128 : 0);
    const int p = 3;
    const auto ring = [&](std::int64_t n, int r) {
      const auto share = [&](int of) { return (of + 1) * n / p - of * n / p; };
      return 4 * (2 * n - share(r) - share((r + 1) % p));
    };
    for (int r = 0; r < p; ++r)
      EXPECT_EQ(sent_by(mlp_mnist(), r, request_for(p, {.codec = Codec::powersgd, .rank = rank})),
                ring(left, r) + ring(right, r))
          << rank;
  }
}

TEST(Compression, KeepsResidualsBasesAndALossScale) {
  const auto state = [](Compression compression) {
    return codec_state(build_training_program(mlp_mnist(),
                                              plan::choose(mlp_mnist(), request_for(2, compression)), {}, {}))
        .value();
  };
  EXPECT_EQ(state({.codec = Codec::int8}), 407'080);
  EXPECT_EQ(state({.codec = Codec::int8, .residuals = false}), 0);
  EXPECT_EQ(state({.codec = Codec::fp16, .residuals = false}), 16);
  EXPECT_EQ(state({.codec = Codec::powersgd, .rank = 2}), 407'080 + 4 * 2 * (784 + 128));
}

}  // namespace
}  // namespace partita::step
