/// The command line of partita-bench-comm.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "measure.hpp"
#include "partita/base/error.hpp"

namespace partita::bench_comm {

struct Options {
  bool help = false, version = false, overwrite = false;
  std::vector<comm::Bytes> sizes;
  SamplingOptions sampling;
  int ranks_per_node = 0;  ///< imitated nodes; 0: the real ones
  std::filesystem::path output, table, machine_rows;
  std::vector<std::string> benchmark_flags;  ///< passed on to Google Benchmark
};

/// Appends whatever is wrong to `violations`.
Options parse(int argc, char** argv, std::vector<base::Violation>& violations);
std::string help_text();

}  // namespace partita::bench_comm
