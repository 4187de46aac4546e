/// Which MPI library runs, in one line: the first of the lines that it says of itself.
#include "partita/comm/library.hpp"

#include <mpi.h>

#include <algorithm>

#include "check.hpp"

std::string partita::comm::library_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  check(MPI_Get_library_version(text, &length), "MPI_Get_library_version");
  std::string line(text, static_cast<std::size_t>(length));
  line = line.substr(0, line.find('\n'));
  std::replace(line.begin(), line.end(), '\t', ' ');
  return line;
}
