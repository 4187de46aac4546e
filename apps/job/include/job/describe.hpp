/// What a run would do, without doing it: the text of --dry-run and --print-program.
#pragma once

#include <functional>
#include <string>

#include "job/record.hpp"

namespace partita::job {

/// A split, the algorithm of its all-reduces, and the program that each role runs.
struct Description {
  Split split;
  collective::Algorithm algorithm;
  std::function<step::Program(const topology::Coordinate&)> program_at;
};

/// What --dry-run and --print-program ask for: grid and model; of every role (stage and share on the tensor
/// axis) its layers with the shapes of their shards, parameters, memory by kind, and the payload of a step by
/// axis, operation and purpose; the instructions of one rank's step.
std::string describe(const config::RunOptions&, const Description&);

}  // namespace partita::job
