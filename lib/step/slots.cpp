/// Which tensors a step needs besides parameters, and how large each is on this rank: inputs, outputs and
/// gradients of every unit and micro-batch. What only passes a value on has the slot of its source.
#include "assembly.hpp"
#include "partita/model/layer_kind.hpp"

namespace partita::step {
namespace {

int tensor_slot(Assembly& a, SlotRole role, int u, int j, const Placement& placement,
                const kernels::Shape& shape, DataType type) {
  const bool share = placement.spread == Spread::batch;
  const auto elements =
      share ? shape.elements().value()
            : storage_of(placement, shape, a.program.at.tensor, a.plan.grid.tensor, 1).elements();
  return a.add_slot({.role = role,
                     .unit = u,
                     .microbatch = j,
                     .type = type,
                     .per_sample = Elements(elements),
                     .batch_share = share});
}
int tensor_slot(Assembly& a, SlotRole role, int u, int j, const Placement& placement,
                const kernels::Shape& shape) {
  return tensor_slot(a, role, u, j, placement, shape, a.program.type);
}
/// Sums over the samples of a micro-batch: as many whatever its size. −1 for a layer that takes none.
int sums_slot(Assembly& a, int u, int j) {
  if (!a.program.training || !a.whole(u).takes_statistics()) return -1;
  return a.add_slot({.role = SlotRole::statistics,
                     .unit = u,
                     .microbatch = j,
                     .type = DataType::float64,
                     .fixed = a.unit(u).local.statistics()});
}
/// The target of a conversion: its source, where the exchange works in place.
int converted_slot(Assembly& a, int source, const Conversion& c, SlotRole role, int u, int j) {
  const Exchange exchange = exchange_of(c.from, c.to);
  if (exchange == Exchange::none || exchange == Exchange::keep || exchange == Exchange::all_reduce)
    return source;
  return tensor_slot(a, role, u, j, c.to, c.shape);
}

void make_value_slots(Assembly& a, int c, int j) {
  Pair pair = a.delivered(c);
  const auto& shape = a.model.layers[static_cast<std::size_t>(a.first_layer(c))].input;
  int value = -1;
  if (a.is_first(c))
    a.program.input_slot.push_back(value = tensor_slot(a, SlotRole::input, -1, j, pair.value, shape));
  else if (a.stages() == 1)
    value = a.slots(a.first_unit(c) - 1, j).y;
  else
    value = a.received_value[{c, j}] = tensor_slot(a, SlotRole::activation, -1, j, pair.value, shape);
  for (int u = a.first_unit(c); u < a.end_unit(c); ++u) {
    const auto& layer = a.whole(u);
    UnitSlots& s = a.slots(u, j);
    s.x = converted_slot(a, value, {pair.value, input_pair(a.plan, a.unit(u)).value, layer.input},
                         SlotRole::activation, u, j);
    pair = output_pair(a.plan, a.unit(u));
    s.y = moves_no_data(layer, a.program.layout, a.program.training)
              ? s.x
              : tensor_slot(a, SlotRole::activation, u, j, pair.value, layer.output);
    for (const auto& saved : layer.description().saved)
      s.saved.push_back(tensor_slot(a, SlotRole::saved, u, j, pair.value, layer.output, saved.type));
    s.statistics = sums_slot(a, u, j);
    value = s.y;
  }
  if (!a.is_last(c)) return;
  const auto& loss = a.plan.placement.loss;
  const bool share = loss.spread == Spread::batch;
  const bool classes = a.model.loss == model::Loss::cross_entropy;
  a.program.labels_slot.push_back(
      a.add_slot({.role = SlotRole::labels,
                  .microbatch = j,
                  .type = classes ? DataType::int32 : a.program.type,
                  .per_sample = classes ? Elements(1) : a.output_shape().elements(),
                  .batch_share = share}));
  a.program.loss_slot.push_back(
      converted_slot(a, value, {pair.value, loss, a.output_shape()}, SlotRole::activation, -1, j));
  if (loss.spread == Spread::channel)
    a.program.statistics_slot.push_back(a.add_slot({.role = SlotRole::statistics,
                                                    .microbatch = j,
                                                    .type = a.program.type,
                                                    .per_sample = Elements(3 * a.plan.grid.tensor)}));
  if (a.program.training)
    a.program.loss_gradient_slot.push_back(tensor_slot(a, SlotRole::gradient, -1, j, loss, a.output_shape()));
}

void make_gradient_slots(Assembly& a, int c, int j) {
  if (!a.has_backward(c)) return;
  const int last = a.end_unit(c) - 1;
  const auto& out = output_pair(a.plan, a.unit(last)).gradient;
  int gradient = -1;
  if (a.is_last(c))
    gradient = converted_slot(a, a.program.loss_gradient_slot.back(),
                              {a.plan.placement.loss, out, a.output_shape()}, SlotRole::gradient, last, j);
  else if (a.stages() == 1)
    gradient = a.sent_gradient.at({c + 1, j});
  else
    gradient = tensor_slot(a, SlotRole::gradient, last, j, out, a.whole(last).output);
  for (int u = last; u >= a.first_unit(c); --u) {
    if (a.unit(u).layer < a.lowest) return;
    UnitSlots& s = a.slots(u, j);
    s.dy = gradient;
    s.gradient_sums = sums_slot(a, u, j);
    if (a.unit(u).layer == a.lowest) return;
    const auto& in = input_pair(a.plan, a.unit(u)).gradient;
    s.dx = s.x == s.y ? s.dy : tensor_slot(a, SlotRole::gradient, u - 1, j, in, a.whole(u).input);
    const Placement before =
        u > a.first_unit(c) ? output_pair(a.plan, a.unit(u - 1)).gradient : a.delivered(c).gradient;
    gradient = converted_slot(a, s.dx, {in, before, a.whole(u).input}, SlotRole::gradient, u - 1, j);
  }
  a.sent_gradient[{c, j}] = gradient;
}

}  // namespace

void make_slots(Assembly& a) {
  a.program.tensors.resize(a.program.units.size() * static_cast<std::size_t>(a.program.microbatches));
  a.program.metric_slot = a.add_slot(
      {.role = SlotRole::metric, .type = DataType::float64, .fixed = Elements(2), .lifetime = Lifetime::run});
  for (int j = 0; j < a.program.microbatches; ++j) {
    for (int c = 0; c < a.program.chunks; ++c)
      make_value_slots(a, c, j);
    for (int c = a.program.chunks; a.program.training && c-- > 0;)
      make_gradient_slots(a, c, j);
  }
}

}  // namespace partita::step
