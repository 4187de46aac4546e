/// The instructions of a conversion on the tensor axis: pack, exchange, unpack.
#pragma once

#include "assembly.hpp"

namespace partita::step {

/// A conversion whose exchange runs, if there is something to wait for.
struct Begun {
  ConversionId conversion = {};
  std::optional<TransferId> transfer = {};
  SlotId source = {};
  std::optional<SlotId> received = {};  ///< to be unpacked
  SlotId target = {};
  ChunkId chunk = {};
  MicrobatchId microbatch = {};
};

/// Converts between slots `source` and `target` as far as can be done before the exchange is complete.
/// `backward` says what the bytes mean.
Begun begin(Assembly&, const Conversion&, SlotId source, SlotId target, bool backward, ChunkId chunk,
            MicrobatchId microbatch);
void finish(Assembly&, const Begun&);
/// Both.
void convert(Assembly&, const Conversion&, SlotId source, SlotId target, bool backward, ChunkId chunk,
             MicrobatchId microbatch);

}  // namespace partita::step
