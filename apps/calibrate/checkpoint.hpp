/// How fast the state of a training is stored.
#pragma once

#include <filesystem>

#include "partita/machine/machine.hpp"

namespace partita::calibrate {

/// Writes shards of checkpoints as a training does (built, summed, written, forced to the disk) into a folder
/// `.NAME.checkpoint` beside the file NAME, which is removed again: of `bytes` bytes and of a hundredth of
/// them, medians of three. Throws as a checkpoint does that cannot be written.
machine::Checkpoint measure_checkpoint(const std::filesystem::path& file, kernels::Bytes bytes);

}  // namespace partita::calibrate
