/// The executor on a virtual clock, over real messages and windows, against the event model: begin and end of
/// every instruction on every rank, to the picosecond.
#include <gtest/gtest.h>

#include "covering_array.hpp"
#include "harness.hpp"
#include "partita/sim/simulate.hpp"

namespace partita::tests {
namespace {

using machine::Picoseconds;

constexpr int steps = 3;

/// No two of its figures are alike, and none divides another.
machine::Machine motley() {
  machine::Machine m{.flops_per_second = 0.7e9,
                     .call_seconds = 1.3e-7,
                     .main_bytes_per_second = 3.1e9,
                     .cache_bytes_per_second = 17e9,
                     .link_latency_seconds = 1e-6,
                     .link_bytes_per_second = 1e9};
  m.levels = {{.name = "pair",
               .ranks = 2,
               .protocols = {{.send_seconds = 1.1e-7,
                              .send_byte_seconds = 1.3e-10,
                              .latency_seconds = 1.7e-6,
                              .byte_seconds = 1.9e-9,
                              .receive_seconds = 2.3e-7,
                              .receive_byte_seconds = 2.9e-10},
                             {.min_bytes = kernels::Bytes(90),
                              .send_seconds = 3.1e-7,
                              .latency_seconds = 3.7e-6,
                              .byte_seconds = 4.1e-10,
                              .receive_seconds = 4.3e-7,
                              .rendezvous = true}}},
              {.name = "cluster",
               .protocols = {{.send_seconds = 4.7e-7,
                              .latency_seconds = 5.3e-6,
                              .byte_seconds = 5.9e-9,
                              .receive_seconds = 6.1e-7},
                             {.min_bytes = kernels::Bytes(70),
                              .send_seconds = 6.7e-7,
                              .send_byte_seconds = 7.1e-10,
                              .latency_seconds = 7.3e-6,
                              .byte_seconds = 7.9e-10,
                              .receive_seconds = 8.3e-7,
                              .receive_byte_seconds = 8.9e-10,
                              .rendezvous = true}}}};
  m.windows = {{.stage_byte_seconds = 9.7e-10, .load_byte_seconds = 1.01e-9, .store_byte_seconds = 1.03e-9},
               {.min_bytes = kernels::Bytes(300),
                .stage_byte_seconds = 1.07e-9,
                .load_byte_seconds = 1.09e-9,
                .store_byte_seconds = 1.13e-9}};
  m.flag_seconds = 1.27e-7;
  m.overheads = {.start_seconds = 1.31e-7, .wait_seconds = 1.37e-7, .step_seconds = 1.39e-6};
  return m;
}

/// Begins and ends of all instructions of this rank, step by step.
std::vector<Picoseconds> times_of_executor(Harness& harness, std::int64_t batch) {
  std::vector<Picoseconds> times;
  std::vector<execute::InstructionTimes> of_step;
  harness.executor().record_times(&of_step);
  for (int s = 0; s < steps; ++s) {
    harness.step(0, batch, batch);
    for (const auto& t : of_step)
      times.insert(times.end(), {machine::picoseconds(t.begin), machine::picoseconds(t.end)});
  }
  return times;
}

std::vector<Picoseconds> times_of_model(const Harness& harness, int rank, std::int64_t batch,
                                        const machine::Machine& machine) {
  const auto roles = harness.roles();
  const auto costs = sim::costs_on(machine, roles.by_rank, batch, harness.site());
  std::vector<Picoseconds> times;
  for (const auto& step : sim::simulate(roles.by_rank, costs, steps).steps)
    for (const auto& span : step[static_cast<std::size_t>(rank)].instructions)
      times.insert(times.end(), {span.begin, span.end});
  return times;
}

void expect_equal_times(const Case& c, const Decomposition& d, Harness::Options options) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float32);
  auto& ranks = options.axes ? options.axes->world() : world();
  ranks.use_virtual_clock(motley());
  const auto algorithm = to_string(options.algorithm);
  Harness harness(c, d, *backend, std::move(options));
  for (const std::int64_t batch : {c.batch, std::int64_t{1}}) {
    ranks.virtual_clock()->set(0);
    const auto executed = times_of_executor(harness, batch);
    const auto modelled = times_of_model(harness, ranks.rank(), batch, motley());
    ASSERT_EQ(executed.size(), modelled.size());
    const auto differs = std::ranges::mismatch(executed, modelled);
    if (differs.in1 == executed.end()) continue;
    const auto instructions = harness.program().instructions;
    const auto at = (differs.in1 - executed.begin()) / 2;
    ADD_FAILURE() << to_string(d) << " by " << algorithm << ", batch " << batch << ": instruction "
                  << at % std::ssize(instructions) << " ("
                  << to_string(instructions[static_cast<std::size_t>(at % std::ssize(instructions))].kind)
                  << ") of step " << at / std::ssize(instructions) << " is at " << *differs.in1
                  << ", in the event model at " << *differs.in2;
  }
}

TEST(VirtualClock, EqualsTheEventModelOnTheCoveringArray) {
  const auto nets = cases();
  for (const auto& d : thinned(pairs_on_all_ranks()))
    expect_equal_times(nets[d.net], d, {});
}

}  // namespace
}  // namespace partita::tests
