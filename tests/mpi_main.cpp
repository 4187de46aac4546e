/// Runs the same tests on all ranks. Rank 0 prints the listing; failures are printed by the rank that has
/// them; the exit code is 1 on every rank when any failed.
#include "mpi_main.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

namespace partita::tests {
namespace {

comm::MpiEnvironment* current = nullptr;
comm::Communicator* all_ranks = nullptr;

/// Prints failures with the rank, nothing else.
class FailurePrinter : public ::testing::EmptyTestEventListener {
 public:
  explicit FailurePrinter(int rank) : rank_(rank) {}
  void OnTestPartResult(const ::testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::cerr << "rank " << rank_ << ": " << (result.file_name() ? result.file_name() : "") << ':'
              << result.line_number() << ": " << result.summary() << std::endl;
  }

 private:
  int rank_;
};

}  // namespace

comm::MpiEnvironment& environment() { return *current; }
comm::Communicator& world() { return *all_ranks; }

}  // namespace partita::tests

int main(int argc, char** argv) {
  using namespace partita;
  ::testing::InitGoogleTest(&argc, argv);
  return comm::run_program(argc, argv, std::cerr, [](comm::MpiEnvironment& environment) {
    tests::current = &environment;
    auto world = comm::Communicator::world(environment);
    tests::all_ranks = &world;
    if (world.rank() != 0) {
      auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
      delete listeners.Release(listeners.default_result_printer());
      listeners.Append(new tests::FailurePrinter(world.rank()));
    }
    std::int64_t failed = RUN_ALL_TESTS();
    world.all_reduce(std::span(&failed, 1), comm::Combine::max, collective::Purpose::control);
    return static_cast<int>(failed);
  });
}
