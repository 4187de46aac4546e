/// What a prediction says, for people.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "options.hpp"
#include "partita/predict/noise.hpp"
#include "partita/predict/scaling.hpp"

namespace partita::simulate {

void print(std::ostream&, const predict::Subject&, const predict::Supposed&, const predict::Prediction&,
           std::int64_t samples_of_epoch);

/// How far steps scatter.
void print_noise(std::ostream&, const predict::Subject&, const predict::Supposed&, std::int64_t batch,
                 const predict::Noise&);

/// When to checkpoint on so many nodes, and what is left of the time.
void print_failures(std::ostream&, const predict::Subject&, const machine::Checkpoint&, const NodeFailures&,
                    int nodes);
/// "12.3 ms", in the unit in which it is easily read.
std::string duration(double seconds);

/// One line a number of ranks.
void print(std::ostream&, const std::vector<predict::ScalingRow>&);

}  // namespace partita::simulate
