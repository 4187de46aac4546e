/// How long messages and accesses to shared windows take on a machine, in the parts in which they happen: on
/// the core that sends, on the way, on the core that receives.
///
/// After LogGOPS (Hoefler, Schneider, Lumsdaine 2010, doi:10.1145/1851476.1851564): o is `send` and
/// `receive`, O their part that grows with the bytes, L and G make up `transit`, S is where `rendezvous`
/// begins, g is `gap`.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "partita/kernels/count.hpp"
#include "partita/machine/topology.hpp"

namespace partita::machine {

/// Whole, so that sums do not depend on their order.
using Picoseconds = std::int64_t;

/// To the nearest; eleven days at most, so that sums are finite, however slow a machine is said to be.
Picoseconds picoseconds(double seconds);
/// The time so many times, to the nearest, with the same bound.
Picoseconds scaled(Picoseconds, double factor);
/// As programs show it. Different times stay different up to half an hour.
constexpr double seconds_of(Picoseconds time) { return static_cast<double>(time) * 1e-12; }

/// Messages from `min_bytes` on, up to those of the next protocol.
struct Protocol {
  kernels::Bytes min_bytes{};
  double send_seconds = 0, send_byte_seconds = 0;  ///< of the sender's core
  double latency_seconds = 0, byte_seconds = 0;    ///< on the way
  double receive_seconds = 0, receive_byte_seconds = 0;
  double gap_seconds = 0;   ///< between two messages of a unit of the level below, in each direction
  bool rendezvous = false;  ///< nothing leaves before the receive is posted
  friend bool operator==(const Protocol&, const Protocol&) = default;
};

/// What joins units of the level below: cores to a node, nodes to a cluster. The innermost level that has two
/// ranks in one unit carries what they exchange.
struct Level {
  std::string name;
  std::int64_t ranks = std::numeric_limits<std::int64_t>::max();  ///< of one unit; the outermost has all
  std::vector<Protocol> protocols;                                ///< by `min_bytes`, the first from 0
  Topology topology;                                              ///< of the units of the level below
  friend bool operator==(const Level&, const Level&) = default;
};

/// One message.
struct MessageTime {
  Picoseconds send = 0;     ///< of the sender's core, until the message is on its way
  Picoseconds latency = 0;  ///< until its first byte arrives
  Picoseconds bytes = 0;    ///< and from then on until its last
  Picoseconds receive = 0;  ///< of the receiver's core, once it is there
  Picoseconds gap = 0;      ///< until its unit's next message can leave, and the target's next one arrive
  bool rendezvous = false;
};

/// Accesses to a window that ranks of a node share, of rounds that move at least `min_bytes`.
struct WindowAccess {
  kernels::Bytes min_bytes{};
  double stage_byte_seconds = 0;  ///< to copy into the own segment
  double load_byte_seconds = 0;   ///< to load, own or others', and combine
  double store_byte_seconds = 0;  ///< to store into another's
  friend bool operator==(const WindowAccess&, const WindowAccess&) = default;
};

/// One round in a window.
struct WindowTime {
  Picoseconds stage = 0;   ///< before the own flag is set
  Picoseconds flag = 0;    ///< until the others see it
  Picoseconds access = 0;  ///< loads and stores, when all flags are seen
};

/// What a core does besides, each time.
struct Overheads {
  double start_seconds = 0;  ///< of a transfer
  double wait_seconds = 0;   ///< for one, beyond what the transfer takes
  double poll_seconds = 0;   ///< to look whether a transfer under way goes on
  double step_seconds = 0;   ///< between two steps
  friend bool operator==(const Overheads&, const Overheads&) = default;
};

/// Who moves transfers on while kernels compute: somebody else, at once; or the core itself, between two
/// instructions and while it waits.
enum class Progress { independent, polled };

}  // namespace partita::machine
