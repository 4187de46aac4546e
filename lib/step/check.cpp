/// Finds what would make a program fail: a slot smaller or larger than its instruction needs, a range outside
/// its buffer. Sizes are computed from layers and placements, beside the code that made the slots.
#include "partita/step/check.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <stdexcept>
#include <utility>

#include "pairing.hpp"
#include "partita/kernels/strided_block.hpp"
#include "partita/model/layer_kind.hpp"
#include "partita/step/compression.hpp"

namespace partita::step {
namespace {

using collective::Operation;

bool is_inside(const kernels::BlockExtents& extents, const kernels::StridedBlock& block, Elements held) {
  if (kernels::is_empty(extents)) return true;
  try {
    kernels::expect_inside(extents, block, held);
  } catch (const std::out_of_range&) {
    return false;
  }
  return true;
}

/// One program with micro-batches of one size.
class Checker {
 public:
  Checker(const Program& program, const model::ModelSpec& model, std::int64_t samples)
      : p_(program), model_(model), samples_(samples) {}

  std::vector<std::string> faults() {
    for (std::size_t i = 0; i < p_.instructions.size(); ++i) {
      at_ = i;
      if (names_slots(p_.instructions[i]))
        check(p_.instructions[i]);
      else
        require(false, "names no slot");
    }
    return std::move(found_);
  }

 private:
  void require(bool holds, const std::string& what) {
    if (holds) return;
    const auto& i = p_.instructions[at_];
    std::string where = "instruction " + std::to_string(at_) + " (" + std::string(to_string(i.kind));
    if (i.unit) where += " " + name_of(p_.units[*i.unit], model_);
    found_.push_back(where + ") of stage " + std::to_string(p_.at.pipeline) + ", tensor rank " +
                     std::to_string(p_.at.tensor) + " with " + std::to_string(samples_) +
                     " samples: " + what);
  }
  void require_equal(std::int64_t held, std::int64_t needed, const std::string& what) {
    require(held == needed,
            what + " has " + std::to_string(held) + " elements instead of " + std::to_string(needed));
  }

  [[nodiscard]] bool names_slots(const Instruction& i) const {
    const auto is_slot = [&](SlotId s) { return p_.slots.has(s); };
    return std::all_of(i.reads.begin(), i.reads.end(), is_slot) &&
           std::all_of(i.writes.begin(), i.writes.end(), is_slot);
  }
  [[nodiscard]] std::int64_t held(std::optional<SlotId> slot) const {
    return slot ? p_.elements(p_.slots[*slot], samples_).value() : 0;
  }
  [[nodiscard]] std::int64_t share(bool of_batch) const {
    return of_batch ? topology::share(p_.at.tensor, p_.grid.tensor, samples_).size() : samples_;
  }

  void check(const Instruction& i) {
    switch (i.kind) {
      case Kind::load:
        return check_load(i);
      case Kind::loss:
        return check_loss(i);
      case Kind::forward:
      case Kind::backward:
        return check_unit(i);
      case Kind::convert:
      case Kind::pack:
      case Kind::unpack:
        return check_moves(i);
      case Kind::combine:
        return check_combine(i);
      case Kind::average:
        return check_average(i);
      case Kind::encode:
      case Kind::decode:
        return check_code(i);
      case Kind::sum:
        return check_sum(i);
      case Kind::share:
        return check_share(i);
      case Kind::norm:
        return check_norm(i);
      case Kind::update:
        return check_update(i);
      case Kind::start:
      case Kind::wait:
        return check_transfer(p_.transfers[*i.transfer]);
    }
  }

  /// Whether a slot of the run lies in the vector of its role.
  [[nodiscard]] bool in_vector(SlotId slot) const {
    const auto& s = p_.slots[slot];
    const auto all = [&] {
      switch (s.role) {
        case SlotRole::parameters:
          return p_.held_count;
        case SlotRole::residual:
          return p_.residual_count;
        case SlotRole::basis:
          return p_.basis_count;
        case SlotRole::optimizer_state:
          return p_.state_count;
        case SlotRole::anchor:
        case SlotRole::outer_velocity:
          return p_.outer_count;
        default:
          return p_.gradient_count;
      }
    }();
    return s.first >= Elements(0) && s.first + s.fixed <= all;
  }

