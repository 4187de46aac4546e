/// The files of a run: what is read, what is written, and that nobody else writes it meanwhile.
#pragma once

#include <vector>

#include "partita/job/job.hpp"
#include "partita/results/named_path.hpp"

namespace partita::job {

/// What a run reads whatever it does: run file, model file, table, saved model, data set.
std::vector<results::NamedPath> files_read(const Input&);

/// Refuses files with two roles, and claims what is written for as long as the input lives; nothing is
/// claimed for a run that writes nothing. For the rank that writes. False where something was refused: then
/// not even whether it can be written may be tried.
bool hold(Input&, const std::vector<results::NamedPath>& all);

}  // namespace partita::job
