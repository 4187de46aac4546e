/// Which split a training takes where strategy=auto leaves it to a search.
#pragma once

#include <vector>

#include "partita/job/job.hpp"
#include "partita/kernels/backend.hpp"
#include "partita/run/training.hpp"

namespace partita::job {

/// Searches, keeps the contenders in the input and takes the first of them. Violations where none is
/// possible.
void choose_plan(Input&, int world_size);

/// In how many rounds the best plans are tried: as `auto.measure` says; else in as many as half a percent of
/// the training's steps allows, up to three, and at least one where no kernel of the machine was measured. 0:
/// not at all.
int rounds_of_race(const Input&);

/// The input with the plan that takes least time when the best ones are tried in turn, in so many rounds, and
/// what was measured. Collective over the world; the same on all ranks.
Input race_plans(const Job&, const run::TrainingOptions&, kernels::Backend&);

}  // namespace partita::job
