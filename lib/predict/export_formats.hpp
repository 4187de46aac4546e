/// The writers of the formats: what other simulators read of a schedule.
#pragma once

#include "partita/predict/export.hpp"

namespace partita::predict {

std::string goal_of(const Schedule&);
/// `flops_per_second`: of the hosts.
Texts smpi_of(const Schedule&, double flops_per_second);
Texts chakra_of(const Schedule&);

}  // namespace partita::predict
