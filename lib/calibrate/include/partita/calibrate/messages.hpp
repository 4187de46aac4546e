/// What a message takes between two ranks: of the sender's core, of the receiver's, on the way; and where the
/// library changes its protocol.
#pragma once

#include <vector>

#include "partita/calibrate/group.hpp"
#include "partita/machine/machine.hpp"

namespace partita::calibrate {

struct MessageOptions {
  std::uint64_t seed = 1;
  int sizes = 48;
  std::int64_t most_bytes = 64 << 20;
  double seconds = 10;  ///< after which no other size is begun
};

/// Of messages of one size, lower quartiles.
struct MessageSample {
  std::int64_t bytes = 0;
  double send_seconds = 0;     ///< of the call that starts it
  double receive_seconds = 0;  ///< of one that has come
  double one_way_seconds = 0;  ///< half of a ping-pong
  bool eager = true;           ///< it leaves though nobody receives
};

/// Sizes in order, drawn evenly by their logarithm and measured in any order; then those between which the
/// protocol changes, halved until it is known. Of ranks `a` and `b`, on `a`; nothing on the others, which
/// sleep. Collective over `world`.
std::vector<MessageSample> measure_messages(comm::Communicator& world, int a, int b, const MessageOptions&);

/// The protocols that explain samples in order of their bytes.
/// `overheads` are those of transfers, and no part of a message.
std::vector<machine::Protocol> protocols_of(const std::vector<MessageSample>&,
                                            const machine::Overheads& overheads);

}  // namespace partita::calibrate
