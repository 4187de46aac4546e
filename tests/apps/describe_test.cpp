/// A dry run fails where the run would: on any rank, in any program, with any size of its batches.
#include "partita/job/describe.hpp"

#include <gtest/gtest.h>

#include "partita/base/error.hpp"
#include "partita/model/parse.hpp"
#include "partita/step/build.hpp"

namespace partita::job {
namespace {

class DryRun : public testing::Test {
 protected:
  DryRun() {
    std::vector<base::Violation> violations;
    model_ = model::parse_model(
        {.name = "m", .input = "6", .layers = {"linear 6 placement=column", "linear 5 placement=batch"}},
        violations);
    plan_ = plan::choose(model_, {.grid = {.data = 2, .tensor = 3}, .batch = 13});
  }

  /// What is broken: the messages of the third rank of the tensor axis, as they are for `broken` samples.
  [[nodiscard]] std::string describe(bool broken, const std::vector<std::int64_t>& batches) const {
    const auto program_at = [&](const topology::Coordinate& at) {
      auto program = step::build_training_program(model_, plan_, at, {});
      if (broken && at.tensor == 2)
        for (auto& slot : program.slots)
          if (slot.conversion)
            slot = {.role = slot.role, .microbatch = slot.microbatch, .fixed = program.elements(slot, 4)};
      return program;
    };
    config::RunOptions options;
    options.dry_run = true;
    return job::describe(options, {.split = {.model = model_, .plan = plan_, .batch = 13},
                                   .site = {},
                                   .programs = {{program_at, {8}}, {program_at, batches}}});
  }

  model::ModelSpec model_;
  step::Plan plan_;
};

TEST_F(DryRun, DescribesWhatCanBeExecuted) {
  EXPECT_NE(describe(false, {13, 2}).find("tensor rank 2"), std::string::npos);
  EXPECT_NO_THROW(static_cast<void>(describe(true, {8})));
}

TEST_F(DryRun, FailsForWhatCannotBeExecutedOnOneRankWithOneSize) {
  EXPECT_THROW(static_cast<void>(describe(true, {8, 3})), base::ContractError);
}

}  // namespace
}  // namespace partita::job
