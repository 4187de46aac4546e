/// The configuration that a result carries as INI text, key by key.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "partita/results/record.hpp"

namespace partita::results {

/// Values by "section.key"; the layer lines of a model by "model.layer 1", "model.layer 2", …
std::map<std::string, std::string> configuration_of(const RunRecord&);

struct Difference {
  std::string key;
  std::string before, after;  ///< "-" where the key is not set
  friend bool operator==(const Difference&, const Difference&) = default;
};

/// Keys in which two runs were configured differently, by name. Left out are those that repetitions of one
/// configuration may differ in: the seed, and where and how often files are written.
std::vector<Difference> configuration_differences(const RunRecord& before, const RunRecord& after);

}  // namespace partita::results
