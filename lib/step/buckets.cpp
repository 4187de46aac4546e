/// Which gradients are reduced and updated together, and which slots hold a bucket.
#include <algorithm>
#include <utility>

#include "assembly.hpp"
#include "partita/step/compression.hpp"

namespace partita::step {
namespace {

/// The largest share of so many ranks.
Elements share_of(Elements all, int ranks) { return Elements((all.value() + ranks - 1) / ranks); }

/// What a rank has of a unit's parameters when shares are even.
Elements even_share(const Assembly& a, UnitId u) {
  const auto elements = a.whole(u).parameter_elements().value();
  const bool replicated = a.program.parameters[u].replicated;
  return share_of(Elements(elements), replicated ? 1 : a.plan.grid.tensor);
}

/// Whether data ranks have parameters of their own between two averages.
bool is_averaged(const Assembly& a, const Bucket& bucket) {
  return a.program.training && a.program.cadence.local.is_on() && contains(bucket.axis, topology::Axis::data);
}

/// How large it is, what of it a rank updates, and the slot of what it has of the parameters.
void lay_out(Assembly& a, Bucket& bucket) {
  for (const auto u : bucket.units)
    bucket.count += a.program.parameters[u].count();
  bucket.is_split = a.program.split != Split::none && bucket.axis != topology::Axis::none;
  bucket.share = a.program.servers > 0
                     ? Elements(a.program.share_of(bucket, a.program.at.data).size())
                     : share_of(bucket.count, bucket.is_split ? a.plan.grid.along(bucket.axis) : 1);
  bucket.first_state = a.program.state_count;
  a.program.state_count += bucket.share;
  const bool is_share = a.program.holds_share(bucket);
  bucket.parameters = a.add_slot(
      {.role = SlotRole::parameters,
       .type = a.program.type,
       .fixed = is_share ? bucket.share : bucket.count,
       .lifetime = Lifetime::run,
       .first = a.program.held_count,
       .in_window = (bucket.is_split && !is_share && a.program.servers == 0) || is_averaged(a, bucket)});
  a.program.held_count += a.program.slots[bucket.parameters].fixed;
}

/// The vector of gradients holds all buckets, level by level.
void make_gradient_slots(Assembly& a) {
  for (auto& bucket : a.program.buckets) {
    Slot slot{.role = SlotRole::parameter_gradients,
              .type = a.program.type,
              .fixed = bucket.count,
              .lifetime = Lifetime::run,
              .first = a.program.parameters[bucket.units.front()].first(),
              .in_window = !a.program.compression.is_secure()};  // where others of the node could read it
    for (int level = 0; level < a.program.gradient_levels; ++level) {
      bucket.gradients.push_back(a.add_slot(slot));
      slot.first += a.program.trained_count;
      slot.in_window = slot.in_window && a.program.cadence.is_delayed;  // as far as it is reduced
    }
  }
  a.program.gradient_count = a.program.trained_count * a.program.gradient_levels;
}

/// Of a server: what each worker pushes, or what comes out of the codes of a push, of one at a time or of
/// all; and, where not all get the same, what each is answered.
void make_pushed_slots(Assembly& a) {
  auto& p = a.program;
  for (auto& bucket : p.buckets) {
    const auto add = [&](SlotRole role) {
      const Elements first = std::exchange(p.gradient_count, p.gradient_count + bucket.share);
      return a.add_slot(
          {.role = role, .type = p.type, .fixed = bucket.share, .lifetime = Lifetime::run, .first = first});
    };
    for (int worker = 0; worker < p.workers(); ++worker) {
      if (worker == 0 || !p.compression.is_on()) bucket.gradients.push_back(add(SlotRole::pushed));
      if (p.cadence.servers.is_asynchronous) bucket.answers.push_back(add(SlotRole::answer));
    }
  }
}

/// The room of the two largest that follow each other.
Elements room_of_two(const std::vector<Elements>& buckets) {
  Elements room{}, before{};
  for (const auto count : buckets)
    room = std::max(room, std::exchange(before, count) + count);
  return room;
}

/// It holds two buckets that follow each other, at its beginning and at the end of that room in turn; behind
/// it lie the shares that are kept.
void make_reused_gradient_slots(Assembly& a) {
  auto& buckets = a.program.buckets;
  std::vector<Elements> counts;
  for (const auto& bucket : buckets)
    counts.push_back(bucket.count);
  const Elements room = a.program.gradient_count = room_of_two(counts);
  for (const auto b : buckets.ids()) {
    auto& bucket = buckets[b];
    Slot slot{.role = SlotRole::parameter_gradients,
              .type = a.program.type,
              .fixed = bucket.count,
              .lifetime = Lifetime::run,
              .first = b.value() % 2 == 0 ? Elements(0) : room - bucket.count,
              .in_window = true};
    bucket.gradients.push_back(a.add_slot(slot));
    slot.fixed = bucket.share;
    slot.first = std::exchange(a.program.gradient_count, a.program.gradient_count + bucket.share);
    slot.in_window = false;
    bucket.kept_gradients = a.add_slot(slot);
  }
}

/// Whether two buckets are all that a rank holds of gradients until they are reduced: where that takes less
/// room, but not where more micro-batches add to those of all, or halves of the backward pass take sums
/// before others' are reduced. By `nominal` sizes, since all tensor coordinates decide alike.
bool reuses_gradients(const Assembly& a, const std::vector<Elements>& nominal) {
  const bool splits = a.plan.split == Split::gradient || a.plan.split == Split::parameter;
  const bool in_order = a.plan.pipeline.schedule != Schedule::zb_h1 || !a.model.takes_statistics();
  const bool is_told_late = a.program.compression.is_secure();  // which of them are lost
  if (!splits || !in_order || is_told_late || a.program.microbatches > 1 || a.program.cadence.is_delayed)
    return false;
  Elements kept{}, all{};
  for (const auto b : a.program.buckets.ids()) {
    const auto& bucket = a.program.buckets[b];
    kept += share_of(nominal[b.index()], bucket.is_split ? a.plan.grid.along(bucket.axis) : 1);
    all += nominal[b.index()];
  }
  return room_of_two(nominal) + kept < all;
}

/// Which bucket and slot the parameters of its units have.
void assign(Assembly& a, BucketId b) {
  const auto& bucket = a.program.buckets[b];
  const Elements first = a.program.parameters[bucket.units.front()].first();
  for (const auto u : bucket.units) {
    auto& range = a.program.parameters[u];
    range.bucket = b;
    for (auto& tensor : range.tensors)
      if (tensor.trained) tensor.slot = bucket.parameters, tensor.offset = tensor.first - first;
    auto& parts = a.program.chunk_gradients[a.unit(u).chunk];
    const Elements begin = range.first() - first;
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
                         .first = tensor.offset,
                         .count = tensor.count,
                         .columns = tensor.columns,
                         .is_whole = is_whole,
                         .is_own = !is_whole || p.at.tensor == 0,
                         .is_vector = described[t].shape.rank() == 1});
    }
  }
  a.program.buckets[b].tensors = std::move(tensors);
}

