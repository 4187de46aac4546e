/// What each kind of compute instruction does: one call of the back-end or a few, issued to its device.
#include <algorithm>
#include <array>
#include <cmath>

#include "bound.hpp"
#include "partita/base/error.hpp"
#include "partita/data/batch.hpp"
#include "resident_data.hpp"

namespace partita::execute {

using kernels::Write;
using step::Kind;
using step::Phase;
using topology::Range;

namespace {

Range range_of(const step::BucketTensor& tensor) {
  return {tensor.first.value(), (tensor.first + tensor.count).value()};
}
/// A part of a bucket, of a slot that has it from `first` on.
View of_bucket(View slot, std::int64_t first, Range part) {
  return slot.slice(Elements(part.begin - first), Elements(part.size()));
}
/// What two ranges have in common; an empty range where that is nothing.
Range common(Range a, Range b) {
  const Range both{std::max(a.begin, b.begin), std::min(a.end, b.end)};
  return both.begin < both.end ? both : Range{};
}

}  // namespace

void Executor::load(const step::Instruction& instruction, Bound& bound, const Batch& batch) {
  const auto target = instruction.writes.front();
  const auto& slot = program_.slots[target];
  const auto range = bound.samples(*instruction.microbatch, slot.batch_share);
  const auto indices =
      batch.indices.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()));
  const bool answers = slot.role == step::SlotRole::labels;
  if (!device_.is_host()) {
    const auto at = step_memory_.indices(range.begin, range.size());
    const auto& data = resident(*batch.dataset);
    return answers ? data.gather_answers(backend_, at, bound.slot(target))
                   : data.gather_samples(backend_, at, bound.slot(target));
  }
  if (answers) return data::fill_answers(*batch.dataset, indices, bound.slot(target));
  data::fill_samples(*batch.dataset, indices,
                     model_.input.rank() == 3 ? program_.layout : kernels::Layout::nchw, bound.slot(target));
}

void Executor::loss(const step::Instruction& instruction, Bound& bound, const Batch& batch) {
  const auto j = *instruction.microbatch;
  const auto& placement = program_.loss_placement;
  const View logits = bound.slot(program_.loss_slot[j]), labels = bound.slot(program_.labels_slot[j]);
  const View gradient = program_.training ? bound.slot(program_.loss_gradient_slot[j]) : View();
  const View sums = step_memory_.sums_of(j);
  const auto samples = bound.samples(j, placement.spread == step::Spread::batch);
  const auto n = samples.size();
  if (options_.on_outputs) options_.on_outputs({.samples = samples, .values = on_host(logits)});
  const double scale = 1.0 / static_cast<double>(batch.divisor);
  const auto outputs = model_.layers.back().output.elements().value();
  if (placement.spread == step::Spread::channel) {
    const auto me = static_cast<std::size_t>(program_.at.tensor);
    const auto first = placement.offsets[me], classes = placement.offsets[me + 1] - first;
    const View statistics = bound.slot(program_.statistics_slot[j]);
    if (instruction.phase == Phase::statistics)
      return backend_.cross_entropy_statistics(
          n, classes, first, logits, labels,
          statistics.slice(Elements(3 * n * program_.at.tensor), Elements(3 * n)));
    backend_.cross_entropy_finish(n, classes, first, placement.offsets, statistics, logits, labels, scale,
                                  gradient, sums);
  } else if (model_.loss == model::Loss::cross_entropy) {
    backend_.cross_entropy(n, outputs, logits, labels, scale, gradient, sums);
  } else {
    backend_.mean_squared_error(n, outputs, logits, labels, scale, gradient, sums);
  }
  if (&instruction == last_loss_) add_losses();
}

/// Of all micro-batches, in the deterministic mode in the tree of the gradients; the sums of a single one lie
/// where those of all belong.
void Executor::add_losses() {
  if (program_.microbatches > 1)
    backend_.add_sums(step_memory_.sums_of_all(), program_.adds_in_tree(), step_memory_.metric());
  if (non_finite_step_) step_memory_.invalidate_sums();
}