  void check_combine(const Instruction& i) {
    const auto& parts = p_.chunk_gradients[*i.chunk];
    require_equal(std::ssize(i.reads), std::ssize(parts), "what is added");
    require_equal(std::ssize(i.writes), std::ssize(parts), "what is added to");
    for (const auto* slots : {&i.reads, &i.writes})
      for (std::size_t k = 0; k < std::min(slots->size(), parts.size()); ++k)
        require(in_vector((*slots)[k]) && (parts[k].first + parts[k].count).value() <= held((*slots)[k]),
                "leaves the gradients");
  }

  void check_sum(const Instruction& i) {
    const auto& bucket = p_.buckets[*i.bucket];
    require(i.reads == bucket.gradients && i.writes == std::vector{bucket.gradients.front()},
            "is of another bucket");
    for (const auto slot : i.reads) {
      require(in_vector(slot), "leaves what was pushed");
      require_equal(held(slot), bucket.share.value(), "a push");
    }
  }

  void check_answer(const Instruction& i, const Bucket& bucket) {
    require(i.reads == std::vector{bucket.parameters}, "is of another bucket");
    require(in_vector(i.writes.front()), "leaves the answers");
    require_equal(held(i.writes.front()), bucket.share.value(), "an answer");
    require_equal(held(bucket.parameters), bucket.share.value(), "its share");
  }

  void check_share(const Instruction& i) {
    const auto& bucket = p_.buckets[*i.bucket];
    if (std::ranges::count(bucket.answers, i.writes.front()) > 0) return check_answer(i, bucket);
    if (std::ssize(i.reads) != 1 || std::ssize(i.writes) != 1)
      return require(false, "copies more than one share");
    const bool gathers = i.reads.front() == bucket.parameters;
    const SlotId whole = gathers ? i.writes.front() : i.reads.front();
    const SlotId share = gathers ? i.reads.front() : i.writes.front();
    require(gathers ? p_.slots[whole].gathered_from == share
                    : whole == bucket.gradients.front() && share == bucket.kept_gradients,
            "is of another bucket");
    require(in_vector(share) && (gathers || in_vector(whole)), "leaves parameters or gradients");
    require_equal(held(whole), bucket.count.value(), "its bucket");
    require_equal(held(share), bucket.share.value(), "its share");
  }

  void check_average(const Instruction& i) {
    const auto& bucket = p_.buckets[*i.bucket];
    if (!bucket.averaging) return require(false, "is of a bucket that is not averaged");
    const auto& a = *bucket.averaging;
    require(i.in == StepKinds{StepKind::averaging}, "is in other steps than those that average");
    require_equal(held(bucket.parameters), bucket.count.value(), "what is averaged");
    auto expected = i.phase == Phase::finish ? a.reset_states : std::vector{bucket.parameters};
    if (i.phase == Phase::none)
      expected.insert(expected.end(), a.averaged_states.begin(), a.averaged_states.end());
    else if (a.anchor && a.velocity)
      expected.insert(expected.end(), {bucket.parameters, *a.anchor, *a.velocity});
    require(i.writes == expected && i.reads == expected, "is of another bucket");
    for (const auto slot : i.writes) {
      require(in_vector(slot), "leaves what it averages");
      require_equal(held(slot), bucket.count.value(), "what goes with the parameters");
    }
  }

  /// The slot of a bucket's gradients that an update, or a norm, reads: the other buffer where updates are
  /// delayed and the step is an even one.
  [[nodiscard]] SlotId used_gradients(const Instruction& i, const Bucket& bucket) const {
    const bool second = p_.cadence.is_delayed && i.in.has(StepKind::even);
    if (i.turn) return bucket.gradients[static_cast<std::size_t>(i.turn->worker)];
    return bucket.kept_gradients.value_or(bucket.gradients[second ? 1 : 0]);
  }

  /// Gradients, or losses, and the message in their place.
  void check_masked(const Instruction& i) {
    const bool encodes = i.kind == Kind::encode;
    const auto &plain = encodes ? i.reads : i.writes, &messages = encodes ? i.writes : i.reads;
    if (std::ssize(plain) != 1 || std::ssize(messages) != 1) return require(false, "is of more than one sum");
    if (!i.bucket) {
      require(p_.secret_losses && messages.front() == p_.secret_losses->message &&
                  plain.front() == p_.metric_slot,
              "is of other sums");
      require_equal(held(p_.metric_slot), 2, "the sums of losses");
      return require_equal(held(messages.front()), 5, "what is sent in their place");
    }
    const auto& bucket = p_.buckets[*i.bucket];
    if (!bucket.coding) return require(false, "is of a bucket without codes");
    const auto& masked = bucket.coding->masked;
    const auto buffer = std::ranges::find(masked, messages.front()) - masked.begin();
    require(
        buffer < std::ssize(masked) && plain.front() == bucket.gradients[static_cast<std::size_t>(buffer)],
        "is of another bucket");
    require_equal(held(plain.front()), bucket.count.value(), "its bucket");
    require_equal(held(messages.front()), bucket.count.value(), "its message");
  }

