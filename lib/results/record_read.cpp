/// The record as it is read back.
#include <cstdio>

#include "record_schema.hpp"
#include "schema.hpp"

namespace partita::results {

void from_stored(const std::string& stored, topology::GridExtent& grid) {
  int end = 0;
  if (std::sscanf(stored.c_str(), "data=%d pipeline=%d tensor=%d%n", &grid.data, &grid.pipeline, &grid.tensor,
                  &end) != 3 ||
      static_cast<std::size_t>(end) != stored.size())
    throw hdf5::Failure("attribute grid is " + hdf5::quoted(stored));
}

void exchange_record(GroupReader& root, RunRecord& record) { exchange(root, record); }

}  // namespace partita::results
