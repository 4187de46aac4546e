/// Whether programs can be executed, found without executing them: pure arithmetic on slots and counts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "partita/step/counterparts.hpp"

namespace partita::step {

/// What of a program cannot be executed when every micro-batch has `samples` samples, a line each: parts of a
/// slot that an instruction reads or writes and that are not in the slot, and slots of another size than the
/// layer or conversion that works on them.
std::vector<std::string> faults_of(const Program&, const model::ModelSpec&, std::int64_t samples);

/// The same of a data rank's share of a batch.
std::vector<std::string> faults_of(const Program&, const model::ModelSpec&, int data_rank,
                                   std::int64_t batch);

/// The same of all ranks, and what they cannot do together: messages without their other half or with one of
/// another size, collectives without all their members or whose members differ in what they move.
std::vector<std::string> faults_of(const ProgramsByRank&, const model::ModelSpec&, std::int64_t batch);

}  // namespace partita::step
