/// The modelled bytes of the vendor's all-reduce against a counter below MPI. Skipped visibly (exit code 77)
/// where MPI is another library than the model's, does not send through UCX, or the counter is not preloaded.
#include <dlfcn.h>

#include <bit>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "partita/comm/communicator.hpp"

namespace {

using namespace partita;
using Counter = std::int64_t (*)();

/// Recursive doubling as plain arithmetic: log₂q exchanges of n elements, and the folding of the ranks beyond
/// q.
std::int64_t doubling_bytes(int p, int rank, std::int64_t n) {
  const int q = static_cast<int>(std::bit_floor(static_cast<unsigned>(p))), r = p - q;
  const std::int64_t core = 4 * n * std::countr_zero(static_cast<unsigned>(q));
  if (rank < 2 * r) return rank % 2 == 0 ? 4 * n : core + 4 * n;
  return core;
}

int check(comm::Communicator& world, Counter bytes) {
  int wrong = 0;
  for (const std::int64_t n : {1, 2, 3, 8, 100, 512, 513, 1000, 65536, 300001}) {
    std::vector<float> values(static_cast<std::size_t>(n), 1.0F);
    const auto operation = world.plan_all_reduce(std::span(values), comm::Combine::sum, comm::Algorithm::mpi,
                                                 collective::Purpose::gradient);
    const auto modelled =
        collective::modelled_vendor_all_reduce(world.size(), world.rank(), n, kernels::Bytes(4)).value();
    world.barrier();
    const auto before = bytes();
    operation->start();
    operation->wait();
    const auto sent = bytes() - before;
    if (sent != modelled || (n <= 512 && sent != doubling_bytes(world.size(), world.rank(), n))) {
      std::cerr << "rank " + std::to_string(world.rank()) + " of " + std::to_string(world.size()) + ", n " +
                       std::to_string(n) + ": sent " + std::to_string(sent) + " bytes, modelled " +
                       std::to_string(modelled) + "\n";
      ++wrong;
    }
  }
  return wrong;
}

}  // namespace

int main(int argc, char** argv) {
  return comm::run_program(argc, argv, std::cerr, [](comm::MpiEnvironment& environment) {
    auto world = comm::Communicator::world(environment);
    const auto bytes = reinterpret_cast<Counter>(dlsym(RTLD_DEFAULT, "partita_ucx_bytes"));
    const bool counts =
        bytes != nullptr && bytes() > 0 && environment.mpi_library().starts_with("MPICH Version: 4.0.");
    std::int64_t skipped = counts ? 0 : 1;
    world.all_reduce(std::span(&skipped, 1), comm::Combine::max, collective::Purpose::control);
    if (skipped != 0) {
      if (world.rank() == 0) std::puts("SKIP: nothing was counted below MPI");
      return 77;
    }
    std::int64_t wrong = check(world, bytes);
    world.all_reduce(std::span(&wrong, 1), comm::Combine::max, collective::Purpose::control);
    return wrong == 0 ? 0 : 1;
  });
}
