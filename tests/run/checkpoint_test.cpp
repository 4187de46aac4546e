/// A training that goes on from a checkpoint ends where it would have ended without: bit by bit on the same
/// grid, within rounding on any other.
#include "partita/results/checkpoint.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <utility>

#include "drift.hpp"
#include "shared_folder.hpp"

namespace partita::tests {
namespace {

namespace fs = std::filesystem;
using kernels::OptimizerRule;

/// The step at which trainings are cut: within an epoch of every net.
constexpr std::int64_t cut = 8;

std::vector<Decomposition> decompositions(std::size_t net,
                                          kernels::OptimizerRule rule = kernels::OptimizerRule::sgd) {
  const int p = world().size();
  using step::Schedule;
  std::vector<Decomposition> all{{net, {.data = p}, Schedule::one_f_one_b, 1, Placing::cheapest},
                                 {net, {.tensor = p}, Schedule::one_f_one_b, 1, Placing::column},
                                 {net, {.tensor = p}, Schedule::one_f_one_b, 1, Placing::row},
                                 {net, {.tensor = p}, Schedule::one_f_one_b, 1, Placing::weird_trick}};
  if (p <= 4)  // the smallest net has as many layers
    all.push_back({net, {.pipeline = p}, Schedule::one_f_one_b, 3, Placing::cheapest});
  if (p == 6) all.push_back({net, {.data = 2, .pipeline = 3}, Schedule::one_f_one_b, 2, Placing::cheapest});
  if (p % 2 == 0) all.push_back({net, {.data = 2, .tensor = p / 2}, Schedule::one_f_one_b, 2, Placing::row});
  if (p == 4) all.push_back({net, {.pipeline = 2, .tensor = 2}, Schedule::zb_h1, 2, Placing::column});
  if (p == 4) all.push_back({net, {.data = 2, .pipeline = 2}, Schedule::gpipe, 2, Placing::cheapest});
  // Shares of another number of ranks than those that go on, and whole ones.
  for (const auto& [split, gather] : splits)
    if (split != step::Split::none)
      all.push_back({.net = net,
                     .grid = {.data = p},
                     .schedule = Schedule::one_f_one_b,
                     .microbatches = 1,
                     .placing = Placing::cheapest,
                     .split = split,
                     .gather = gather});
  if (p == 4)
    all.push_back({.net = net,
                   .grid = {.data = 2, .tensor = 2},
                   .schedule = Schedule::one_f_one_b,
                   .microbatches = 2,
                   .placing = Placing::batch,
                   .split = step::Split::parameter});
  const bool alike = cases()[net].model.takes_statistics();
  for (auto& d : all) {
    d.rule = rule;
    if (alike) d.microbatches = 2;
  }
  return all;
}

/// Takes `steps` steps of a decomposition, from the checkpoint of `cut` steps in `from` unless that is empty,
/// and leaves one in `to` unless that is. Parameters and losses.
struct Trained {
  Tensors tensors;
  std::vector<double> losses;
};
Trained train(const Case& c, const Decomposition& d, kernels::Backend& backend, std::int64_t steps,
              const fs::path& from, const fs::path& to) {
  const auto model = placed(c.model, d.placing);
  auto options = options_for(c, d);
  options.steps = steps;
  options.checkpoint = {.dir = to, .every = cut};
  auto training = training_of(model, options, backend, world(), c.data);
  if (!from.empty()) {
    const auto folder = results::checkpoint_folder(from, cut);
    training.restore(folder, results::read_manifest(folder), {});
  }
  EXPECT_EQ(training.run({}), run::Outcome::complete);
  EXPECT_EQ(training.is_checkpointed(), !to.empty());
  EXPECT_EQ(training.committed_step(), !to.empty() ? steps : !from.empty() ? cut : -1);
  Trained trained{.tensors = training.gather_parameters(state::Receivers::all)};
  for (const auto& row : training.steps())
    trained.losses.push_back(row.loss);
  return trained;
}

/// Of a net, with an optimizer.
using Kept = std::pair<std::size_t, kernels::OptimizerRule>;

std::vector<Decomposition> reached_from(std::size_t from, const std::vector<Decomposition>& all,
                                        const std::vector<std::size_t>& further) {
  if (further.empty()) return all;
  std::vector<Decomposition> reached;
  for (const auto steps : further)
    reached.push_back(all[(from + steps) % all.size()]);
  return reached;
}

/// From each decomposition to itself and those so much further in the list; none given: to all.
void expect_restarts(std::initializer_list<Kept> chosen, const std::vector<std::size_t>& further = {}) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto nets = cases();
  for (const auto& [net, rule] : chosen) {
    const auto& c = nets[net];
    const SharedFolder folder;
    const auto all = decompositions(net, rule);
    References references(*backend);
    const auto& reference = references.of(c, all.front());
    for (std::size_t i = 0; i < all.size(); ++i)
      train(c, all[i], *backend, cut, {}, folder.path() / std::to_string(i));
    for (std::size_t i = 0; i < all.size(); ++i)
      for (const auto& d : reached_from(i, all, further))
        EXPECT_LE(largest_drift(c.model, reference.start, reference.end,
                                train(c, d, *backend, 20, folder.path() / std::to_string(i), {}).tensors),
                  1e-10)
            << "from " << to_string(all[i]) << " to " << to_string(d);
  }
}

TEST(Restart, EveryDecompositionGoesOnFromOthers) {
  expect_restarts({{5, OptimizerRule::sgd}, {1, OptimizerRule::adam}}, {1, 4, 7});
}

/// Also with dropout, frozen layers, ragged batches, running statistics; for `--full`.
TEST(Exhaustive, EveryDecompositionGoesOnFromEveryOther) {
  expect_restarts({{1, OptimizerRule::sgd},
                   {5, OptimizerRule::adam},
                   {3, OptimizerRule::nesterov},
                   {7, OptimizerRule::adam},
                   {8, OptimizerRule::adamw},
                   {10, OptimizerRule::adam}});
}

TEST(Restart, TheSameGridGoesOnBitByBit) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto nets = cases();
  for (const auto& [net, rule] :
       {Kept{1, OptimizerRule::adam}, Kept{5, OptimizerRule::sgd}, Kept{10, OptimizerRule::adamw}})
    for (const auto& d : decompositions(net, rule)) {
      const SharedFolder folder;
      const auto whole = train(nets[net], d, *backend, 20, {}, {});
      train(nets[net], d, *backend, cut, {}, folder.path());
      const auto rest = train(nets[net], d, *backend, 20, folder.path(), {});
      for (std::size_t t = 0; t < whole.tensors.size(); ++t)
        EXPECT_EQ(whole.tensors[t].values, rest.tensors[t].values) << to_string(d);
      EXPECT_EQ(std::vector(whole.losses.begin() + cut, whole.losses.end()), rest.losses) << to_string(d);
    }
}

