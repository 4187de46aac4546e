/// Looks for values that are not finite in the order in which a step computes them, on every rank, and names
/// the earliest of all ranks in the same words everywhere.
#include "partita/execute/divergence.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "bound.hpp"

namespace partita::execute {

using kernels::ConstView;
using step::Kind;
using step::Phase;

int Finding::order(int layers) const {
  switch (quantity) {
    case Quantity::parameters:
      return layer;
    case Quantity::output:
      return layers + layer;
    case Quantity::loss:
      return 2 * layers;
    case Quantity::parameter_gradient:
    case Quantity::input_gradient:
      break;
  }
  return 2 * (2 * layers - layer) + (quantity == Quantity::input_gradient ? 1 : 0);
}

namespace {

template <class Check>
bool check_values(ConstView values, Check check) {
  return values.type() == kernels::DataType::float64   ? check(values.as<double>())
         : values.type() == kernels::DataType::float32 ? check(values.as<float>())
                                                       : true;
}

/// The earlier of two findings, where there are any.
void keep_first(std::optional<Finding>& kept, const Finding& found, const model::ModelSpec& model) {
  const int layers = static_cast<int>(model.layers.size());
  if (!kept || found.order(layers) < kept->order(layers)) kept = found;
}

std::optional<Finding> finding_at(int order, int layers) {
  for (int l = 0; l < layers; ++l)
    for (const auto quantity : {Quantity::parameters, Quantity::output, Quantity::loss,
                                Quantity::parameter_gradient, Quantity::input_gradient})
      if (const Finding finding{quantity, l}; finding.order(layers) == order) return finding;
  return {};
}

std::optional<Finding> first_of_all(comm::Communicator& world, const std::optional<Finding>& mine,
                                    const model::ModelSpec& model) {
  const int layers = static_cast<int>(model.layers.size());
  double earliest = mine ? -static_cast<double>(mine->order(layers)) : -static_cast<double>(INFINITY);
  world.all_reduce(std::span(&earliest, 1), comm::Combine::max, collective::Purpose::metric);
  return std::isfinite(earliest) ? finding_at(static_cast<int>(-earliest), layers) : std::nullopt;
}

}  // namespace

bool all_finite(ConstView values) {
  return check_values(values, [](auto span) {
    return std::all_of(span.begin(), span.end(), [](auto value) { return std::isfinite(value); });
  });
}

namespace {

/// The first layer of this rank's whose parameters are not finite.
std::optional<Finding> non_finite_parameters(const step::Program& program, const model::ModelSpec& model,
                                             const state::Parameters& parameters) {
  std::optional<Finding> first;
  const ConstView weights = parameters.weights_on_host();
  for (const auto& piece : step::held_pieces(program, parameters.data_rank()))
    if (!all_finite(weights.slice(piece.flat, piece.elements())))
      keep_first(first, {Quantity::parameters, piece.layer}, model);
  return first;
}

}  // namespace

void Executor::note(Quantity quantity, int layer, ConstView values) {
  if (!all_finite(on_host(values))) keep_first(finding_, {quantity, layer}, model_);
}

/// A ReLU inside a kernel may turn NaN into 0: the layer is computed once more without it, beside its place.
bool Executor::output_is_finite(const step::Instruction& instruction, Bound& bound,
                                const nn::StepPosition& position) {
  const auto& unit = program_.units[*instruction.unit];
  auto t = bound.tensors_of(instruction);
  if (!unit.fused_relu || t.y.empty()) return all_finite(on_host(t.y));
  const auto n = bound.samples(*instruction.microbatch, step::cuts_of(unit.variant).samples).size();
  const auto plain = nn::plan_operator(unit.local,
                                       {.index = unit.layer,
                                        .first_channel = unit.first_channel,
                                        .first_row = unit.first_row,
                                        .whole = model_.layers[static_cast<std::size_t>(unit.layer)].input},
                                       n, backend_);
  const memory::DeviceBuffer beside(device_, t.y.bytes()), workspace(device_, plain->workspace());
  t.y = beside.view(t.y.type(), t.y.size());
  plain->forward(t, position, workspace.bytes());
  return all_finite(on_host(t.y));
}

void Executor::inspect(const step::Instruction& instruction, Bound& bound) {
  const int last = static_cast<int>(model_.layers.size()) - 1;
  if (instruction.kind == Kind::loss) {
    if (!all_finite(on_host(step_memory_.sums_of(*instruction.microbatch))))
      keep_first(finding_, {Quantity::loss, last}, model_);
    return;
  }
  if (instruction.kind != Kind::forward && instruction.kind != Kind::backward) return;
  if (instruction.phase == Phase::statistics) return;  // what they are of, or become, is looked at
  const int layer = program_.units[*instruction.unit].layer;
  const auto& t = bound.unit_of(instruction).tensors;
  if (instruction.kind == Kind::forward) {
    if (!output_is_finite(instruction, bound, position_in(bound, instruction)))
      keep_first(finding_, {Quantity::output, layer}, model_);
  } else if (instruction.phase == Phase::data) {
    note(Quantity::input_gradient, layer, t.dx);
  } else if (instruction.phase == Phase::parameters) {
    for (const View part : bound.gradients_of(instruction))
      note(Quantity::parameter_gradient, layer, part);
  }
}

std::optional<Finding> Executor::find_divergence(const Batch& batch, const kernels::StepValues& values) {
  StepSpans spans;
  // Else `run` would make the loss NaN, which would be all that is found.
  const auto before = std::exchange(non_finite_step_, std::nullopt);
  times_ = nullptr;
  finding_.reset();
  inspects_ = true;
  settle();
  const auto kinds = step::kinds_of(program_.cadence);
  run(batch, values, spans, program_.cadence.is_delayed ? kinds.front() : kinds.back());
  settle();
  inspects_ = false;
  non_finite_step_ = before;
  return finding_;
}

std::string explain_divergence(comm::Communicator& world, Executor& executor,
                               const state::Parameters& parameters, const step::Program& program,
                               const model::ModelSpec& model, const Batch& batch,
                               const kernels::StepValues& values) {
  auto first = first_of_all(world, non_finite_parameters(program, model, parameters), model);
  if (!first) first = first_of_all(world, executor.find_divergence(batch, values), model);
  double since = executor.non_finite_step() ? -static_cast<double>(*executor.non_finite_step()) : -INFINITY;
  world.all_reduce(std::span(&since, 1), comm::Combine::max, collective::Purpose::metric);
  const auto step = std::isfinite(since) ? static_cast<std::int64_t>(-since) : values.step;
  const std::string in_step = "step " + std::to_string(std::min(step, values.step)) + " diverged: ";
  if (!first) return in_step + "gradients or parameters are not finite";
  if (first->quantity == Quantity::loss) return in_step + "the loss is the first that is not finite";
  static constexpr const char* names[] = {"a parameter of layer ", "the output of layer ", "the loss",
                                          "the gradient of the parameters of layer ",
                                          "the gradient that leaves layer "};
  return in_step + names[static_cast<std::size_t>(first->quantity)] +
         model.layers[static_cast<std::size_t>(first->layer)].name + " is the first that is not finite";
}

}  // namespace partita::execute
