/// A job in which one rank leaves the others waiting, in the way that the first argument names; the second is
/// the limit of the watchdog from when all have found each other, the third imitates nodes of so many ranks
/// (0: none).
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "partita/comm/communicator.hpp"

namespace {

using namespace partita;
using collective::Purpose;
using comm::Combine;

struct Job {
  comm::Communicator& world;
  comm::Communicator& data;
  bool culprit;  ///< the last rank
  std::vector<float> numbers = std::vector<float>(100, 1.0F);

  [[nodiscard]] std::unique_ptr<comm::Collective> all_reduce(std::size_t n) {
    return data.plan_all_reduce(std::span(numbers).first(n), Combine::sum, comm::Algorithm::automatic,
                                Purpose::gradient);
  }
};

void run(comm::Collective& operation) {
  operation.start();
  operation.wait();
}

[[noreturn]] void sleep_for_ever() {
  for (;;)
    std::this_thread::sleep_for(std::chrono::seconds(1));
}

/// Outside the runs of a plan; or late, but not too late.
int elsewhere(const std::string& how, Job& job) {
  if (how == "planning") {
    if (job.culprit) sleep_for_ever();
    const auto late = job.all_reduce(10);
  } else if (how == "setup") {
    if (job.culprit) sleep_for_ever();
    const auto another = job.world.with_nodes_of(0);
  } else if (how == "condition") {
    if (job.culprit) sleep_for_ever();
    job.data.wait_until([] { return false; });
  } else if (how == "slow") {
    const auto sum = job.all_reduce(100);
    for (int i = 0; i < 3; ++i) {
      if (job.culprit) std::this_thread::sleep_for(std::chrono::milliseconds(900));
      run(*sum);
    }
  } else if (how != "clean") {
    throw std::invalid_argument(how);
  }
  return 0;
}

/// Three good rounds come first, so that the number of the missing one is known: all-reduces #1 to #3 count
/// after the agreements on the plans (all-gathers).
int hang(const std::string& how, Job job) {
  const auto sum = job.all_reduce(100), smaller = job.all_reduce(90);
  const auto broadcast = job.data.plan_broadcast(std::span(job.numbers), 0, Purpose::parameter);
  for (int i = 0; i < 3; ++i)
    run(*sum);
  job.world.position().set(7);
  if (how == "skipped") {
    if (!job.culprit) run(*sum);
    run(*broadcast);
  } else if (how == "skipped_last") {
    if (!job.culprit) run(*sum);
  } else if (how == "mismatched") {
    run(job.culprit ? *broadcast : *sum);
    run(job.culprit ? *sum : *broadcast);
  } else if (how == "count") {
    run(job.culprit ? *smaller : *sum);
  } else if (how == "sleeping") {
    if (job.culprit) sleep_for_ever();
    run(*sum);
  } else if (how == "exiting") {
    if (job.culprit) std::exit(0);
    run(*sum);
  } else if (how == "stopped") {
    if (job.culprit) raise(SIGSTOP);
    run(*sum);
  } else {
    return elsewhere(how, job);
  }
  return 0;
}

/// The last rank but one sends to the last one.
int messages(const std::string& how, Job job) {
  const int last = job.data.size() - 1, me = job.data.rank();
  const std::size_t sent = how == "short_message" ? 90 : how == "empty_message" ? 0 : 100;
  const std::size_t expected = how == "long_message" ? 90 : 100;
  if (me == last - 1 && how != "no_message")
    run(*job.data.plan_send(std::span(job.numbers).first(sent), last, 5, Purpose::activation));
  if (me == last)
    run(*job.data.plan_receive(std::span(job.numbers).first(expected), last - 1, 5, Purpose::activation));
  run(*job.all_reduce(100));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string how = argc > 1 ? argv[1] : "clean";
  const double limit = argc > 2 ? std::stod(argv[2]) : 2;
  const int ranks_per_node = argc > 3 ? std::stoi(argv[3]) : 0;
  return comm::run_program(argc, argv, std::cerr, [&](comm::MpiEnvironment& environment) {
    environment.name_instructions(
        [](std::uint64_t word) { return "in `instruction " + std::to_string(word) + "`"; });
    auto all = comm::Communicator::world(environment);
    auto world = all.with_nodes_of(ranks_per_node);
    auto data = world.along(topology::Axis::data, {.data = world.size()});
    world.barrier();
    environment.set_wait_limit(limit);
    Job job{.world = world, .data = data, .culprit = world.rank() == world.size() - 1};
    return how.find("message") != std::string::npos ? messages(how, job) : hang(how, job);
  });
}
