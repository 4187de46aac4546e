/// Binds a drawn network as a trial binds a user's plan.
#include "trainee.hpp"

#include "partita/cost/reuse.hpp"
#include "partita/cost/slowdown.hpp"
#include "partita/cost/work.hpp"
#include "partita/plan/plan.hpp"

namespace partita::calibrate {
namespace {

constexpr std::uint64_t seed = 1;
constexpr std::int64_t bucket_bytes = 1 << 20;  ///< as runs have it by default

kernels::OptimizerSpec optimizer_of(const Network& network) {
  const bool takes = kernels::describe(network.optimizer).takes_momentum;
  kernels::OptimizerSpec optimizer{.rule = network.optimizer, .momentum = takes ? 0.9 : 0};
  if (network.clips) optimizer.clip_norm = 1;
  return optimizer;
}

/// Every step has all that a step of local training can have.
step::Cadence cadence_of(const Network& network) {
  if (!network.averages) return {};
  return {.local = {.period = 1,
                    .states = step::LocalStates::average,
                    .state_vectors = static_cast<int>(kernels::states_of(network.optimizer).size()),
                    .outer_rate = 0.7,
                    .outer_momentum = 0.9}};
}

}  // namespace

Split split(const Network& network) {
  Split split{.model = model_of(network)};
  split.plan = plan::choose(split.model, {.grid = network.grid,
                                          .batch = network.batch,
                                          .pipeline = {.microbatches = network.microbatches},
                                          .bucket_bytes = kernels::Bytes(bucket_bytes),
                                          .grains = network.deterministic ? network.microbatches : 0,
                                          .norms = step::norms_of(optimizer_of(network)),
                                          .split = network.split,
                                          .compression = {.codec = network.codec},
                                          .cadence = cadence_of(network)});
  return split;
}

step::TensorFormat format_of(const kernels::Backend& backend) {
  return {.type = backend.type(), .layout = backend.image_layout()};
}

Trainee::Trainee(const Network& network, kernels::Backend& backend, comm::Communicator& ranks,
                 Samples& samples)
    : network_(network),
      split_(split(network)),
      trial_(split_.model, split_.plan,
             {.batch = network.batch,
              .learning_rate = {},
              .optimizer = optimizer_of(network),
              .seed = seed,
              .checkpoint = {},
              .initializer = model::Initializer::kaiming},
             backend, ranks, samples.of(split_.model, network.batch)) {}

Trainee::Step Trainee::step() {
  Step step{.seconds = trial_.step(), .instructions = {}};
  step.instructions.reserve(trial_.times().size());
  for (const auto& [from, to] : trial_.times())
    step.instructions.push_back(to - from);
  return step;
}

std::vector<Trainee::Kernel> Trainee::kernels(const cost::Execution& execution,
                                              const std::vector<machine::Cache>& caches,
                                              const std::vector<machine::Slowdown>& slowdowns) const {
  const auto& program = trial_.program();
  const auto beyond = cost::beyond_caches(program, network_.batch, execution, caches);
  const auto factors = cost::slowdowns_of(program, slowdowns);
  std::vector<Kernel> kernels;
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const auto& instruction = program.instructions[i];
    kernels.emplace_back();
    if (instruction.kind == step::Kind::start || instruction.kind == step::Kind::wait) continue;
    const auto samples = program.samples_of(instruction.microbatch, trial_.rank(), network_.batch);
    kernels.back() = {.key = cost::key_of(program, instruction, samples, execution),
                      .flops = cost::work_of(program, instruction, samples).flops};
    kernels.back().key.beyond = beyond[i];
    if (!factors.empty()) kernels.back().slowdown = factors[i];
  }
  return kernels;
}

}  // namespace partita::calibrate
