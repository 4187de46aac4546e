/// What a run would do, without doing it: the text of --dry-run and --print-program.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "partita/job/record.hpp"

namespace partita::job {

/// A program that a run executes, by role, on batches of these sizes.
struct Executed {
  step::Roles::Build program_at;
  std::vector<std::int64_t> batches;
};

/// A split, the machine that it was chosen for, where it runs, and the programs that are executed; the first
/// is the one described.
struct Description {
  plan::Split split;
  machine::Machine machine = machine::Machine::shipped();
  step::Site site;
  std::vector<Executed> programs;
};

/// Where the job runs. Whether devices of a node reach each other is only found out by a run that uses them:
/// here they are taken to, unless sync.device-messages says otherwise.
step::Site assumed_site(const Job&);

/// What --dry-run and --print-program ask for: grid and model; of every role (stage and share on the tensor
/// axis) its layers with the shapes of their shards, parameters, memory by kind, and what a step exchanges by
/// axis, operation and purpose, and by which algorithm; the instructions of one rank's step. A dry run throws
/// `base::ContractError`, as the run would, when a program cannot be executed on some rank.
std::string describe(const config::RunOptions&, const Description&);

}  // namespace partita::job
