/// The table of plans, for people.
#pragma once

#include <iosfwd>

#include "partita/predict/search.hpp"

namespace partita::plan_app {

void print(std::ostream&, const predict::Plans&, const predict::SearchOptions&);

}  // namespace partita::plan_app
