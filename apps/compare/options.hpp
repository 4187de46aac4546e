/// The command line of partita-compare.
#pragma once

#include <string>
#include <vector>

#include "groups.hpp"
#include "partita/results/comparison.hpp"
#include "partita/results/reference.hpp"

namespace partita::compare {

enum class Format { table, csv, json, markdown };

struct Options {
  std::vector<GroupArgument> groups;
  Format format = Format::table;
  results::ComparisonOptions comparison;
  std::vector<results::Reference> references;
  bool gate = true;
  bool force = false;
  bool help = false, version = false;
};

/// Everything that is wrong is appended to `violations`; the files of the groups can be tried nevertheless.
Options parse(int argc, const char* const* argv, std::vector<base::Violation>& violations);

std::string usage();

}  // namespace partita::compare