  void check_code(const Instruction& i) {
    if (p_.compression.is_secure()) return check_masked(i);
    const auto& bucket = p_.buckets[*i.bucket];
    if (!bucket.coding) return require(false, "is of a bucket without codes");
    const auto& c = *bucket.coding;
    const auto is_own = [&](SlotId s) {
      return std::ranges::count(bucket.gradients, s) > 0 || s == p_.loss_scale_slot ||
             std::ranges::count(
                 std::array{c.residual, c.to_owners, c.from_ranks, c.to_all, c.left, c.right, c.basis},
                 std::optional(s)) > 0;
    };
    for (const auto* slots : {&i.reads, &i.writes})
      require(std::ranges::all_of(*slots, is_own), "is of another bucket");
    require_equal(held(bucket.gradients.front()), bucket.count.value(), "its bucket");
    if (c.residual) require(in_vector(*c.residual), "leaves the residuals");
    if (c.residual) require_equal(held(c.residual), bucket.count.value(), "its residual");
    if (c.basis) require(in_vector(*c.basis), "leaves the basis");
    if (p_.compression.codec == kernels::Codec::powersgd) {
      std::int64_t left = 0, right = 0;
      for (const auto& tensor : factored_of(p_, bucket))
        left += tensor.in_left().value(), right += tensor.in_right().value();
      require_equal(held(c.left), left, "its left factors");
      require_equal(held(c.right), right, "its right factors");
      require_equal(held(c.basis), right, "its basis");
      return;
    }
    const int ranks = p_.grid.along(bucket.axis);
    if (c.to_all) require_equal(held(c.to_all), cuts_to_all(p_, bucket).back(), "what all are told");
    for (int place = 0; place < ranks && c.to_owners; ++place) {
      require(held(c.to_owners) >= cuts_to_owners(p_, bucket).back(), "what owners are told has no room");
      require(held(c.from_ranks) >= cuts_from_ranks(p_, bucket, place).back(), "what ranks tell has no room");
    }
  }

  void check_update(const Instruction& i) {
    const auto& bucket = p_.buckets[*i.bucket];
    const bool takes_norms = i.phase == Phase::statistics;
    const SlotId gradients = used_gradients(i, bucket);
    std::vector reads{gradients, i.turn ? i.reads[1] : p_.metric_slot};
    if (p_.scale_slot && !i.turn) reads.push_back(*p_.scale_slot);
    if (takes_norms) reads.push_back(bucket.parameters);
    const SlotId totals = bucket.tensor_squares.value_or(SlotId()),
                 sums = bucket.share_squares.value_or(totals);
    if (i.phase == Phase::finish) reads.push_back(sums);
    std::vector writes = takes_norms ? std::vector{gradients, sums} : std::vector{bucket.parameters};
    if (i.phase == Phase::finish && bucket.share_squares) writes.push_back(totals);
    if (i.reads != reads || i.writes != writes)
      return require(false, "is of another bucket, or does not read the loss and what clips");
    require((i.phase == Phase::none) != bucket.tensor_squares.has_value(),
            "has no norms, or does not use them");
    if (bucket.tensor_squares)
      require_equal(held(*bucket.tensor_squares), 2 * std::ssize(bucket.tensors), "the norms of its tensors");
    if (bucket.share_squares)
      require_equal(held(*bucket.share_squares), 2 * std::ssize(bucket.tensors) * p_.grid.along(bucket.axis),
                    "the sums of shares");
    Elements parameters{};
    for (const auto u : bucket.units)
      parameters += p_.parameters[u].count();
    require(in_vector(bucket.parameters), "leaves the parameters");
    require(in_vector(gradients), "leaves the gradients");
    require_equal(bucket.count.value(), parameters.value(), "its bucket");
    const auto parameters_of_rank = p_.holds_share(bucket) ? bucket.share : bucket.count;
    require_equal(held(bucket.parameters), parameters_of_rank.value(), "its parameters");
    const bool of_share = bucket.kept_gradients || p_.serves();
    require_equal(held(gradients), (of_share ? bucket.share : bucket.count).value(), "its gradients");
    require_equal(held(reads[1]), 2, "the sums of losses");
  }

