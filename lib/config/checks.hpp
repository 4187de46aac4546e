/// What a training refuses, question by question.
#pragma once

#include <string>
#include <vector>

#include "partita/config/options.hpp"

namespace partita::config {

inline std::string number(std::int64_t n) { return std::to_string(n); }

/// The first layer whose statistics are of all data ranks; empty: none.
std::string layer_with_statistics(const model::ModelSpec&);

/// In the deterministic mode one a grain, as far as nobody says another number.
int training_microbatches(const RunOptions&, std::int64_t batch);

/// `grid.weights` as it is given.
std::string text_of_weights(const RunOptions&);

/// How data ranks synchronise, beside what else is asked for.
void check_synchronisation(const RunOptions&, const plan::Request&, std::vector<base::Violation>&);
/// The part of it that is about parameter servers.
void check_servers(const RunOptions&, std::vector<base::Violation>&);

}  // namespace partita::config