/// A message that is under way from step to step.
SlotId message_of_run(Assembly& a, DataType type, Elements count) {
  const auto size = kernels::size_of(type);
  const Elements first((a.program.message_bytes.value() + size - 1) / size);
  a.program.message_bytes = bytes_of(type, first + count);
  return a.add_slot(
      {.role = SlotRole::message, .type = type, .fixed = count, .lifetime = Lifetime::run, .first = first});
}

/// A message that is waited for last: where updates are delayed the next step does it.
SlotId carried_message(Assembly& a, DataType type, Elements count) {
  if (a.program.cadence.is_delayed) return message_of_run(a, type, count);
  return a.add_slot({.role = SlotRole::message, .type = type, .fixed = count});
}

/// Of a worker for each server; of a server from each worker, one of whose pushes comes while another's is
/// added.
std::vector<SlotId> slots_of_pushes(Assembly& a, const Bucket& bucket) {
  const auto& p = a.program;
  std::vector<SlotId> slots;
  for (int rank = p.serves() ? 0 : p.workers(); rank < (p.serves() ? p.workers() : p.grid.data); ++rank) {
    const Elements bytes(bytes_of(parts_of_push(p, bucket, p.serves() ? p.at.data : rank)));
    slots.push_back(p.serves()
                        ? message_of_run(a, DataType::uint8, bytes)
                        : a.add_slot({.role = SlotRole::message, .type = DataType::uint8, .fixed = bytes}));
  }
  return slots;
}

/// One for each buffer of the gradients.
std::vector<SlotId> masked_slots(Assembly& a, const Bucket& bucket) {
  std::vector<SlotId> slots;
  for (int level = 0; level < a.program.gradient_levels; ++level)
    slots.push_back(carried_message(a, DataType::int32, bucket.count));
  return slots;
}

