/// What a prediction says, for people.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "partita/predict/scaling.hpp"

namespace partita::simulate {

void print(std::ostream&, const predict::Subject&, const predict::Supposed&, const predict::Prediction&,
           std::int64_t samples_of_epoch);

/// "12.3 ms", in the unit in which it is easily read.
std::string duration(double seconds);

/// One line a number of ranks.
void print(std::ostream&, const std::vector<predict::ScalingRow>&);

}  // namespace partita::simulate
