/// A series of measured values as rows of a result, one a repetition.
#include "campaign.hpp"

namespace partita::bench_kernels {

void add_rows(std::vector<results::BenchmarkRow>& rows, const std::string& name,
              const std::string& parameters, const std::string& unit, const std::vector<double>& values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    rows.push_back({.name = name,
                    .parameters = parameters,
                    .unit = unit,
                    .repetition = static_cast<std::int64_t>(i),
                    .value = values[i]});
}

}  // namespace partita::bench_kernels
