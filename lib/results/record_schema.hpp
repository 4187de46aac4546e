/// A whole record to and from a group: the schema of schema.hpp, compiled once.
#pragma once

#include "archive.hpp"
#include "partita/results/record.hpp"

namespace partita::results {

void exchange_record(GroupWriter& root, const RunRecord& record);
void exchange_record(GroupReader& root, RunRecord& record);

}  // namespace partita::results
