/// What a benchmark measured as lines to append to a machine file.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "partita/calibrate/provenance.hpp"
#include "partita/machine/machine.hpp"

namespace partita::calibrate {

/// To four digits: no figure is known better, and files of many rows stay short.
double rounded(double figure);

/// Median and quartiles of a kernel's runs, rounded.
machine::KernelTime time_of(const machine::KernelKey&, std::span<const double> seconds);

/// The optional statements of the machine behind comments: what they are, by which command line, and where
/// they come from. They read back behind the statements that a machine must have, or that is a broken
/// contract.
std::string rows_text(const machine::Machine& rows, const std::string& what, const std::string& command_line,
                      const std::vector<std::string>& hosts, const Loads&);

}  // namespace partita::calibrate
