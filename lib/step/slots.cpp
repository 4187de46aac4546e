/// Which tensors a step needs besides parameters, and how large each is on this rank: inputs, outputs and
/// gradients of every unit and micro-batch. What only passes a value on has the slot of its source.
#include "assembly.hpp"
#include "partita/model/layer_kind.hpp"

namespace partita::step {
namespace {

SlotId tensor_slot(Assembly& a, SlotRole role, std::optional<UnitId> u, MicrobatchId j,
                   const Placement& placement, const kernels::Shape& shape, DataType type) {
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
SlotId tensor_slot(Assembly& a, SlotRole role, std::optional<UnitId> u, MicrobatchId j,
                   const Placement& placement, const kernels::Shape& shape) {
  return tensor_slot(a, role, u, j, placement, shape, a.program.type);
}
/// Where ranks tell each other the sums of losses so that nobody learns another's. Beside loss and hits it
/// has counts of ranks: whose loss is not finite, whose gradients are too large, whose are not finite.
void make_secret_losses(Assembly& a) {
  if (!a.program.training || !a.program.compression.is_secure()) return;
  a.program.secret_losses = {
      .message = a.add_slot({.role = SlotRole::message, .type = DataType::int64, .fixed = Elements(5)}),
      .axis = metric_axes(a.plan)};
}

/// The slot of the sums that a layer's pass takes over the samples of a micro-batch. How many sums there are
/// does not depend on how many samples. No slot for a layer whose passes take no sums.
std::optional<SlotId> sums_slot(Assembly& a, UnitId u, MicrobatchId j) {
  if (!a.program.training || !a.whole(u).takes_statistics()) return {};
  return a.add_slot({.role = SlotRole::statistics,
                     .unit = u,
                     .microbatch = j,
                     .type = DataType::float64,
                     .fixed = a.unit(u).local.statistics()});
}
/// The target of a conversion: its source, where the exchange works in place.
SlotId converted_slot(Assembly& a, SlotId source, const Conversion& c, SlotRole role, std::optional<UnitId> u,
                      MicrobatchId j) {
  const Exchange exchange = exchange_of(c.from, c.to);
  if (exchange == Exchange::none || exchange == Exchange::keep || exchange == Exchange::all_reduce)
    return source;
  return tensor_slot(a, role, u, j, c.to, c.shape);
}

void make_value_slots(Assembly& a, ChunkId c, MicrobatchId j) {
  Pair pair = a.delivered(c);
  const auto& shape = a.model.layers[static_cast<std::size_t>(a.first_layer(c))].input;
  SlotId value;
  if (a.is_first(c))
    a.program.input_slot.push_back(value = tensor_slot(a, SlotRole::input, {}, j, pair.value, shape));
  else if (a.stages() == 1)
    value = a.slots(a.last_unit(c - 1), j).y;
  else
    value = a.received_value[{c, j}] = tensor_slot(a, SlotRole::activation, {}, j, pair.value, shape);
  for (const auto u : a.units(c)) {
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
      converted_slot(a, value, {pair.value, loss, a.output_shape()}, SlotRole::activation, {}, j));
  if (loss.spread == Spread::channel)
    a.program.statistics_slot.push_back(a.add_slot({.role = SlotRole::statistics,
                                                    .microbatch = j,
                                                    .type = a.program.type,
                                                    .per_sample = Elements(3) * a.plan.grid.tensor}));
  if (a.program.training)
    a.program.loss_gradient_slot.push_back(tensor_slot(a, SlotRole::gradient, {}, j, loss, a.output_shape()));
}

void make_gradient_slots(Assembly& a, ChunkId c, MicrobatchId j) {
  if (!a.has_backward(c)) return;
  const auto last = a.last_unit(c);
  const auto& out = output_pair(a.plan, a.unit(last)).gradient;
  SlotId gradient;
  if (a.is_last(c))
    gradient = converted_slot(a, a.program.loss_gradient_slot.back(),
                              {a.plan.placement.loss, out, a.output_shape()}, SlotRole::gradient, last, j);
  else if (a.stages() == 1)
    gradient = a.sent_gradient.at({c + 1, j});
  else
    gradient = tensor_slot(a, SlotRole::gradient, last, j, out, a.whole(last).output);
  for (const auto u : a.units(c).reversed()) {
    if (a.unit(u).layer < a.lowest) return;
    UnitSlots& s = a.slots(u, j);
    s.dy = gradient;
    s.gradient_sums = sums_slot(a, u, j);
    if (a.unit(u).layer == a.lowest) return;
    const auto& in = input_pair(a.plan, a.unit(u)).gradient;
    const auto source = u == UnitId() ? std::nullopt : std::optional(u - 1);
    s.dx = s.x == s.y ? gradient : tensor_slot(a, SlotRole::gradient, source, j, in, a.whole(u).input);
    const Placement before =
        u > a.first_unit(c) ? output_pair(a.plan, a.unit(u - 1)).gradient : a.delivered(c).gradient;
    gradient = converted_slot(a, *s.dx, {in, before, a.whole(u).input}, SlotRole::gradient, source, j);
  }
  a.sent_gradient[{c, j}] = gradient;
}

void make_norm_slots(Assembly& a) {
  Slot slot{.role = SlotRole::norm, .type = DataType::float64};
  if (!shares_updates(a.plan) && a.plan.grains > 0) {
    a.program.norms_by_layer = true;
    a.program.norm_parts = static_cast<int>(a.model.layers.size());
  } else if (!shares_updates(a.plan)) {
    a.program.norm_parts = a.plan.grid.data;
  }
  slot.fixed = Elements(a.plan.grid.along(norm_axes(a.plan))) * a.program.norm_parts;
  a.program.squares_slot = a.add_slot(slot);
  slot.fixed = Elements(2);
  slot.lifetime = Lifetime::run;
  a.program.scale_slot = a.add_slot(slot);
  if (a.plan.compression.codec != kernels::Codec::fp16) return;
  slot.role = SlotRole::loss_scale;
  a.program.loss_scale_slot = a.add_slot(slot);
}

}  // namespace

void make_slots(Assembly& a) {
  a.program.tensors.resize(a.program.units.size());
  for (auto& of_unit : a.program.tensors)
    of_unit.resize(static_cast<std::size_t>(a.program.microbatches));
  a.program.metric_slot = a.add_slot(
      {.role = SlotRole::metric, .type = DataType::float64, .fixed = Elements(2), .lifetime = Lifetime::run});
  make_secret_losses(a);
  if (a.program.training && takes_norm(a.plan)) make_norm_slots(a);
  for (const auto j : a.program.microbatch_ids()) {
    for (const auto c : a.program.chunk_ids())
      make_value_slots(a, c, j);
    if (!a.program.training) continue;
    for (const auto c : a.program.chunk_ids().reversed())
      make_gradient_slots(a, c, j);
  }
}

}  // namespace partita::step
