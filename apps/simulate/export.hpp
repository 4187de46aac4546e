/// What other simulators read of a prediction, as files that are there whole or not at all.
#pragma once

#include <filesystem>
#include <iosfwd>
#include <vector>

#include "partita/predict/export.hpp"
#include "partita/results/named_path.hpp"

namespace partita::simulate {

struct Export {
  predict::Format format = predict::Format::goal;
  std::filesystem::path to;
};

results::NamedPath named(const Export&);

/// Why it cannot be written.
std::vector<base::Violation> check(const Export&, std::int64_t ranks, bool overwrite);

/// Writes one step of `batch` samples, or the machine, and tells what this model says of that step. What is
/// exported is the machine on which transfers move on by themselves. Throws `results::WriteError`, or
/// `base::EnvironmentError` where a folder cannot be replaced.
void write(std::ostream&, const Export&, predict::Subject, predict::Supposed, std::int64_t batch);

}  // namespace partita::simulate
