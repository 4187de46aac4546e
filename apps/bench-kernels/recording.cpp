/// Each cost by itself in a long loop: a span, a ledger entry, a position, and an instruction of a step whose
/// kernels do nothing.
#include "recording.hpp"

#include <memory>

#include "partita/comm/ledger.hpp"
#include "partita/comm/position.hpp"
#include "partita/execute/executor.hpp"
#include "partita/model/parse.hpp"
#include "partita/plan/plan.hpp"
#include "partita/step/build.hpp"

namespace partita::bench_kernels {
namespace {

/// What the executor does around an instruction: reads the clock and adds the difference to its span.
double span_seconds() {
  volatile double total = 0;
  double begin = base::now_seconds();
  return time_calls(
      [&] {
        const double end = base::now_seconds();
        total = total + (end - begin);
        begin = end;
      },
      200'000);
}

/// One entry of a ledger with as many rows as a training job has.
double ledger_seconds() {
  comm::Ledger ledger;
  collective::TrafficKey key;
  for (const auto purpose :
       {collective::Purpose::gradient, collective::Purpose::metric, collective::Purpose::control}) {
    key.purpose = purpose;
    ledger.add(key, {});
  }
  collective::TrafficCounts counts;
  counts.calls = 1;
  return time_calls([&] { ledger.add(key, counts); }, 200'000);
}

/// What tells the watchdogs of other ranks where this one is, before every instruction.
double position_seconds() {
  std::uint64_t shown = 0;
  const comm::Position position(&shown);
  std::uint64_t instruction = 0;
  return time_calls([&] { position.set(++instruction); }, 200'000);
}

/// The step of `cnn-mnist` on one rank in eight micro-batches, with kernels that do nothing: what remains is
/// the walk over the program, its spans and its positions.
class Walk {
 public:
  explicit Walk(comm::MpiEnvironment& environment)
      : world_(comm::Communicator::self(environment)),
        axes_(world_, plan_.grid, step::used_axes(model_, plan_)),
        program_(step::build_training_program(model_, plan_, {}, {.type = backend_->type()})),
        parameters_(program_, backend_->device(), axes_.along(topology::Axis::data)),
        executor_(program_, model_, *backend_, axes_, parameters_,
                  {.largest_batch = batch, .instead_of_kernels = [](const step::Instruction&) {}}) {
    executor_.prepare(batch);
  }
  double instruction_seconds() {
    const std::vector<std::int64_t> indices(batch);
    execute::StepSpans spans;
    const auto step = [&] { executor_.run({.indices = indices, .divisor = batch}, {}, spans); };
    return time_calls(step, 1000) / static_cast<double>(program_.instructions.size());
  }

 private:
  static constexpr std::int64_t batch = 64;
  static model::ModelSpec model() {
    std::vector<base::Violation> violations;
    return model::parse_model({.input = "1x28x28",
                               .layers = {"conv 10 kernel=5", "maxpool 2", "relu", "conv 20 kernel=5",
                                          "maxpool 2", "relu", "flatten", "linear 50", "relu", "linear 10"}},
                              violations);
  }

  model::ModelSpec model_ = model();
  step::Plan plan_ = plan::choose(model_, {.batch = batch, .pipeline = {.microbatches = 8}});
  std::unique_ptr<kernels::Backend> backend_ = kernels::make_cpu_backend(1);
  comm::Communicator world_;
  comm::Axes axes_;
  step::Program program_;
  state::Parameters parameters_;
  execute::Executor executor_;
};

}  // namespace

std::vector<Cost> recording_costs(comm::MpiEnvironment& environment) {
  return {{"recording/span", span_seconds},
          {"recording/ledger_entry", ledger_seconds},
          {"recording/position", position_seconds},
          {"recording/instruction",
           [walk = std::make_shared<Walk>(environment)] { return walk->instruction_seconds(); }}};
}

}  // namespace partita::bench_kernels
