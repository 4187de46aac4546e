/// An MPI library whose inside nobody has counted: the ledger says so instead of another library's bytes.
#include <gtest/gtest.h>
#include <mpi.h>

#include <cstring>
#include <optional>

#include "../mpi_main.hpp"

extern "C" int MPI_Get_library_version(char* text, int* length) {
  std::strcpy(text, "Some MPI v1.0\nbuilt somewhere");
  *length = static_cast<int>(std::strlen(text));
  return MPI_SUCCESS;
}

namespace partita::comm {
namespace {

using collective::Purpose;
using tests::world;

/// Of the vendor's all-reduces for that purpose.
std::optional<Bytes> modelled(Purpose purpose) {
  std::optional<Bytes> bytes;
  for (const auto& row : world().ledger().rows(world().rank()))
    if (row.key.purpose == purpose) bytes = row.counts.modelled_wire_bytes;
  return bytes;
}

void reduce(Purpose purpose, Algorithm algorithm) {
  float value = 1;
  world().all_reduce(std::span(&value, 1), Combine::sum, purpose, algorithm);
}

TEST(UnknownLibrary, HasUnknownBytes) {
  EXPECT_EQ(tests::environment().mpi_library(), "Some MPI v1.0");
  reduce(Purpose::gradient, Algorithm::mpi);
  reduce(Purpose::gradient, Algorithm::mpi);
  EXPECT_EQ(modelled(Purpose::gradient), world().size() == 1 ? std::optional(Bytes(0)) : std::nullopt);
}

TEST(UnknownLibrary, KnowsWhatItDoesNotSend) {
  reduce(Purpose::metric, Algorithm::ring);
  EXPECT_EQ(modelled(Purpose::metric), Bytes(0));
}

TEST(UnknownLibrary, MakesSumsUnknown) {
  collective::TrafficCounts known, unknown;
  known.modelled_wire_bytes = Bytes(5);
  unknown.modelled_wire_bytes.reset();
  EXPECT_EQ((collective::TrafficCounts(known) += unknown).modelled_wire_bytes, std::nullopt);
  EXPECT_EQ((unknown += known).modelled_wire_bytes, std::nullopt);
  EXPECT_EQ((known += known).modelled_wire_bytes, Bytes(10));
}

}  // namespace
}  // namespace partita::comm