  void check_norm(const Instruction& i) {
    if (!p_.squares_slot || !p_.scale_slot) return require(false, "has no place for its sums");
    const SlotId squares = *p_.squares_slot, scale = *p_.scale_slot;
    const auto ranks =
        p_.split == Split::none ? std::int64_t{p_.grid.pipeline} * p_.grid.tensor : p_.grid.size();
    require_equal(held(squares), ranks * p_.norm_parts, "the sums of squares");
    require_equal(held(scale), 2, "the norm");
    if (i.phase == Phase::finish) {
      std::vector reads{squares}, writes{scale};
      if (p_.loss_scale_slot) reads.push_back(*p_.loss_scale_slot), writes.push_back(*p_.loss_scale_slot);
      return require(i.reads == reads && i.writes == writes, "is of other sums");
    }
    require(i.writes == std::vector{squares}, "adds to other sums");
    if (!i.bucket) return;
    const auto& bucket = p_.buckets[*i.bucket];
    require(i.reads == std::vector{used_gradients(i, bucket)}, "is of another bucket");
  }

  void check_load(const Instruction& i) {
    const auto& slot = p_.slots[i.writes.front()];
    const bool labels = slot.role == SlotRole::labels;
    const bool classes = labels && model_.loss == model::Loss::cross_entropy;
    const auto each = (labels ? model_.layers.back().output : model_.input).elements().value();
    require_equal(held(i.writes.front()), share(slot.batch_share) * (classes ? 1 : each),
                  std::string(to_string(slot.role)));
  }

  void check_loss(const Instruction& i) {
    const auto j = *i.microbatch;
    const auto outputs =
        storage_of(p_.loss_placement, model_.layers.back().output, p_.at.tensor, p_.grid.tensor, samples_)
            .elements();
    require_equal(held(p_.loss_slot[j]), outputs, "the network's output");
    if (p_.training) require_equal(held(p_.loss_gradient_slot[j]), outputs, "its gradient");
    require_equal(held(p_.metric_slot), 2, "the sums of losses");
    const bool labels_shared = p_.slots[p_.labels_slot[j]].batch_share;
    require(labels_shared == (p_.loss_placement.spread == Spread::batch), "labels are of other samples");
    if (p_.loss_placement.spread == Spread::channel)
      require_equal(held(p_.statistics_slot[j]), 3 * samples_ * p_.grid.tensor, "statistics");
  }

  void check_unit(const Instruction& i) {
    const auto& unit = p_.units[*i.unit];
    const auto& s = p_.tensors[*i.unit][*i.microbatch];
    const auto n = unit.idle ? 0 : share(cuts_of(unit.variant).samples);
    const auto in = n * unit.local.input.elements().value(), out = n * unit.local.output.elements().value();
    const auto output = unit.local.description().output;
    require(unit.idle || output == nullptr || output(unit.local) == unit.local.output,
            "its share of the input gives an output of another shape");
    const bool forward = i.kind == Kind::forward, data = i.phase == Phase::data;
    if (forward || i.phase == Phase::parameters || i.phase == Phase::statistics)
      require_equal(held(s.x), in, "its input");
    if (forward || i.phase == Phase::activation) require_equal(held(s.y), out, "its output");
    if (!forward) require_equal(held(s.dy), out, "its output's gradient");
    if (data) require_equal(held(s.dx), in, "its input's gradient");
    const auto& saved = unit.local.description().saved;
    require_equal(std::ssize(s.saved), std::ssize(saved), "what it saves");
    for (std::size_t t = 0; t < std::min(s.saved.size(), saved.size()); ++t)
      require_equal(held(s.saved[t]), out, "its " + std::string(saved[t].name));
    check_statistics(i, unit, s);
    check_parameters(i, unit);
  }

  void check_parameters(const Instruction& i, const Unit& unit) {
    const auto& range = p_.parameters[*i.unit];
    const auto parameters = unit.local.parameters();
    require_equal(std::ssize(range.tensors), std::ssize(parameters), "its parameters");
    for (std::size_t t = 0; t < std::min(range.tensors.size(), parameters.size()); ++t) {
      const auto& tensor = range.tensors[t];
      const bool trained = unit.local.trains(parameters[t]);
      require(tensor.trained == trained, "its parameters are not those that it trains");
      for (const auto slot : i.reads)
        if (p_.slots[slot].role == SlotRole::parameters && p_.holds(slot, tensor))
          require(has_room(slot, tensor), "leaves the parameters");
      if (trained && i.phase == Phase::parameters)
        require(has_room(i.writes.front(), tensor) && in_vector(i.writes.front()), "leaves the gradients");
      require_equal(tensor.count.value(), parameters[t].shape.elements().value(),
                    "its " + std::string(parameters[t].name));
    }
  }
  /// Whether a slot of parameters, or of gradients, has place for a tensor.
  [[nodiscard]] bool has_room(SlotId slot, const TensorRange& tensor) const {
    const bool lies_there = p_.slots[slot].lifetime == Lifetime::step || in_vector(slot);
    return lies_there && tensor.offset >= Elements(0) && (tensor.offset + tensor.count).value() <= held(slot);
  }

