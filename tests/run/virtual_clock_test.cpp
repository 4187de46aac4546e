/// The executor on a virtual clock, over real messages and windows, against the event model: begin and end of
/// every instruction on every rank, to the picosecond.
#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "covering_array.hpp"
#include "harness.hpp"
#include "partita/comm/group.hpp"
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
  m.slowdowns = {{"products", "messages", 1.37}, {"others", "messages", 1.91}};
  m.overheads = {.start_seconds = 1.31e-7, .wait_seconds = 1.37e-7, .step_seconds = 1.39e-6};
  m.cores.yield_seconds = 1.41e-7;
  return m;
}

/// Two of the ranks are other machines, each unlike in all that a rank has of its own.
machine::Machine motley_parts() {
  auto whole = motley();
  auto slow = motley(), other = motley();
  slow.flops_per_second = 0.149e9, slow.call_seconds = 1.51e-7;
  slow.overheads = {.start_seconds = 1.57e-7, .wait_seconds = 1.63e-7, .step_seconds = 1.67e-6};
  slow.windows = {
      {.stage_byte_seconds = 1.73e-9, .load_byte_seconds = 1.79e-9, .store_byte_seconds = 1.81e-9}};
  other.main_bytes_per_second = 1.91e9, other.cache_bytes_per_second = 1.93e9;
  other.overheads = {.start_seconds = 1.97e-7, .wait_seconds = 1.99e-7, .step_seconds = 2.11e-6};
  other.windows.clear();
  whole.parts = {{.first = 1, .last = 1, .machine = slow}, {.first = 3, .last = 4, .machine = other}};
  return whole;
}

/// Begin and end of each instruction, step by step.
using Times = std::vector<Picoseconds>;

Times times_of_executor(Harness& harness, std::int64_t batch) {
  Times times;
  std::vector<execute::InstructionTimes> of_step;
  harness.executor().record_times(&of_step);
  for (int s = 0; s < steps; ++s) {
    harness.step(0, batch, batch);
    for (const auto& t : of_step)
      times.insert(times.end(), {machine::picoseconds(t.begin), machine::picoseconds(t.end)});
  }
  return times;
}

/// By rank.
std::vector<Times> times_of_model(const Harness& harness, const step::Roles& roles, std::int64_t batch,
                                  const machine::Machine& machine, double crowding,
                                  const std::vector<step::StepKind>& kinds) {
  std::vector<Times> times(roles.by_rank.size());
  const auto costs = sim::costs_on(machine, roles.by_rank, batch, harness.site(), {.crowding = crowding});
  for (const auto& step : sim::simulate(roles.by_rank, costs, steps, {.steady = {.kinds = kinds}}).steps)
    for (std::size_t r = 0; r < step.size(); ++r)
      for (const auto& span : step[r].instructions)
        times[r].insert(times[r].end(), {span.begin, span.end});
  return times;
}

/// "receive", "send", …: what the instruction is about.
std::string name_of(const step::Program& program, std::size_t i) {
  const auto& instruction = program.instructions[i];
  std::string name(to_string(instruction.kind));
  if (instruction.transfer)
    name += " of " + std::string(to_string(program.transfers[*instruction.transfer].operation));
  return name;
}

void expect_equal(const Times& executed, const Times& modelled, const step::Program& program,
                  const std::string& what) {
  ASSERT_EQ(executed.size(), modelled.size()) << what;
  const auto differs = std::ranges::mismatch(executed, modelled);
  if (differs.in1 == executed.end()) return;
  const auto at = static_cast<std::size_t>(differs.in1 - executed.begin());
  const auto count = program.instructions.size();
  ADD_FAILURE() << what << ": the first to differ is instruction " << at / 2 % count << " ("
                << name_of(program, at / 2 % count) << ") of step " << at / 2 / count << ", which "
                << (at % 2 == 0 ? "begins" : "ends") << " at " << *differs.in1 << ", in the event model at "
                << *differs.in2;
}

/// Of a whole batch and of one of a single sample, where most ranks have nothing to do.
void expect_equal_times(comm::Axes& axes, const Case& c, const Decomposition& d, Harness::Options options) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float32);
  auto& ranks = axes.world();
  options.axes = &axes;
  const auto what = to_string(d) + ", " + std::to_string(options.chunks) + " chunks, warm-up " +
                    std::to_string(options.warmup) + ", by " + std::string(to_string(options.algorithm));
  Harness harness(c, d, *backend, std::move(options));
  for (const std::int64_t batch : {c.batch, std::int64_t{1}}) {
    ranks.virtual_clock()->set(0);
    const auto executed =
        ranks.gather_rows(times_of_executor(harness, batch), 0, collective::Purpose::metric);
    const auto kinds = harness.begin_again();
    if (ranks.rank() != 0) continue;
    const auto roles = harness.roles();
    const auto& clock = *ranks.virtual_clock();
    const auto modelled = times_of_model(harness, roles, batch, clock.machine(), clock.crowding(), kinds);
    for (std::size_t r = 0; r < executed.size(); ++r)
      expect_equal(executed[r], modelled[r], *roles.by_rank[r],
                   what + ", batch " + std::to_string(batch) + ", rank " + std::to_string(r));
  }
}