void Executor::move(const step::Instruction& instruction, Bound& bound) {
  const auto& conversion = program_.conversions[*instruction.conversion];
  const auto& moves = bound.moves[*instruction.conversion];
  const View target = bound.slot(instruction.writes.front());
  if (step::exchange_of(conversion.from, conversion.to) == step::Exchange::keep) {
    if (program_.at.tensor > 0) backend_.zero(target);
    return;
  }
  const bool packs = instruction.kind == Kind::pack;
  if (!packs && step::zeroes_target(conversion)) backend_.zero(target);
  const View source = bound.slot(instruction.reads.back());
  const View buffer = packs ? source : bound.slot(instruction.reads.front());
  for (const auto& m : packs ? moves.pack : moves.unpack)
    backend_.copy_block(m.extents, m.source, m.from == step::Memory::buffer ? buffer : source, m.target,
                        target, m.add ? Write::accumulate : Write::overwrite);
}

nn::StepPosition Executor::position_in(const Bound& bound, const step::Instruction& instruction) const {
  const auto& unit = program_.units[*instruction.unit];
  return {.values = step_memory_.values(),
          .first_sample = kernels::Samples(
              bound.samples(*instruction.microbatch, step::cuts_of(unit.variant).samples).begin),
          .samples_of_all = kernels::Samples(program_.samples_of_all(*instruction.microbatch, bound.batch))};
}

void Executor::forward(const step::Instruction& instruction, Bound& bound) {
  auto& layer = *bound.unit_of(instruction).layer;
  const auto t = bound.tensors_of(instruction);
  if (instruction.phase == Phase::statistics) return layer.forward_statistics(t, workspace_.bytes());
  const auto position = position_in(bound, instruction);
  layer.forward(t, position, workspace_.bytes());
  if (instruction.phase == Phase::finish && !inspects_ && !non_finite_step_)
    layer.update_running(t, position);
}

void Executor::backward(const step::Instruction& instruction, Bound& bound) {
  const auto t = bound.tensors_of(instruction);
  if (instruction.phase == Phase::activation) return backend_.relu_backward(t.y, t.dy, t.dy);
  auto& layer = *bound.unit_of(instruction).layer;
  if (instruction.phase == Phase::parameters) {
    auto gradients = t;
    gradients.dparameters = bound.gradients_of(instruction);
    return layer.backward_parameters(
        gradients, instruction.accumulates ? Write::accumulate : Write::overwrite, workspace_.bytes());
  }
  const auto position = position_in(bound, instruction);
  if (instruction.phase == Phase::statistics)
    return layer.backward_statistics(t, position, workspace_.bytes());
  layer.backward_data(t, position, workspace_.bytes());
}

void Executor::norm(const step::Instruction& instruction, Bound& bound) {
  const View squares = bound.slot(program_.squares_slot);
  if (instruction.phase == Phase::finish) {
    backend_.clip(program_.norm_parts, squares, parameters_.optimizer().clip_norm.value_or(INFINITY),
                  bound.slot(program_.scale_slot));
    return adapt_loss_scale(bound);
  }
  if (!instruction.accumulates) backend_.zero(squares);
  if (!instruction.bucket) return;
  const auto& bucket = program_.buckets[*instruction.bucket];
  const View gradients = bound.slot(instruction.reads.front());
  const bool splits = program_.split != step::Split::none;
  const auto at = axes_.at();
  const std::int64_t rank =
      splits ? axes_.world().rank() : std::int64_t{at.pipeline} * program_.grid.tensor + at.tensor;
  const auto add = [&](Range part, std::int64_t sum) {
    if (part.empty()) return;
    backend_.squares(of_bucket(gradients, offset_of(bucket), part),
                     squares.slice(Elements(rank * program_.norm_parts + sum), Elements(1)),
                     Write::accumulate);
  };
  if (program_.norms_by_layer) {
    for (const auto& tensor : bucket.tensors)
      if (tensor.is_own) add(range_of(tensor), program_.units[tensor.unit].layer);
    return;
  }
  // A share that is one rank's alone is its own to count, whatever others have the same tensor.
  const bool counts_all = contains(bucket.axis, topology::Axis::tensor);
  const auto add_share = [&](int data, std::int64_t sum) {
    for (const auto& tensor : bucket.tensors)
      if (counts_all || tensor.is_own) add(common(range_of(tensor), program_.share_of(bucket, data)), sum);
  };
  if (splits) return add_share(at.data, 0);
  for (int data = 0; data < program_.grid.data; ++data)
    add_share(data, data);
}

