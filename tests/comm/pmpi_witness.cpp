#include "pmpi_witness.hpp"

#include <mpi.h>

namespace partita::tests {
namespace {
std::vector<Witnessed> calls;

void note(bool send, int count, MPI_Datatype type, int peer, int tag) {
  int size = 0;
  PMPI_Type_size(type, &size);
  calls.push_back({send, peer, tag, static_cast<std::int64_t>(count) * size});
}
}  // namespace

const std::vector<Witnessed>& witnessed() { return calls; }
void forget() { calls.clear(); }

}  // namespace partita::tests

extern "C" int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                         MPI_Request* request) {
  partita::tests::note(true, count, type, to, tag);
  return PMPI_Isend(data, count, type, to, tag, comm, request);
}
extern "C" int MPI_Irecv(void* data, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm,
                         MPI_Request* request) {
  partita::tests::note(false, count, type, from, tag);
  return PMPI_Irecv(data, count, type, from, tag, comm, request);
}
