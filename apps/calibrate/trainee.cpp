/// Binds a drawn network as `run::Training` binds a user's.
#include "trainee.hpp"

#include "partita/base/clock.hpp"
#include "partita/cost/work.hpp"
#include "partita/plan/plan.hpp"

namespace partita::calibrate {
namespace {

constexpr std::uint64_t seed = 1;
constexpr std::int64_t bucket_bytes = 1 << 20;  ///< as runs have it by default
constexpr double learning_rate = 1e-5;  ///< so small that nothing becomes infinite, whatever was drawn

kernels::OptimizerSpec optimizer_of(const Network& network) {
  const bool takes = kernels::describe(network.optimizer).takes_momentum;
  return {.rule = network.optimizer, .momentum = takes ? 0.9 : 0};
}

}  // namespace

Split split(const Network& network) {
  Split split{.model = model_of(network)};
  split.plan = plan::choose(split.model, {.grid = network.grid,
                                          .batch = network.batch,
                                          .pipeline = {.microbatches = network.microbatches},
                                          .bucket_bytes = kernels::Bytes(bucket_bytes),
                                          .grains = network.deterministic ? network.microbatches : 0});
  return split;
}

step::TensorFormat format_of(const kernels::Backend& backend) {
  return {.type = backend.type(), .layout = backend.image_layout()};
}

Trainee::Trainee(const Network& network, kernels::Backend& backend, comm::Communicator& ranks,
                 Samples& samples)
    : network_(network),
      split_(split(network)),
      data_(samples.of(split_.model, network.batch)),
      axes_(ranks, network.grid, step::used_axes(split_.model, split_.plan)),
      program_(step::build_training_program(split_.model, split_.plan, axes_.at(), format_of(backend))),
      parameters_(program_, backend.device(), axes_.along(topology::Axis::data), optimizer_of(network)),
      sampler_({.samples = data_.samples, .seed = seed}) {
  parameters_.initialize(program_, split_.model, model::Initializer::kaiming, seed);
  executor_ = std::make_unique<execute::Executor>(program_, split_.model, backend, axes_, parameters_,
                                                  execute::Executor::Options{.largest_batch = network.batch});
  executor_->prepare(network.batch);
  executor_->record_times(&times_);
  times_.reserve(program_.instructions.size());
  sampler_.order(0);
}

Trainee::Step Trainee::step() {
  const double begin = base::now_seconds();
  if (next_sample_ + network_.batch > data_.samples.value()) next_sample_ = 0;
  const auto batch = sampler_.order(0).subspan(static_cast<std::size_t>(next_sample_),
                                               static_cast<std::size_t>(network_.batch));
  next_sample_ += network_.batch;
  executor_->run({.dataset = &data_, .indices = batch, .divisor = network_.batch},
                 execute::step_values(parameters_, learning_rate, seed, steps_++), spans_);
  Step step{.seconds = base::now_seconds() - begin};
  step.instructions.reserve(times_.size());
  for (const auto& [from, to] : times_)
    step.instructions.push_back(to - from);
  return step;
}

std::vector<Trainee::Kernel> Trainee::kernels(const cost::Execution& execution) const {
  const auto rank = topology::rank_of(axes_.grid(), axes_.at());
  std::vector<Kernel> kernels;
  for (const auto& instruction : program_.instructions) {
    kernels.emplace_back();
    if (instruction.kind == step::Kind::start || instruction.kind == step::Kind::wait) continue;
    const auto samples = program_.samples_of(instruction.microbatch, rank, network_.batch);
    kernels.back() = {.key = cost::key_of(program_, instruction, samples, execution),
                      .flops = cost::work_of(program_, instruction, samples).flops};
  }
  return kernels;
}

}  // namespace partita::calibrate
