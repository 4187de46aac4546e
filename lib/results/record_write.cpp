/// The record as it is written.
#include "record_schema.hpp"
#include "schema.hpp"

namespace partita::results {

void exchange_record(GroupWriter& root, const RunRecord& record) { exchange(root, record); }

}  // namespace partita::results
