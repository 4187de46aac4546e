/// The command line of partita-bench-kernels.
#pragma once

#include <iosfwd>
#include <string>

#include "partita/command_line/command_line.hpp"
#include "partita/results/claim.hpp"

namespace partita::bench_kernels {

struct Options {
  bool help = false, version = false, overwrite = false;
  bool cuda = false;   ///< races on a GPU instead of kernels on a core
  bool table = false;  ///< the ladder instead of a campaign
  int device = 0;
  int repetitions = 20, proposals = 16;  ///< of a race, and of the library's in it
  std::string output, machine_rows, gemm_table;
  command_line::Words benchmark_flags;
};

/// Throws base::ConfigError.
Options parse(int argc, char** argv);
/// Claims the files that are written. Throws base::ConfigError where one has two roles, is in use or not
/// writable.
void hold_outputs(const Options&, results::Claims&);
void print_help(std::ostream&);

}  // namespace partita::bench_kernels
