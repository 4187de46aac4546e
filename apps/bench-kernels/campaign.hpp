/// A set of measurements that Google Benchmark selects from and runs, and what came of them.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "partita/results/record.hpp"

namespace partita::bench_kernels {

class Campaign {
 public:
  virtual ~Campaign() = default;
  /// Gives each measurement to Google Benchmark by name; it is made when that runs it.
  virtual void register_benchmarks() = 0;
  /// Whether every result checked so far was right.
  [[nodiscard]] virtual bool correct() const = 0;
  virtual void print_summary(std::ostream&) const = 0;
  /// Every sample.
  [[nodiscard]] virtual std::vector<results::BenchmarkRow> rows() const = 0;
};

/// Adds a row for each value.
void add_rows(std::vector<results::BenchmarkRow>& rows, const std::string& name,
              const std::string& parameters, const std::string& unit, const std::vector<double>& values);

}  // namespace partita::bench_kernels
