/// The values of a varied key: a list of words and ranges.
#pragma once

#include <string>
#include <vector>

#include "partita/base/error.hpp"

namespace partita::sweep {

/// Splits "0.1, 0.03, 32..256*2" at commas. A range FIRST..LAST, FIRST..LAST+STEP or FIRST..LAST*FACTOR of
/// numbers stands for what it passes on its way from FIRST, LAST included; without a step it is +1. Anything
/// else is a value as it stands, to be judged by its key. Refuses lists and elements that are empty, ranges
/// that do not come nearer to their end, and lists of more than 100,000 values.
std::vector<std::string> expand(const std::string& key, const std::string& list,
                                std::vector<base::Violation>& violations);

}  // namespace partita::sweep