TEST(VirtualClock, EqualsTheEventModelOnTheCoveringArray) {
  const auto nets = cases();
  std::map<std::string, comm::Axes> axes;  // making communicators takes most of the time
  int drawn = 0;
  auto all = with_weights_in_turn(with_choices_in_turn(thinned(pairs_on_all_ranks())));
  const auto coded = with_codecs_in_turn(all);
  for (std::size_t i = 0; i < all.size(); i += 2)  // every other one
    all[i] = coded[i / 2];
  for (const auto& d : all) {
    world().use_virtual_clock(motley(), ++drawn % 3 == 0 ? 1.75 : 1);
    auto& along = axes.try_emplace(to_string(d.grid), world(), d.grid, topology::axes).first->second;
    expect_equal_times(along, nets[d.net], d, {});
  }
}

TEST(VirtualClock, EqualsTheEventModelWhereStepsDiffer) {
  const auto nets = cases();
  std::map<std::string, comm::Axes> axes;
  world().use_virtual_clock(motley());
  auto all = with_choices_in_turn(pairs_on_all_ranks());
  if (world().size() > 2) all = thinned(all);
  for (const auto& d : with_cadences_in_turn(all)) {
    auto& along = axes.try_emplace(to_string(d.grid), world(), d.grid, topology::axes).first->second;
    expect_equal_times(along, nets[d.net], d, {});
  }
}

TEST(VirtualClock, EqualsTheEventModelOfSynchronousServers) {
  const int ranks = world().size();
  const auto nets = cases();
  const machine::Machine machines[] = {motley(), motley_parts()};
  std::size_t turn = 0;
  constexpr topology::Axis only_data[] = {topology::Axis::data};
  for (int count = 1; count < ranks && count <= 3; ++count) {
    world().use_virtual_clock(machines[turn % 2]);
    comm::Axes axes(world(), {.data = ranks}, only_data);
    auto d = with_servers(turn++, ranks, {.count = count}, kernels::OptimizerRule::adam);
    expect_equal_times(axes, nets[d.net], d, {});
    d.compression = compressed(turn % 2 == 0 ? kernels::Codec::fp16 : kernels::Codec::topk);
    expect_equal_times(axes, nets[d.net], d, {});
  }
}

/// By step and instruction of this rank's program, as far as its records go.
using StepTimes = std::vector<std::map<std::size_t, std::pair<Picoseconds, Picoseconds>>>;

StepTimes times_of_records(const run::Training& training, std::int64_t recorded_steps) {
  StepTimes times(static_cast<std::size_t>(recorded_steps));
  const auto& instructions = training.program().instructions;
  for (const auto& record : training.recorded())
    for (std::size_t i = 0; i < instructions.size(); ++i)
      if (record.worker < 0 || instructions[i].turn->worker == record.worker)
        times[static_cast<std::size_t>(record.step)][i] = {machine::picoseconds(record.instructions[i].begin),
                                                           machine::picoseconds(record.instructions[i].end)};
  return times;
}

/// When the first of the last pushes is taken.
Picoseconds first_end(const sim::Simulation& model, const step::Roles& roles) {
  auto first = std::numeric_limits<Picoseconds>::max();
  for (std::size_t r = 0; r < roles.by_rank.size(); ++r)
    for (std::size_t i = 0; i < roles.by_rank[r]->instructions.size(); ++i) {
      const auto& turn = roles.by_rank[r]->instructions[i].turn;
      if (turn && turn->part == step::TurnPart::update)
        first = std::min(first, model.steps.back()[r].instructions[i].begin);
    }
  return first;
}

