/// What works on micro-batches: samples and losses, layers, conversions and their transfers.
#include <algorithm>
#include <stdexcept>

#include "checker.hpp"
#include "partita/kernels/strided_block.hpp"
#include "partita/model/layer_kind.hpp"

namespace partita::step {

using collective::Operation;

namespace {

bool is_inside(const kernels::BlockExtents& extents, const kernels::StridedBlock& block, Elements held) {
  if (kernels::is_empty(extents)) return true;
  try {
    kernels::expect_inside(extents, block, held);
  } catch (const std::out_of_range&) {
    return false;
  }
  return true;
}

}  // namespace

void Checker::check_load(const Instruction& i) {
  const auto& slot = p_.slots[i.writes.front()];
  const bool labels = slot.role == SlotRole::labels;
  const bool classes = labels && model_.loss == model::Loss::cross_entropy;
  const auto each = (labels ? model_.layers.back().output : model_.input).elements().value();
  require_equal(held(i.writes.front()), share(slot.batch_share) * (classes ? 1 : each),
                std::string(to_string(slot.role)));
}

void Checker::check_loss(const Instruction& i) {
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

void Checker::check_unit(const Instruction& i) {
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

void Checker::check_parameters(const Instruction& i, const Unit& unit) {
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

bool Checker::has_room(SlotId slot, const TensorRange& tensor) const {
  const bool lies_there = p_.slots[slot].lifetime == Lifetime::step || in_vector(slot);
  return lies_there && tensor.offset >= Elements(0) && (tensor.offset + tensor.count).value() <= held(slot);
}

void Checker::check_statistics(const Instruction& i, const Unit& unit, const UnitSlots& s) {
  const auto sums = p_.training ? unit.local.statistics().value() : 0;
  require_equal(held(s.statistics), sums, "its statistics");
  if (i.kind == Kind::backward && i.phase != Phase::activation)
    require_equal(held(s.gradient_sums), sums, "its sums of gradients");
}

void Checker::check_moves(const Instruction& i) {
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

void Checker::check_transfer(const Transfer& t) {
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

}  // namespace partita::step
