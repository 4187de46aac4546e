/// The command line of partita-compare.
#pragma once

#include <string>
#include <vector>

#include "partita/results/comparison.hpp"

namespace partita::compare {

enum class Format { table, csv, json };

/// A group as named on the command line: "fast=a.h5,b.h5", or one file.
struct GroupArgument {
  std::string name;
  std::vector<std::string> files;
};

struct Options {
  std::vector<GroupArgument> groups;
  Format format = Format::table;
  results::ComparisonOptions comparison;
  bool gate = true;
  bool force = false;
  bool help = false, version = false;
};

/// Throws `base::ConfigError` with everything that is wrong.
Options parse(int argc, const char* const* argv);

std::string usage();

}  // namespace partita::compare