/// Where the gradients that it is updated by begin within the bucket.
std::int64_t Executor::offset_of(const step::Bucket& bucket) const {
  const bool is_share = bucket.kept_gradients || program_.serves();
  return is_share ? program_.own(bucket, axes_.at().data).begin : 0;
}

void Executor::sum(const step::Instruction& instruction, Bound& bound) {
  for (std::size_t i = 1; i < instruction.reads.size(); ++i)
    copy_elements(backend_, bound.slot(instruction.reads[i]), bound.slot(instruction.writes.front()),
                  Write::accumulate);
}

void Executor::share(const step::Instruction& instruction, Bound& bound) {
  if (program_.serves())
    return copy_elements(backend_, bound.slot(instruction.reads.front()),
                         bound.slot(instruction.writes.front()), Write::overwrite);
  const auto own = program_.own(program_.buckets[*instruction.bucket], axes_.at().data);
  const bool gathers = program_.slots[instruction.writes.front()].gathered_from.has_value();
  const Elements first(own.begin), count(own.size());
  copy_elements(backend_, bound.slot(instruction.reads.front()).slice(gathers ? Elements(0) : first, count),
                bound.slot(instruction.writes.front()).slice(gathers ? first : Elements(0), count),
                Write::overwrite);
}

void Executor::update(const step::Instruction& instruction, Bound& bound) {
  if (inspects_ || is_lost(bound)) return;
  const auto& bucket = program_.buckets[*instruction.bucket];
  const auto own = program_.own(bucket, axes_.at().data);
  const View gradients = of_bucket(bound.slot(instruction.reads.front()), offset_of(bucket), own);
  std::array<View, kernels::most_states> states;
  const auto all = parameters_.states();
  for (std::size_t s = 0; s < all.size(); ++s)
    states[s] = all[s].slice(bucket.first_state, Elements(own.size()));
  const kernels::Update on{.step = step_memory_.values(),
                           .sums = bound.slot(instruction.reads[1]),
                           .scale = instruction.turn ? View() : bound.slot(program_.scale_slot),
                           .w = parameters_of(bucket, own, bound),
                           .g = gradients,
                           .states = std::span(states).first(all.size()),
                           .non_finite_step = step_memory_.non_finite_step()};
  const auto& optimizer = parameters_.optimizer();
  if (instruction.phase == Phase::none) return backend_.update(optimizer, on);
  if (instruction.phase == Phase::finish) return update_by_norms(bucket, own, bound, on);
  if (kernels::describe(optimizer.rule).has_direction) backend_.direct(optimizer, on, gradients);
  take_norms(bucket, bound.slot(instruction.reads.front()), bound);
}

/// Sums of squares of a bucket's tensors, share by share: of this rank's, or of all.
void Executor::take_norms(const step::Bucket& bucket, View gradients, Bound& bound) {
  const View sums = bound.slot(bucket.share_squares ? bucket.share_squares : bucket.tensor_squares);
  const Elements row(2 * std::ssize(bucket.tensors));
  backend_.zero(sums);
  const auto take = [&](Range share, Elements at) {
    for (const auto& tensor : bucket.tensors) {
      const Range part = common(range_of(tensor), share);
      const View norms = sums.slice(at, Elements(2));
      at += Elements(2);
      if (part.empty()) continue;
      backend_.squares(parameters_of(bucket, part, bound), norms.slice(Elements(0), Elements(1)),
                       Write::overwrite);
      backend_.squares(of_bucket(gradients, offset_of(bucket), part), norms.slice(Elements(1), Elements(1)),
                       Write::overwrite);
    }
  };
  if (!bucket.share_squares) return take({0, bucket.count.value()}, Elements(0));
  const int mine = axes_.at().data;
  const int first = bucket.is_split ? mine : 0, end = bucket.is_split ? mine + 1 : program_.grid.data;
  for (int data = first; data < end; ++data)
    take(
        program_.share_of(bucket, data),
        row * topology::place_along(program_.grid, {.data = data, .tensor = axes_.at().tensor}, bucket.axis));
}

