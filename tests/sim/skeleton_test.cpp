/// The skeleton of a program depends on the stage alone; and how long it takes to build a large grid's.
#include <gtest/gtest.h>

#include <cstdio>
#include <optional>
#include <ostream>
#include <tuple>

#include "grid_programs.hpp"
#include "partita/base/clock.hpp"
#include "partita/sim/deadlock.hpp"

namespace partita::sim {
namespace {

using step::Schedule;

/// Of an instruction all but counts and slots.
using Bone = std::tuple<step::Kind, step::Phase, std::optional<int>, std::optional<step::ChunkId>,
                        std::optional<step::MicrobatchId>, std::optional<step::BucketId>, int, int, int>;

std::vector<Bone> skeleton(const step::Program& program) {
  std::vector<Bone> bones;
  for (const auto& i : program.instructions) {
    const auto layer = i.unit ? std::optional(program.units[*i.unit].layer) : std::nullopt;
    step::Transfer none{.operation = collective::Operation::barrier, .axis = topology::Axis::none};
    const auto& t = i.transfer ? program.transfers[*i.transfer] : none;
    bones.emplace_back(i.kind, i.phase, layer, i.chunk, i.microbatch, i.bucket, static_cast<int>(t.operation),
                       static_cast<int>(t.axis), static_cast<int>(t.purpose));
  }
  return bones;
}

struct SkeletonCase {
  const char* name;
  const char* input;
  std::vector<std::string> layers;
};
void PrintTo(const SkeletonCase& c, std::ostream* out) { *out << c.name; }

class Skeleton : public testing::TestWithParam<SkeletonCase> {};

TEST_P(Skeleton, IsTheSameForAllTensorCoordinates) {
  const auto model = model_of(GetParam().input, GetParam().layers);
  for (const int tensor : {2, 3, 4, 6})
    for (const int stages : {1, 2})
      for (const std::int64_t bucket : {1, 100, 1000, 1 << 20})
        for (const int grains : {0, 3}) {
          auto plan = plan_of(model, {.grid = {.data = 2, .pipeline = stages, .tensor = tensor},
                                      .batch = 12,
                                      .pipeline = {.microbatches = 3},
                                      .bucket_bytes = kernels::Bytes(bucket)});
          plan.grains = grains;
          for (const bool training : {true, false}) {
            const auto grid = programs_of(model, plan, training);
            for (int s = 0; s < stages; ++s) {
              const auto& first = grid.programs[static_cast<std::size_t>(s * tensor)];
              for (int t = 1; t < tensor; ++t)
                EXPECT_EQ(skeleton(grid.programs[static_cast<std::size_t>(s * tensor + t)]), skeleton(first))
                    << named(plan) << " stage " << s << " tensor " << t << " bucket bytes " << bucket;
            }
            EXPECT_FALSE(find_deadlock(grid.by_rank, {.same_order = true})) << named(plan);
          }
        }
}

const SkeletonCase skeleton_cases[] = {
    {"free", "1x9x9", {"conv 7 kernel=3", "relu", "maxpool 2", "flatten", "linear 5", "relu", "linear 2"}},
    {"columns",
     "1x9x9",
     {"conv 7 kernel=3 placement=column", "relu placement=column", "maxpool 2 placement=column",
      "flatten placement=column", "linear 5 placement=row", "relu", "linear 2 placement=column"}},
    {"columns_after_columns",
     "5",
     {"linear 7 placement=column", "linear 3 placement=column", "linear 1 placement=column",
      "linear 2 placement=column"}},
    {"rows", "3", {"linear 2 placement=row", "linear 7 placement=row", "relu", "linear 2 placement=row"}},
    {"empty_shares_between_whole_layers",
     "5",
     {"linear 4 placement=replicated", "linear 1 placement=column", "linear 3 placement=batch",
      "linear 2 placement=column", "linear 3 placement=replicated", "linear 1 placement=column", "linear 2"}},
    {"heights",
     "2x7x7",
     {"conv 3 kernel=3 padding=1 placement=height", "relu placement=height", "maxpool 2 placement=height",
      "conv 2 kernel=2 placement=height", "flatten", "linear 2"}},
    {"one_weird_trick",
     "2x7x7",
     {"conv 3 kernel=3 placement=batch", "relu placement=batch", "flatten placement=batch",
      "linear 7 placement=column", "relu placement=column", "linear 2 placement=row"}},
    {"frozen",
     "5",
     {"linear 3 placement=column frozen", "linear 1 placement=column", "linear 4 placement=column frozen",
      "linear 2 placement=column"}},
};
INSTANTIATE_TEST_SUITE_P(Models, Skeleton, testing::ValuesIn(skeleton_cases),
                         [](const auto& tried) { return tried.param.name; });

TEST(Programs, OfALargeGridAreBuiltFast) {
  const auto model = vgg_small();
  const double begin = base::now_seconds();
  const auto plan = plan_of(model, {.grid = {.data = 64, .pipeline = 8, .tensor = 8},
                                    .batch = 64 * 128,
                                    .pipeline = {.schedule = Schedule::one_f_one_b, .microbatches = 32},
                                    .bucket_bytes = kernels::Bytes(1 << 20)});
  const double planned = base::now_seconds();
  const auto grid = programs_of(model, plan);
  const double built = base::now_seconds();
  std::size_t instructions = 0;
  for (const auto& program : grid.programs)
    instructions += program.instructions.size();
  std::printf("%s: planned in %.1f ms; %zu programs, %zu instructions built in %.1f ms\n",
              named(plan).c_str(), 1e3 * (planned - begin), grid.programs.size(), instructions,
              1e3 * (built - planned));
  EXPECT_EQ(grid.programs.size(), 64U);
  EXPECT_EQ(grid.by_rank.size(), 4096U);
  const double before = base::now_seconds();
  EXPECT_FALSE(find_deadlock(grid.by_rank, {.same_order = true}));
  std::printf("checked for deadlock in %.0f ms\n", 1e3 * (base::now_seconds() - before));
}

}  // namespace
}  // namespace partita::sim