/// Servers take pushes in the order in which the model finds that they come. What follows the first of the
/// last pushes is another thing: in the run that worker is answered with the newest parameters of all.
void expect_equal_service(const Case& c, const Decomposition& d, const machine::Machine& machine) {
  constexpr int steps = 10;
  world().use_virtual_clock(machine);
  auto options = options_for(c, d);
  options.steps = options.timeline_steps = steps;
  const auto plan = plan::choose(c.model, options.split);
  const auto backend = kernels::make_reference_backend(kernels::DataType::float32);
  const step::Roles roles(plan.grid, [&](const topology::Coordinate& role) {
    return step::build_training_program(c.model, plan, role,
                                        {.type = backend->type(), .layout = backend->image_layout()});
  });
  const auto nodes = world().nodes();
  const auto costs = sim::costs_on(machine, roles.by_rank, c.batch,
                                   {.node_of = {nodes.begin(), nodes.end()}, .table = world().table()}, {});
  const auto model =
      sim::simulate(roles.by_rank, costs, steps,
                    {.steady = {.kinds = std::vector(std::size_t{steps}, step::StepKind::asynchronous)}});
  const int workers = d.grid.data - d.cadence.servers.count;
  for (int s = 0; s < d.cadence.servers.count; ++s) {
    std::map<int, std::int64_t> clocks;
    for (const int worker : model.served[static_cast<std::size_t>(s)])
      options.replay.push_back({.server = workers + s, .worker = worker, .step = clocks[worker]++});
  }
  auto training = training_of(c.model, options, *backend, world(), c.data);
  world().virtual_clock()->set(0);
  ASSERT_EQ(training.run({}), run::Outcome::complete);
  const auto executed = times_of_records(training, steps);
  const auto me = static_cast<std::size_t>(world().rank());
  std::size_t compared = 0;
  const auto horizon = first_end(model, roles);
  for (std::size_t s = 0; s < executed.size(); ++s)
    for (const auto& [i, span] : executed[s]) {
      const auto& modelled = model.steps[s][me].instructions[i];
      if (modelled.end > horizon) continue;
      EXPECT_EQ(span, (std::pair{modelled.begin, modelled.end}))
          << to_string(d) << ", instruction " << i << " (" << name_of(training.program(), i) << ") of step "
          << s;
      ++compared;
    }
  EXPECT_GE(compared, 3 * training.program().instructions.size());
}

TEST(VirtualClock, EqualsTheEventModelOfAsynchronousServers) {
  const int ranks = world().size();
  const auto c = cases()[2];
  for (int count = 1; count < ranks && count <= 3; ++count)
    for (const auto bound :
         {std::optional<std::int64_t>(), std::optional<std::int64_t>(0), std::optional<std::int64_t>(1)}) {
      auto d = with_servers(2, ranks, {.count = count, .is_asynchronous = true, .bound = bound});
      if (bound == 1) d.compression = compressed(kernels::Codec::int8);
      expect_equal_service(c, d, bound ? motley_parts() : motley());
    }
}

/// Encoding counts key streams of all other ranks, and the losses come behind the gradients.
TEST(VirtualClock, EqualsTheEventModelOfSecureSums) {
  const auto c = cases()[1];
  const int p = world().size();
  if (p < 3) GTEST_SKIP() << "wants groups of three ranks";
  world().use_virtual_clock(motley(), 1.75);
  std::map<std::string, comm::Axes> axes;
  std::vector<topology::GridExtent> grids{{.data = p}};
  if (p % 2 == 0) grids.insert(grids.end(), {{.data = p / 2, .pipeline = 2}, {.data = p / 2, .tensor = 2}});
  for (const auto& grid : grids)
    for (const bool is_delayed : {false, true}) {
      Decomposition d{.net = 1, .grid = grid, .schedule = step::Schedule::one_f_one_b, .microbatches = 2};
      d.placing = Placing::cheapest;
      d.compression = compressed(kernels::Codec::secure);
      d.cadence.is_delayed = is_delayed;
      auto& along = axes.try_emplace(to_string(grid), world(), grid, topology::axes).first->second;
      expect_equal_times(along, c, d, {});
    }
}

/// On one node, and on nodes of which the last may be smaller; of ranks of several machines.
TEST(VirtualClock, EqualsTheEventModelWithEveryAlgorithm) {
  using collective::Algorithm;
  const int ranks = world().size();
  const auto c = cases()[1];
  for (const int node : {ranks, 3}) {
    if (node > ranks) continue;
    auto nodes = world().with_nodes_of(node);
    nodes.use_virtual_clock(motley_parts(), node == ranks ? 1.75 : 1);
    constexpr topology::Axis only_data[] = {topology::Axis::data}, only_tensor[] = {topology::Axis::tensor};
    comm::Axes data(nodes, {.data = ranks}, only_data), tensor(nodes, {.tensor = ranks}, only_tensor);
    for (const auto algorithm : collective::algorithms()) {
      if (algorithm == Algorithm::window && node < ranks) continue;  // needs one node
      expect_equal_times(data, c, {1, {.data = ranks}, step::Schedule::naive, 1, Placing::cheapest},
                         {.algorithm = algorithm});
      expect_equal_times(tensor, c, {1, {.tensor = ranks}, step::Schedule::gpipe, 2, Placing::column},
                         {.algorithm = algorithm});
    }
  }
}