  void check_statistics(const Instruction& i, const Unit& unit, const UnitSlots& s) {
    const auto sums = p_.training ? unit.local.statistics().value() : 0;
    require_equal(held(s.statistics), sums, "its statistics");
    if (i.kind == Kind::backward && i.phase != Phase::activation)
      require_equal(held(s.gradient_sums), sums, "its sums of gradients");
  }

  void check_moves(const Instruction& i) {
    const auto& c = p_.conversions[*i.conversion];
    const int rank = p_.at.tensor, ranks = p_.grid.tensor;
    const SlotId source = i.reads.back(), target = i.writes.front();
    const auto stored = [&](const Placement& placement) {
      return storage_of(placement, c.shape, rank, ranks, samples_).elements();
    };
    const bool packs = i.kind == Kind::pack;
    require_equal(held(source), stored(c.from), "the source of a conversion");
    if (!packs) require_equal(held(target), stored(c.to), "the target of a conversion");
    const SlotId buffer = packs ? target : i.reads.front();
    const auto of = [&](Memory memory) {
      return memory == Memory::source ? source : memory == Memory::target ? target : buffer;
    };
    if (exchange_of(c.from, c.to) == Exchange::keep) return;
    const auto moves = (packs ? pack_moves : unpack_moves)(c, rank, ranks, samples_, p_.layout);
    for (const auto& m : moves) {
      require(is_inside(m.extents, m.source, Elements(held(of(m.from)))),
              "a piece leaves what it is read from");
      require(is_inside(m.extents, m.target, Elements(held(target))), "a piece leaves what it is written to");
    }
  }

  void check_transfer(const Transfer& t) {
    const int rank = p_.at.tensor, ranks = p_.grid.tensor;
    if (!t.conversion) return;
    const auto& c = p_.conversions[*t.conversion];
    if (t.operation == Operation::all_reduce)
      return require_equal(held(t.slot), c.shape.elements().value() * samples_, "what is reduced");
    require_equal(held(t.slot), message_elements(c, End::send, rank, ranks, samples_), "what is sent");
    if (t.target)
      require_equal(held(t.target), message_elements(c, End::receive, rank, ranks, samples_),
                    "what is received");
  }

  const Program& p_;
  const model::ModelSpec& model_;
  std::int64_t samples_;
  std::size_t at_ = 0;
  std::vector<std::string> found_;
};

void append(std::vector<std::string>& all, std::vector<std::string> more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

std::set<std::int64_t> microbatch_sizes(const Program& program, int data_rank, std::int64_t batch) {
  std::set<std::int64_t> sizes;
  for (const auto j : program.microbatch_ids())
    sizes.insert(program.microbatch(j, data_rank, batch).size());
  return sizes;
}

}  // namespace

std::vector<std::string> faults_of(const Program& program, const model::ModelSpec& model,
                                   std::int64_t samples) {
  return Checker(program, model, samples).faults();
}

std::vector<std::string> faults_of(const Program& program, const model::ModelSpec& model, int data_rank,
                                   std::int64_t batch) {
  std::vector<std::string> found;
  for (const auto samples : microbatch_sizes(program, data_rank, batch))
    append(found, faults_of(program, model, samples));
  return found;
}

std::vector<std::string> faults_of(const ProgramsByRank& programs, const model::ModelSpec& model,
                                   std::int64_t batch) {
  std::set<std::pair<const Program*, std::int64_t>> seen;  // ranks of one role share their program
  std::vector<std::string> found;
  for (int r = 0; r < static_cast<int>(programs.size()); ++r) {
    const auto& program = *programs[static_cast<std::size_t>(r)];
    for (const auto n : microbatch_sizes(program, topology::coordinate_of(program.grid, r).data, batch))
      if (seen.emplace(&program, n).second) append(found, faults_of(program, model, n));
  }
  if (found.empty()) found = faults_between(programs, batch);
  return found;
}

}  // namespace partita::step
