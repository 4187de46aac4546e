#include "partita/run/executor.hpp"

#include <algorithm>

#include "partita/base/clock.hpp"
#include "partita/base/error.hpp"

namespace partita::run {

using kernels::Bytes;
using kernels::ConstView;
using step::Kind;
using step::Phase;

/// A program bound to a number of samples: operators and the views that they work on.
struct Executor::Bound {
  std::vector<View> slots;
  std::vector<std::unique_ptr<nn::Operator>> operators;  ///< by unit; null where no data moves
  std::vector<nn::Tensors> tensors;
};

namespace {

View slot_or_nothing(const std::vector<View>& slots, int slot) {
  return slot < 0 ? View() : slots[static_cast<std::size_t>(slot)];
}

double& span_of(StepSpans& spans, const step::Instruction& instruction) {
  switch (instruction.kind) {
    case Kind::load:
      return spans.load;
    case Kind::forward:
    case Kind::loss:
      return spans.forward;
    case Kind::backward:
      return spans.backward;
    case Kind::update:
      return spans.update;
    case Kind::wait:
      return spans.reductions[static_cast<std::size_t>(instruction.reduction)];
    case Kind::all_reduce:
      break;
  }
  return spans.other;
}

}  // namespace

Executor::Executor(const step::Program& program, const model::ModelSpec& model, kernels::Backend& backend,
                   comm::Communicator& axis, Parameters& parameters, const Options& options)
    : program_(program), model_(model), backend_(backend), axis_(axis), parameters_(parameters) {
  activations_bytes_ = step::plan_memory(program, options.largest_share, memory::alignment).total;
  activations_ = memory::HostBuffer(activations_bytes_);
  for (const auto& reduction : program.reductions) {
    const View whole =
        reduction.slot == program.metric_slot ? View(std::span(metric_)) : parameters.gradients();
    reductions_.push_back(axis.plan_all_reduce(whole.slice(reduction.first, reduction.count),
                                               comm::Combine::sum, options.algorithm, reduction.purpose));
  }
}

Executor::~Executor() = default;

Executor::Bound& Executor::bind(std::int64_t samples) {
  auto& entry = bound_[samples];
  if (entry) return *entry;
  entry = std::make_unique<Bound>();
  Bound& bound = *entry;
  const auto memory_plan = step::plan_memory(program_, samples, memory::alignment);
  base::expect(memory_plan.total <= activations_bytes_, "a share is at most the largest one", samples);
  for (std::size_t s = 0; s < program_.slots.size(); ++s) {
    const auto offset = memory_plan.offset_bytes[s];
    const auto& slot = program_.slots[s];
    bound.slots.push_back(
        offset < 0 ? View() : View(activations_.bytes().data() + offset, slot.type, slot.elements(samples)));
  }
  Bytes workspace{};
  for (std::size_t u = 0; u < program_.units.size(); ++u) {
    const auto& unit = program_.units[u];
    const bool moves = program_.input_slot[u] != program_.output_slot[u];
    bound.operators.push_back(moves ? nn::plan_operator(model_.layers[static_cast<std::size_t>(unit.layer)],
                                                        unit.layer, unit.fused_relu, samples, backend_)
                                    : nullptr);
    if (moves) workspace = std::max(workspace, bound.operators.back()->workspace());
    const auto& range = program_.parameters[u];
    nn::Tensors t{.x = slot_or_nothing(bound.slots, program_.input_slot[u]),
                  .weight = weight_of(parameters_.weights(), range),
                  .bias = bias_of(parameters_.weights(), range),
                  .y = slot_or_nothing(bound.slots, program_.output_slot[u]),
                  .winners = slot_or_nothing(bound.slots, program_.winners_slot[u]),
                  .dy = slot_or_nothing(bound.slots, program_.gradient_slot[u])};
    if (program_.training) {
      t.dx = u > 0 ? slot_or_nothing(bound.slots, program_.gradient_slot[u - 1]) : View();
      if (range.trained) {
        t.dweight = weight_of(parameters_.gradients(), range);
        t.dbias = bias_of(parameters_.gradients(), range);
      }
    }
    bound.tensors.push_back(t);
  }
  if (workspace.value() > static_cast<std::int64_t>(workspace_.bytes().size()))
    workspace_ = memory::HostBuffer(workspace);
  return bound;
}

void Executor::load(Bound& bound, const BatchShare& share) {
  const auto layout = model_.input.rank() == 3 ? backend_.image_layout() : kernels::Layout::nchw;
  data::fill_batch(*share.dataset, share.indices, layout,
                   slot_or_nothing(bound.slots, program_.input_slot.front()),
                   slot_or_nothing(bound.slots, program_.labels_slot));
}

void Executor::loss(Bound& bound, const BatchShare& share) {
  const auto samples = static_cast<std::int64_t>(share.indices.size());
  const auto features = model_.layers.back().output.elements().value();
  const double scale = 1.0 / static_cast<double>(share.global_batch);
  const ConstView outputs = slot_or_nothing(bound.slots, program_.output_slot.back());
  const ConstView labels = slot_or_nothing(bound.slots, program_.labels_slot);
  const View gradient = slot_or_nothing(bound.slots, program_.gradient_slot.back());
  const auto sums = model_.loss == model::Loss::cross_entropy
                        ? backend_.cross_entropy(samples, features, outputs, labels, scale, gradient)
                        : backend_.mean_squared_error(samples, features, outputs, labels, scale, gradient);
  metric_ = {sums.loss, static_cast<double>(sums.correct)};
}

void Executor::compute(const step::Instruction& instruction, Bound& bound, const BatchShare& share,
                       const kernels::SgdStep& optimizer) {
  const auto u = static_cast<std::size_t>(std::max(0, instruction.unit));
  switch (instruction.kind) {
    case Kind::load:
      return load(bound, share);
    case Kind::loss:
      return loss(bound, share);
    case Kind::forward:
      return bound.operators[u]->forward(bound.tensors[u], share.position, workspace_.bytes());
    case Kind::backward: {
      auto& t = bound.tensors[u];
      if (instruction.phase == Phase::activation) return backend_.relu_backward(t.y, t.dy, t.dy);
      if (instruction.phase == Phase::parameters)
        return bound.operators[u]->backward_parameters(t, workspace_.bytes());
      return bound.operators[u]->backward_data(t, share.position, workspace_.bytes());
    }
    case Kind::update: {
      const auto& bucket = program_.buckets[static_cast<std::size_t>(instruction.bucket)];
      return backend_.sgd_update(optimizer, parameters_.weights().slice(bucket.first, bucket.count),
                                 parameters_.gradients().slice(bucket.first, bucket.count),
                                 parameters_.velocities().slice(bucket.first, bucket.count));
    }
    case Kind::all_reduce:
    case Kind::wait:
      break;
  }
  throw base::ContractError("a compute instruction was expected");
}

kernels::LossSums Executor::run(const BatchShare& share, const kernels::SgdStep& optimizer,
                                StepSpans& spans) {
  Bound& bound = bind(static_cast<std::int64_t>(share.indices.size()));
  spans.reductions.resize(reductions_.size());
  int in_flight = 0;
  double begin = base::now_seconds();
  for (const auto& instruction : program_.instructions) {
    if (instruction.kind == Kind::all_reduce) {
      reductions_[static_cast<std::size_t>(instruction.reduction)]->start();
      ++in_flight;
    } else if (instruction.kind == Kind::wait) {
      reductions_[static_cast<std::size_t>(instruction.reduction)]->wait();
      --in_flight;
    } else {
      compute(instruction, bound, share, optimizer);
      if (in_flight > 0) axis_.progress();
    }
    const double end = base::now_seconds();
    span_of(spans, instruction) += end - begin;
    begin = end;
  }
  return {.loss = metric_[0], .correct = static_cast<std::int64_t>(metric_[1])};
}

}  // namespace partita::run
