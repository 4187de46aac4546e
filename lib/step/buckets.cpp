/// Which gradients are reduced and updated together, and which slots hold a bucket.
#include <algorithm>
#include <utility>

#include "assembly.hpp"

namespace partita::step {
namespace {

/// What a rank has of a unit's parameters when shares are even.
Elements even_share(const Assembly& a, UnitId u) {
  const auto elements = a.whole(u).parameter_elements().value();
  const bool replicated = a.program.parameters[u].replicated;
  const int shares = replicated ? 1 : a.plan.grid.tensor;
  return Elements((elements + shares - 1) / shares);
}

void make_slots_of(Assembly& a, Bucket& bucket) {
  Slot slot{.role = SlotRole::parameters, .type = a.program.type, .lifetime = Lifetime::run};
  slot.first = a.program.parameters[bucket.units.front()].first();
  for (const auto u : bucket.units)
    slot.fixed += a.program.parameters[u].count();
  bucket.parameters = a.add_slot(slot);
  for (int level = 0; a.program.training && level < a.program.gradient_levels; ++level) {
    slot.role = SlotRole::parameter_gradients;
    slot.in_window = level == 0;  // what is reduced
    bucket.gradients.push_back(a.add_slot(slot));
    slot.first += a.program.trained_count;
  }
}

/// Which bucket and slot the parameters of its units have.
void assign(Assembly& a, BucketId b) {
  const auto& bucket = a.program.buckets[b];
  for (const auto u : bucket.units) {
    auto& range = a.program.parameters[u];
    range.bucket = b;
    for (auto& tensor : range.tensors)
      if (tensor.trained) tensor.slot = bucket.parameters;
    auto& parts = a.program.chunk_gradients[a.unit(u).chunk];
    const Elements begin = range.first() - a.program.slots[bucket.parameters].first;
    if (parts.empty() || parts.back().bucket != b) parts.push_back({.bucket = b, .first = begin});
    parts.back().count += range.count();
  }
}

void list_tensors(Assembly& a, BucketId b) {
  const auto& p = a.program;
  std::vector<BucketTensor> tensors;
  for (const auto u : p.buckets[b].units) {
    const auto& unit = a.unit(u);
    const auto& range = p.parameters[u];
    const auto described = unit.local.parameters();
    for (std::size_t t = 0; t < range.tensors.size(); ++t) {
      const auto& tensor = range.tensors[t];
      if (!tensor.trained) continue;
      const bool is_whole = range.replicated || (cuts_of(unit.variant).inputs && !described[t].is_of_inputs);
      tensors.push_back({.unit = u,
                         .first = p.offset_in_slot(tensor),
                         .count = tensor.count,
                         .is_own = !is_whole || p.at.tensor == 0,
                         .is_vector = described[t].shape.rank() == 1});
    }
  }
  a.program.buckets[b].tensors = std::move(tensors);
}

/// Where the update finds the norms of its tensors.
void make_norm_slot(Assembly& a, BucketId b) {
  if (!a.program.training || !a.plan.norms.of_tensors) return;
  const auto tensors = std::ssize(a.program.buckets[b].tensors);
  a.program.buckets[b].tensor_squares =
      a.add_slot({.role = SlotRole::norm, .type = DataType::float64, .fixed = Elements(2) * tensors});
}

}  // namespace

void make_buckets(Assembly& a, const std::vector<UnitId>& trained_units) {
  Bucket open;
  Elements share{};
  const auto close = [&](UnitId unit) {
    open.closing_unit = unit;
    make_slots_of(a, open);
    a.program.buckets.push_back(std::exchange(open, {}));
    share = {};
  };
  for (const auto u : trained_units) {
    const auto axes = gradient_axes(a.plan, a.unit(u).layer);
    if (!open.units.empty() && open.axis != axes) close(u);
    open.axis = axes;
    open.units.push_back(u);
    share += even_share(a, u);
    if (bytes_of(a.program.type, share) >= a.plan.bucket_bytes || u == trained_units.back()) close(u);
  }
  a.program.chunk_gradients.resize(static_cast<std::size_t>(a.program.chunks));
  for (const auto b : a.program.buckets.ids()) {
    assign(a, b);
    list_tensors(a, b);
    make_norm_slot(a, b);
  }
}

}  // namespace partita::step