bool are_zero(kernels::ConstView values) {
  return std::ranges::all_of(values.as<double>(), [](double x) { return x == 0; });
}

/// States go on where the checkpoint has them; moments, which count their updates together, all or none.
TEST(Restart, WhatTheCheckpointLacksOfAnOptimizerBeginsAnew) {
  struct Changed {
    OptimizerRule from, to;
    bool thaws, begins_anew;
  };
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  auto frozen = cases()[8];
  auto thawed = frozen;
  for (auto& layer : thawed.model.layers)
    layer.frozen = false;
  for (const auto& [from, to, thaws, begins_anew] :
       {Changed{OptimizerRule::adam, OptimizerRule::adamw, false, false},
        Changed{OptimizerRule::nesterov, OptimizerRule::sgd, false, false},
        Changed{OptimizerRule::nesterov, OptimizerRule::sgd, true, false},
        Changed{OptimizerRule::sgd, OptimizerRule::adam, false, true},
        Changed{OptimizerRule::sgd, OptimizerRule::lars, false, true},
        Changed{OptimizerRule::adam, OptimizerRule::lamb, false, false},
        Changed{OptimizerRule::adam, OptimizerRule::adam, true, true}}) {
    const SharedFolder folder;
    Decomposition d{8, {.data = world().size()}, step::Schedule::one_f_one_b, 1, Placing::cheapest, from};
    train(frozen, d, *backend, cut, {}, folder.path());
    d.rule = to;
    const auto& c = thaws ? thawed : frozen;
    auto training = training_of(c.model, options_for(c, d), *backend, world(), c.data);
    const auto kept = results::checkpoint_folder(folder.path(), cut);
    training.restore(kept, results::read_manifest(kept), {});
    const auto& parameters = training.parameters();
    for (const auto state : parameters.states())
      EXPECT_EQ(are_zero(state), begins_anew) << to_string(d) << " after " << to_string(from);
    if (!kernels::describe(to).takes_betas) continue;
    EXPECT_EQ(parameters.first_update(), begins_anew ? cut : 0) << to_string(d);
    const auto next = execute::step_values(parameters, 1, 0, cut);
    const double t = begins_anew ? 1 : cut + 1;
    EXPECT_DOUBLE_EQ(next.first_correction, 1 - std::pow(0.9, t));
    EXPECT_DOUBLE_EQ(next.second_correction, std::sqrt(1 - std::pow(0.999, t)));
  }
}

