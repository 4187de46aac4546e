#include "pmpi_witness.hpp"

#include <mpi.h>

namespace partita::tests {
namespace {
std::vector<Witnessed> calls;

void note(bool send, MPI_Count count, MPI_Datatype type, int peer, int tag) {
  int size = 0;
  PMPI_Type_size(type, &size);
  calls.push_back({send, peer, tag, static_cast<std::int64_t>(count) * size});
}
}  // namespace

const std::vector<Witnessed>& witnessed() { return calls; }
void forget() { calls.clear(); }

}  // namespace partita::tests

extern "C" int MPI_Isend_c(const void* data, MPI_Count count, MPI_Datatype type, int to, int tag,
                           MPI_Comm comm, MPI_Request* request) {
  partita::tests::note(true, count, type, to, tag);
  return PMPI_Isend_c(data, count, type, to, tag, comm, request);
}
extern "C" int MPI_Irecv_c(void* data, MPI_Count count, MPI_Datatype type, int from, int tag, MPI_Comm comm,
                           MPI_Request* request) {
  partita::tests::note(false, count, type, from, tag);
  return PMPI_Irecv_c(data, count, type, from, tag, comm, request);
}
