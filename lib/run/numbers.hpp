/// Numbers of every rank on rank 0.
#pragma once

#include <cstring>
#include <vector>

#include "partita/comm/communicator.hpp"

namespace partita::run {

/// Everybody's numbers by rank on rank 0, nothing elsewhere; as many as each has. Collective over `world`.
inline std::vector<std::vector<double>> gather_numbers(comm::Communicator& world,
                                                       const std::vector<double>& mine) {
  const std::string bytes(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(double));
  std::vector<std::vector<double>> all;
  for (const auto& text : world.gather_text(bytes, 0, collective::Purpose::metric)) {
    all.emplace_back(text.size() / sizeof(double));
    std::memcpy(all.back().data(), text.data(), text.size());
  }
  return all;
}

}  // namespace partita::run
