/// The writers of the formats: what other simulators read of a schedule.
#pragma once

#include "partita/predict/export.hpp"

namespace partita::predict {

std::string goal_of(const Schedule&);
/// Of hosts that compute as fast as the machine's ranks.
Texts smpi_of(const Schedule&, const machine::Machine&);
Texts chakra_of(const Schedule&);

}  // namespace partita::predict
