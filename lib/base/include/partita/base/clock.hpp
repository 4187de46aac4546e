/// The one clock of all measurements: monotonic, seconds since an arbitrary start of this host.
#pragma once

namespace partita::base {

/// A program that links a definition of its own measures on that clock.
double now_seconds();

}  // namespace partita::base