/// Written beside the steps that follow, it is of the step at which it was begun.
TEST(Checkpointer, WritesWhatWasThereWhenItBegan) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float64);
  const auto c = cases()[1];
  const Decomposition d{1, {.data = world().size()}, step::Schedule::one_f_one_b,
                        1, Placing::cheapest,        OptimizerRule::adam};
  const auto model = placed(c.model, d.placing);
  const auto options = options_for(c, d);
  std::vector<base::Violation> violations;
  const auto plan = plan::choose(model, options.split, machine::Machine::shipped(), violations);
  ASSERT_TRUE(violations.empty());
  const step::Roles roles(plan.grid, [&](const topology::Coordinate& role) {
    return step::build_training_program(model, plan, role,
                                        {.type = backend->type(), .layout = backend->image_layout()});
  });
  const auto program = step::build_training_program(
      model, plan, {.data = world().rank()}, {.type = backend->type(), .layout = backend->image_layout()});
  state::Parameters parameters(program, backend->device(), world(), options.optimizer);
  parameters.initialize(program, model, options.initializer, options.seed);
  const SharedFolder folder;
  state::Checkpointer checkpointer(world(), model, parameters, {.dir = folder.path(), .every = 1},
                                   step::owned_pieces(roles), step::carried_by(roles));
  parameters.set_first_update(-3);
  checkpointer.begin({.step = 5}, {});
  ASSERT_TRUE(checkpointer.is_writing());
  parameters.set_first_update(-7);
  EXPECT_EQ(checkpointer.finish(), 5);
  EXPECT_EQ(results::read_manifest(results::checkpoint_folder(folder.path(), 5)).first_update, -3);
}

/// The shards of any grid hold every element once, as the manifest says.
TEST(Shards, EveryElementOfTheModelHasOneOwner) {
  for (std::size_t net = 0; net < cases().size(); ++net)
    for (const auto& d : decompositions(net)) {
      const auto c = cases()[net];
      const auto model = placed(c.model, d.placing);
      std::vector<base::Violation> violations;
      const auto plan = plan::choose(model, options_for(c, d).split, machine::Machine::shipped(), violations);
      if (!violations.empty()) continue;  // more stages than layers
      const step::Roles roles(plan.grid, [&](const topology::Coordinate& role) {
        return step::build_training_program(
            model, plan, role, {.type = kernels::DataType::float32, .layout = kernels::Layout::nchw});
      });
      std::map<std::tuple<int, int, std::int64_t, std::int64_t>, int> owners;
      for (const auto& pieces : step::owned_pieces(roles))
        for (const auto& p : pieces)
          for (std::int64_t row = p.first_row; row < p.first_row + p.rows; ++row)
            for (std::int64_t column = p.first_column; column < p.first_column + p.columns; ++column)
              ++owners[{p.layer, p.tensor, row, column}];
      std::int64_t elements = 0;
      for (const auto& layer : model.layers)
        for (const auto& parameter : layer.parameters())
          elements += parameter.shape.elements().value();
      EXPECT_EQ(std::ssize(owners), elements) << to_string(d);
      for (const auto& [element, count] : owners)
        EXPECT_EQ(count, 1) << to_string(d);
    }
}

TEST(Restart, AFailedCheckpointIsReportedAndTheTrainingGoesOn) {
  const auto backend = kernels::make_cpu_backend(1);
  const auto c = cases()[1];
  auto options =
      options_for(c, {1, {.data = world().size()}, step::Schedule::one_f_one_b, 1, Placing::cheapest});
  options.checkpoint = {.dir = "/proc/nowhere", .every = cut};
  auto training = training_of(c.model, options, *backend, world(), c.data);
  std::vector<state::CheckpointReport> reports;
  run::Training::Observer observer;
  observer.on_report = [&](const state::CheckpointReport& report) { reports.push_back(report); };
  EXPECT_EQ(training.run(observer), run::Outcome::complete);
  EXPECT_FALSE(training.is_checkpointed());
  EXPECT_EQ(reports.size(), world().rank() == 0 ? 3u : 0u);  // steps 8, 16 and the end
  for (const auto& report : reports)
    EXPECT_NE(report.failure.find("/proc/nowhere"), std::string::npos) << report.failure;
}

}  // namespace
}  // namespace partita::tests
