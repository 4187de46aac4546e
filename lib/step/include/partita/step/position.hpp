/// Where a rank is in a program, in one word that means the same on every rank of the run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "partita/step/program.hpp"

namespace partita::step {

/// Kind, phase, layer and micro-batch of an instruction, and whether the program trains; never 0.
std::uint64_t position_of(const Program&, const Instruction&);

/// "in `backward conv2 data mb 3`"; "in `forward conv1` of an evaluation". `layers` are the model's names.
std::string name_of_position(std::uint64_t position, const std::vector<std::string>& layers);

}  // namespace partita::step