void expect_none(const std::vector<comm::Group::Failure>& failures) {
  for (const auto& failure : failures)
    ADD_FAILURE() << "rank " << failure.rank << ": " << failure.reason;
}

/// What a training leaves: its parameters, and what was exchanged for them.
struct Trained {
  std::vector<state::LogicalTensor> parameters;
  std::vector<collective::PeerRow> exchanged;
};

Trained train(comm::Group& group, const Decomposition& d, bool virtually) {
  const auto backend = kernels::make_reference_backend(kernels::DataType::float32);
  const auto c = cases()[d.net];
  Trained trained;
  const auto failures = group.run([&](comm::Communicator& ranks) {
    if (virtually) ranks.use_virtual_clock(motley());
    comm::Axes axes(ranks, d.grid, topology::axes);
    Harness harness(c, d, *backend, {.algorithm = comm::Algorithm::automatic, .axes = &axes});
    harness.train();
    trained = {.parameters = harness.gather_parameters(),
               .exchanged = ranks.ledger().peer_rows(ranks.rank())};
    ranks.barrier();
  });
  expect_none(failures);
  return trained;
}

TEST(VirtualClock, ChangesNoBitAndNoByte) {
  comm::Group group(world(), 0);
  const int ranks = world().size();
  const bool even = ranks % 2 == 0;
  const Decomposition d{5,
                        {.data = even ? 2 : 1, .tensor = even ? ranks / 2 : ranks},
                        step::Schedule::gpipe,
                        2,
                        Placing::column};
  const auto real = train(group, d, false), imagined = train(group, d, true);
  ASSERT_EQ(real.parameters.size(), imagined.parameters.size());
  for (std::size_t i = 0; i < real.parameters.size(); ++i)
    EXPECT_EQ(real.parameters[i].values, imagined.parameters[i].values) << i;
  EXPECT_TRUE(real.exchanged == imagined.exchanged);
}

/// Layers enough for eight stages of four chunks, two of them of one width only.
Case many_layers() {
  std::vector<std::string> lines(31, "linear 3");
  lines.push_back("linear 5");
  return {"32 layers", model_of("13", lines), random_data(data::Task::classification, {13}, 24), 24};
}

struct Ordered {
  step::Schedule schedule;
  int warmup, most_chunks;
};
constexpr Ordered orders[] = {{step::Schedule::naive, 1, 4},       {step::Schedule::gpipe, 1, 4},
                              {step::Schedule::one_f_one_b, 1, 1}, {step::Schedule::one_f_one_b, 2, 1},
                              {step::Schedule::interleaved, 1, 4}, {step::Schedule::zb_h1, 1, 1}};

/// Every schedule with every number of chunks and some of micro-batches, on as many stages as there are
/// `ranks`; `one_in` of them.
void expect_equal_schedules(comm::Communicator& ranks, int one_in) {
  ranks.use_virtual_clock(motley_parts());
  const auto c = many_layers();
  comm::Axes axes(ranks, {.pipeline = ranks.size()}, topology::axes);
  int number = 0;
  for (const auto& [schedule, warmup, most_chunks] : orders)
    for (int chunks = 1; chunks <= most_chunks; ++chunks)
      for (const int microbatches : {1, 2, 3, 5, 8, 13})
        if ((++number + ranks.size()) % one_in == 0)
          expect_equal_times(axes, c,
                             {0, {.pipeline = ranks.size()}, schedule, microbatches, Placing::cheapest},
                             {.chunks = chunks, .warmup = warmup});
}

/// The ranks as two pipelines of this many stages and the rest, side by side.
void expect_equal_schedules_on(int stages) {
  comm::Group group(world(), world().rank() < stages ? 0 : 1);
  const int one_in = std::getenv("PARTITA_EVERY_CASE") ? 1 : 29;
  const auto failures = group.run([&](comm::Communicator& ranks) {
    if (ranks.size() > 1) expect_equal_schedules(ranks, one_in);
    ranks.barrier();
  });
  expect_none(failures);
}

TEST(VirtualSchedules, EqualTheEventModelOnTwoToEightStages) {
  ASSERT_EQ(world().size(), 8);
  for (const int stages : {2, 3, 4, 7, 8})
    expect_equal_schedules_on(stages);
}

}  // namespace
}  // namespace partita::tests
