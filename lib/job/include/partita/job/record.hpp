/// The parts of a result record that do not depend on what a run does: whose it is, where it ran, of which
/// model, what it communicated and held.
#pragma once

#include "partita/base/version.hpp"
#include "partita/execute/executor.hpp"
#include "partita/job/job.hpp"
#include "partita/run/record.hpp"

namespace partita::job {

/// What the libraries of a program that runs models tell of themselves.
base::Versions libraries_in_use();

/// What the input says of a run, of its split.
results::RunRecord begin_record(const Input&, const std::string& command_line);

/// What is known before the run, of the job's split. FLOPs are those of a step: of the forward pass where
/// nothing is trained. Collective over the world; complete on rank 0.
results::RunRecord begin_record(const Job&, kernels::Backend&, int threads);

/// By which algorithms gradients, or parameters that are averaged, are reduced: "window", or
/// "recursive-doubling+window" where buckets differ; by what codec, where none reduces them.
std::string gradient_algorithms(const std::vector<results::ReductionRow>&, kernels::Codec);

/// Whether all data ranks have the same parameters behind a step; nothing where they always have.
std::optional<bool> is_synchronised(const step::Cadence&, bool ends_stretch);

/// A row of `/timeline`; its seconds count from `origin`, its flow is the span's.
results::TimelineRow timeline_row(const run::TimelineSpan&, const step::Program&, const model::ModelSpec&,
                                  double origin);

/// Brings memory and traffic up to date. Collective over the world; complete on rank 0.
void update_costs(results::RunRecord&, comm::Communicator& world, const step::Program&,
                  const execute::Executor&);

}  // namespace partita::job
