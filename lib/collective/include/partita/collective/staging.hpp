/// What a run of rounds copies between a device and the host when its buffer lies on a device that
/// messages cannot leave: each element goes to the host at most once, in the order in which rounds need it,
/// and back once it will not change any more. So copies overlap with the rounds before and after them.
#pragma once

#include "partita/collective/rounds.hpp"

namespace partita::collective {

/// How messages leave buffers on a device and reach them: `staged` through images on the host, `direct` by a
/// library that reaches the device's memory itself, `ipc` by no message at all, ranks of a node load from
/// each other's memory. `automatic` is the last of these that works.
enum class DeviceMessages { automatic, staged, direct, ipc };

std::string_view to_string(DeviceMessages);

/// Copies around one round; ranges count elements of the buffer.
struct StagedRound {
  std::vector<Range> fetch;  ///< device → host, before the round begins
  std::vector<Range> store;  ///< host → device, when it is over
};

/// By round. `elements` of the buffer; `in_place`: what is received lands in the buffer that is sent from.
///
/// Where other ranks store into this one's buffer (window rounds), all of it is fetched before the first
/// round and stored after the last.
std::vector<StagedRound> staging_of(const Rounds&, std::int64_t elements, bool in_place);

/// Elements copied either way.
kernels::Elements staged_elements(const std::vector<StagedRound>&);

}  // namespace partita::collective
