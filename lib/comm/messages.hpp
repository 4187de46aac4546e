/// Messages of any length. MPI counts in `int` before version 4, which many sites do not have yet: what is
/// longer goes as one element of a type that is so long. Either end may do so; the bytes are the same.
#pragma once

#include <mpi.h>

#include <cstdint>

namespace partita::comm {

/// As MPI_Isend, MPI_Irecv and MPI_Imrecv of MPI_BYTE; an MPI error code.
int post_send(const void* data, std::int64_t bytes, int to, int tag, MPI_Comm, MPI_Request*);
int post_receive(void* data, std::int64_t bytes, int from, int tag, MPI_Comm, MPI_Request*);
int post_matched_receive(void* data, std::int64_t bytes, MPI_Message*, MPI_Request*);

}  // namespace partita::comm
