/// What a conversion becomes: nothing, a local `convert`, an all-reduce in place, or `pack`, transfer,
/// `unpack` through message slots, in which what goes to one rank lies together.
#include "exchange.hpp"

namespace partita::step {

using collective::Operation;
using collective::Purpose;
using topology::Axis;

namespace {

SlotId message_slot(Assembly& a, ConversionId conversion, End end, MicrobatchId j) {
  return a.add_slot({.role = SlotRole::message,
                     .microbatch = j,
                     .type = a.program.type,
                     .conversion = conversion,
                     .end = end});
}

}  // namespace

Begun begin(Assembly& a, const Conversion& c, SlotId source, SlotId target, bool backward, ChunkId chunk,
            MicrobatchId j) {
  const Exchange exchange = exchange_of(c.from, c.to);
  if (exchange == Exchange::none) return {};
  Begun b{.conversion = a.program.conversions.push_back(c),
          .source = source,
          .target = target,
          .chunk = chunk,
          .microbatch = j};
  const auto instruct = [&](Kind kind, SlotId from, SlotId to) {
    a.add({.kind = kind,
           .queue = Queue::copy,
           .chunk = chunk,
           .microbatch = j,
           .conversion = b.conversion,
           .reads = {from},
           .writes = {to}});
  };
  if (exchange == Exchange::keep || exchange == Exchange::local)
    return instruct(Kind::convert, source, target), Begun{};
  const bool halo = c.from.spread == Spread::window || c.to.spread == Spread::window;
  Transfer t{.axis = Axis::tensor,
             .purpose = halo       ? Purpose::halo
                        : backward ? Purpose::activation_gradient
                                   : Purpose::activation,
             .microbatch = j,
             .slot = source,
             .conversion = b.conversion};
  if (exchange == Exchange::all_reduce) {
    t.operation = Operation::all_reduce;
  } else {
    t.operation = exchange == Exchange::all_gather       ? Operation::all_gather
                  : exchange == Exchange::reduce_scatter ? Operation::reduce_scatter
                                                         : Operation::all_to_all;
    t.slot = message_slot(a, b.conversion, End::send, j);
    if (exchange == Exchange::all_to_all) t.target = message_slot(a, b.conversion, End::receive, j);
    instruct(Kind::pack, source, t.slot);
    b.received = t.target.value_or(t.slot);
  }
  b.transfer = a.add_transfer(t);
  a.start(*b.transfer);
  return b;
}

void finish(Assembly& a, const Begun& b) {
  if (!b.transfer) return;
  a.wait(*b.transfer);
  if (!b.received) return;
  a.add({.kind = Kind::unpack,
         .queue = Queue::copy,
         .chunk = b.chunk,
         .microbatch = b.microbatch,
         .conversion = b.conversion,
         .reads = {*b.received, b.source},
         .writes = {b.target}});
}
void convert(Assembly& a, const Conversion& c, SlotId source, SlotId target, bool backward, ChunkId chunk,
             MicrobatchId j) {
  finish(a, begin(a, c, source, target, backward, chunk, j));
}

}  // namespace partita::step
