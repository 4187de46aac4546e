/// The instructions of a conversion on the tensor axis: pack, exchange, unpack.
#pragma once

#include "assembly.hpp"

namespace partita::step {

/// A conversion whose exchange runs; −1 where there is nothing to wait for.
struct Begun {
  int conversion = -1, transfer = -1, source = -1, received = -1, target = -1, chunk = -1, microbatch = -1;
};

/// Converts between slots `source` and `target` as far as can be done before the exchange is complete.
/// `backward` says what the bytes mean.
Begun begin(Assembly&, const Conversion&, int source, int target, bool backward, int chunk, int microbatch);
void finish(Assembly&, const Begun&);
/// Both.
void convert(Assembly&, const Conversion&, int source, int target, bool backward, int chunk, int microbatch);

}  // namespace partita::step