/// What is sent in place of its gradients; nothing where no others have them.
void make_coding_slots(Assembly& a, BucketId b) {
  auto& p = a.program;
  auto& bucket = p.buckets[b];
  if (!p.training || !p.compression.is_on() || bucket.axis == topology::Axis::none) return;
  Coding coding;
  const auto run_slot = [&](SlotRole role, Elements count, Elements& all) {
    const Elements first = std::exchange(all, all + count);
    return a.add_slot(
        {.role = role, .type = p.type, .fixed = count, .lifetime = Lifetime::run, .first = first});
  };
  const auto message = [&](DataType type, Elements count) {
    return a.add_slot({.role = SlotRole::message, .type = type, .fixed = count});
  };
  if (p.compression.residuals && !p.serves())
    coding.residual = run_slot(SlotRole::residual, bucket.count, p.residual_count);
  if (p.servers > 0) {
    coding.pushes = slots_of_pushes(a, bucket);
  } else if (p.compression.is_secure()) {
    coding.masked = masked_slots(a, bucket);
  } else if (p.compression.codec == kernels::Codec::powersgd) {
    Elements left{}, right{};
    for (const auto& tensor : factored_of(p, bucket))
      left += tensor.in_left(), right += tensor.in_right();
    coding.left = carried_message(a, p.type, left), coding.right = carried_message(a, p.type, right);
    coding.basis = run_slot(SlotRole::basis, right, p.basis_count);
  } else {
    const Elements all(cuts_to_all(p, bucket).back());
    if (scatters_codes(p, bucket)) {
      const int largest = a.plan.grid.along(bucket.axis) - 1;  // no share is larger than the last one
      coding.to_owners = message(DataType::uint8, all);
      coding.from_ranks = message(DataType::uint8, Elements(cuts_from_ranks(p, bucket, largest).back()));
    }
    if (!bucket.is_split) coding.to_all = carried_message(a, DataType::uint8, all);
  }
  bucket.coding = coding;
}

/// What its averages need besides its parameters.
void make_averaging_slots(Assembly& a, BucketId b) {
  auto& p = a.program;
  auto& bucket = p.buckets[b];
  if (!is_averaged(a, bucket)) return;
  const auto& local = a.program.cadence.local;
  Averaging averaging;
  Slot slot{.role = SlotRole::optimizer_state,
            .type = p.type,
            .fixed = bucket.share,
            .lifetime = Lifetime::run,
            .first = bucket.first_state};
  if (local.states != LocalStates::keep)
    for (; slot.state < local.state_vectors; ++slot.state)
      (local.states == LocalStates::average ? averaging.averaged_states : averaging.reset_states)
          .push_back(a.add_slot(slot));
  if (local.has_outer_step()) {
    slot.state = 0;
    slot.first = std::exchange(p.outer_count, p.outer_count + bucket.count);
    slot.role = SlotRole::anchor;
    averaging.anchor = a.add_slot(slot);
    slot.role = SlotRole::outer_velocity;
    averaging.velocity = a.add_slot(slot);
  }
  bucket.averaging = std::move(averaging);
}

/// Where the update finds the norms of its tensors.
void make_norm_slot(Assembly& a, BucketId b) {
  if (!a.program.training || !a.plan.norms.of_tensors) return;
  auto& bucket = a.program.buckets[b];
  const Elements sums(2 * std::ssize(bucket.tensors));
  Slot slot{.role = SlotRole::norm, .type = DataType::float64, .fixed = sums};
  bucket.tensor_squares = a.add_slot(slot);
  slot.fixed = sums * a.plan.grid.along(bucket.axis);
  if (bucket.axis != topology::Axis::none && a.plan.grains == 0 && a.program.servers == 0)
    bucket.share_squares = a.add_slot(slot);
}

}  // namespace

void make_buckets(Assembly& a, const std::vector<UnitId>& trained_units) {
  Bucket open;
  Elements share{};
  std::vector<Elements> nominal;
  const auto close = [&](UnitId unit) {
    open.closing_unit = unit;
    nominal.push_back(share);
    lay_out(a, open);
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
  if (a.program.training && a.program.serves())
    make_pushed_slots(a);
  else if (a.program.training)
    reuses_gradients(a, nominal) ? make_reused_gradient_slots(a) : make_gradient_slots(a);
  a.program.chunk_gradients.resize(static_cast<std::size_t>(a.program.chunks));
  for (const auto b : a.program.buckets.ids()) {
    assign(a, b);
    list_tensors(a, b);
    make_norm_slot(a, b);
    make_coding_slots(a, b);
    make_averaging_slots(a, b);
  }
}

}  // namespace partita::step