/// u took the place of the gradient, which was clipped then.
void Executor::update_by_norms(const step::Bucket& bucket, Range own, Bound& bound,
                               const kernels::Update& whole) {
  const auto& optimizer = parameters_.optimizer();
  const View squares = bound.slot(bucket.tensor_squares);
  const bool has_direction = kernels::describe(optimizer.rule).has_direction;
  if (bucket.share_squares) backend_.add_rows(bound.slot(bucket.share_squares), squares);
  Elements at{};
  for (const auto& tensor : bucket.tensors) {
    const View norms = squares.slice(at, Elements(2));
    at += Elements(2);
    Range part = common(range_of(tensor), own);
    if (part.empty()) part = {own.begin, own.begin};  // all the same an update may find what is not finite
    const auto slice = [&](auto view) {
      return view.slice(Elements(part.begin - own.begin), Elements(part.size()));
    };
    auto on = whole;
    std::array<View, kernels::most_states> states;
    std::ranges::transform(whole.states, states.begin(), slice);
    on.w = slice(whole.w), on.g = slice(whole.g);
    on.states = std::span(states).first(whole.states.size());
    if (has_direction) on.scale = {};
    if (has_direction || !tensor.is_vector) on.squares = norms;
    backend_.update(optimizer, on);
  }
}

/// A part of what this rank has of a bucket's parameters.
View Executor::parameters_of(const step::Bucket& bucket, Range part, Bound& bound) const {
  const auto first = program_.holds_share(bucket) ? program_.own(bucket, axes_.at().data).begin : 0;
  return of_bucket(bound.slot(bucket.parameters), first, part);
}

void Executor::combine(const step::Instruction& instruction, Bound& bound) {
  const auto& parts = program_.chunk_gradients[*instruction.chunk];
  for (std::size_t i = 0; i < parts.size(); ++i)
    copy_elements(backend_, bound.slot(instruction.reads[i]).slice(parts[i].first, parts[i].count),
                  bound.slot(instruction.writes[i]).slice(parts[i].first, parts[i].count), Write::accumulate);
}

const ResidentData& Executor::resident(const data::Dataset& set) {
  auto& resident = resident_[&set];
  if (!resident) resident = std::make_unique<ResidentData>(device_, set);
  return *resident;
}

void Executor::compute(const step::Instruction& instruction, Bound& bound, const Batch& batch) {
  switch (instruction.kind) {
    case Kind::load:
      return load(instruction, bound, batch);
    case Kind::loss:
      return loss(instruction, bound, batch);
    case Kind::convert:
    case Kind::pack:
    case Kind::unpack:
      return move(instruction, bound);
    case Kind::forward:
      return forward(instruction, bound);
    case Kind::backward:
      return backward(instruction, bound);
    case Kind::average:
      return average(instruction, bound);
    case Kind::encode:
      return encode(instruction, bound);
    case Kind::decode:
      return decode(instruction, bound);
    case Kind::sum:
      return sum(instruction, bound);
    case Kind::share:
      return share(instruction, bound);
    case Kind::norm:
      return norm(instruction, bound);
    case Kind::update:
      return update(instruction, bound);
    case Kind::combine:
      return combine(instruction, bound);
    case Kind::start:
    case Kind::wait:
      break;
  }
  throw base::ContractError("a compute instruction was expected");
}

}  // namespace partita::execute
