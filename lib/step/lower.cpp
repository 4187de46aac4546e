/// A layer's share on a tensor rank is what its placement stores there. A ReLU joins the layer before it if
/// that layer has an epilogue, belongs to the same chunk and hands its output over as the ReLU takes it.
#include "lower.hpp"

#include "partita/model/layer_kind.hpp"

namespace partita::step {
namespace {

using kernels::Shape;

/// The shape of what a rank stores, flat where the whole is flat.
Shape local_shape(const Placement& placement, const Shape& whole, int rank, int ranks) {
  const Box box = storage_of(placement, whole, rank, ranks, 1);
  if (whole.rank() != 3) return {box.channels.size()};
  return {box.channels.size(), box.rows.size(), box.columns.size()};
}

}  // namespace

Unit share_of(const model::ModelSpec& model, int layer, const LayerPlacement& placed, int rank, int ranks) {
  const auto& whole = model.layers[static_cast<std::size_t>(layer)];
  const Cuts cuts = cuts_of(placed.variant);
  Unit unit{.layer = layer, .variant = placed.variant, .local = whole};
  const Box share = storage_of(placed.out.value, whole.output, rank, ranks, 1);
  unit.first_channel = share.channels.begin;
  unit.first_row = share.rows.begin;
  unit.adds_bias = !cuts.inputs || rank == 0;
  const Shape input = local_shape(placed.in.value, whole.input, rank, ranks);
  const Shape output = local_shape(placed.out.value, whole.output, rank, ranks);
  const bool empty = output.elements().value() == 0;
  if (empty && (!whole.has_parameters() || cuts.rows)) {
    unit.idle = true;  // the layer stays whole, on no samples
    return unit;
  }
  unit.local.input = input;
  unit.local.output = output;
  if (cuts.outputs && whole.has_parameters()) unit.local.out = output[0];
  if (cuts.rows) unit.local.padding = 0;  // its border is stored
  return unit;
}

std::vector<Unit> lower_chunk(const model::ModelSpec& model, const Plan& plan, int tensor_rank, int chunk,
                              ChunkId role_chunk) {
  const int begin = plan.partition[static_cast<std::size_t>(chunk)],
            end = plan.partition[static_cast<std::size_t>(chunk) + 1];
  const auto& placed = plan.placement.layers;
  std::vector<Unit> units;
  for (int l = begin; l < end; ++l) {
    const auto i = static_cast<std::size_t>(l);
    const bool follows = !units.empty() && units.back().layer == l - 1 && !units.back().fused_relu;
    if (follows && model.layers[i].description().is_epilogue &&
        model.layers[i - 1].description().has_epilogue && placed[i].in == placed[i - 1].out) {
      units.back().fused_relu = true;
      continue;
    }
    units.push_back(share_of(model, l, placed[i], tensor_rank, plan.placement.ranks));
    units.back().chunk = role_chunk;
  }
  return units;
}

const Pair& input_pair(const Plan& plan, const Unit& unit) {
  return plan.placement.layers[static_cast<std::size_t>(unit.layer)].in;
}

const Pair& output_pair(const Plan& plan, const Unit& unit) {
  return plan.placement.layers[static_cast<std::size_t>(unit.layer + (unit.fused_relu ? 1 : 0))].out;
}

bool moves_no_data(const model::Layer& layer, kernels::Layout layout, bool training) {
  const auto& kind = layer.description();
  if (kind.only_trained) return !training;
  if (kind.reads != model::Reads::reordered) return false;
  const auto& in = layer.input;
  return layout == kernels::Layout::nchw || in.rank() != 3 || in[0] == 1 || in[1] * in[2] == 1;
}

}  // namespace partita::step
