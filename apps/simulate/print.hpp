/// What a prediction says, for people.
#pragma once

#include <iosfwd>

#include "partita/predict/prediction.hpp"

namespace partita::simulate {

void print(std::ostream&, const predict::Subject&, const predict::Supposed&, const predict::Prediction&,
           std::int64_t samples_of_epoch);

}  // namespace partita::simulate
