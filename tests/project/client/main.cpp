/// A program of somebody else: sums over all ranks with Partita's collectives and counts a model's
/// parameters.
#include <iostream>
#include <vector>

#include "partita/comm/communicator.hpp"
#include "partita/config/options.hpp"
#include "partita/kernels/backend.hpp"
#include "partita/model/parse.hpp"
#include "partita/results/record.hpp"
#include "partita/results/version.hpp"

int main(int argc, char** argv) {
  using namespace partita;
  return comm::run_program(argc, argv, std::cerr, [](comm::MpiEnvironment& environment) {
    auto world = comm::Communicator::world(environment);
    std::vector<float> values(1000, static_cast<float>(world.rank() + 1));
    world.all_reduce(kernels::View(std::span(values)), comm::Combine::sum, collective::Purpose::metric);
    std::vector<base::Violation> violations;
    const auto model = model::parse_model({.name = "m", .input = "784", .layers = {"linear 10"}}, violations);
    const auto backend = kernels::make_cpu_backend(1);
    std::vector<base::Violation> none;
    const char* arguments[] = {"client", "--model.input=4", "--model.layer=linear 2"};
    const auto options = config::parse(3, arguments, none);
    const bool good = values[999] == static_cast<float>(world.size() * (world.size() + 1) / 2) &&
                      model.parameters().value() == 7850 && none.empty() &&
                      options.model.parameters().value() == 10 && !results::hdf5_version().empty();
    if (world.rank() == 0)
      std::cout << "sum " << values[999] << " schema " << results::schema_version << '\n';
    return good ? 0 : 1;
  });
}
