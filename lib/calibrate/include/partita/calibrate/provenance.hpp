/// Where, when and beside what a machine was measured.
#pragma once

#include <string>
#include <vector>

#include "partita/machine/machine.hpp"

namespace partita::calibrate {

/// Processes that want to run, the mean of the last minute; negative where the system does not say.
double load();

/// Of what a calibration was beside.
struct Loads {
  double before = 0, after = 0;
  int own = 1;  ///< cores of a node that the calibration itself kept busy, at most
};

/// `hosts`: of the ranks.
machine::Provenance provenance_of(const std::vector<std::string>& hosts, const Loads&);

/// Why the figures may not be the machine's own; empty where no reason is known.
std::string warning_of(const Loads&);

}  // namespace partita::calibrate
