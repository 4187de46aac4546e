/// Training with the CUDA kernels, on a device or executed on the host: every decomposition is the model of
/// one rank on the CPU, recorded graphs give the bits of single launches, and what is copied for messages is
/// what the closed form says.
#include "covering_array.hpp"
#include "on_cuda.hpp"
#include "trained.hpp"

namespace partita::tests {
namespace {

class CudaTraining : public OnCuda {
 protected:
  std::unique_ptr<kernels::Backend> reference_ = kernels::make_reference_backend(kernels::DataType::float32);
};

/// Data parallel of every net, and every pair of choices of a decomposition.
std::vector<Decomposition> decompositions() {
  std::vector<Decomposition> all;
  for (std::size_t net = 0; net < cases().size(); ++net)
    all.push_back({net, {.data = world().size()}, step::Schedule::one_f_one_b, 1, Placing::cheapest});
  for (const auto& d : covering_array())
    if (d.grid.size() == world().size()) all.push_back(d);
  return with_choices_in_turn(std::move(all));
}

TEST_F(CudaTraining, IsTheModelOfOneRankOnTheCpu) {
  auto nets = cases();
  References references(*reference_);
  for (const auto& d : decompositions()) {
    auto& c = nets[d.net];
    c.model = model::smooth_twin(c.model);
    const auto& reference = references.of(c, d);
    EXPECT_LE(largest_drift(c.model, reference.start, reference.end, train(c, d, *cuda_)), 1e-4)
        << to_string(d);
  }
}

std::vector<std::vector<double>> values_of(const run::Training& training) {
  std::vector<std::vector<double>> values;
  for (auto& tensor : training.gather_parameters(state::Receivers::all))
    values.push_back(std::move(tensor.values));
  values.emplace_back();
  for (const auto& step : training.steps())
    values.back().push_back(step.loss);
  return values;
}

TEST_F(CudaTraining, RecordedGraphsGiveTheBitsOfSingleLaunches) {
  const int ranks = world().size();
  for (const std::size_t net : {std::size_t{1}, std::size_t{4}, std::size_t{5}})
    for (const auto& grid : {topology::GridExtent{.data = ranks}, {.pipeline = ranks}, {.tensor = ranks}}) {
      const auto c = cases()[net];
      using Rule = kernels::OptimizerRule;
      const auto rule = net == 5 ? Rule::adam : net == 4 ? Rule::lars : Rule::lamb;
      auto options = options_for(c, grid, can_split(rule, grid) ? rule : Rule::nesterov);
      options.split.pipeline = {.microbatches = 2};
      std::vector<std::vector<double>> bits[2];
      for (const bool graphs : {false, true}) {
        options.poison_released = !graphs;  // which looks at every instruction
        auto training = training_of(c.model, options, *cuda_, world(), c.data);
        training.run({});
        bits[graphs] = values_of(training);
      }
      EXPECT_EQ(bits[0], bits[1]) << c.name << ", " << to_string(grid);
    }
}

collective::TrafficCounts counts_of(std::span<const collective::TrafficRow> rows,
                                    collective::Purpose purpose) {
  collective::TrafficCounts counts;
  for (const auto& row : rows)
    if (row.key.activity == collective::Activity::train && row.key.purpose == purpose) counts += row.counts;
  return counts;
}

/// A ring brings every element to the host once and back once; one rank copies nothing.
TEST_F(CudaTraining, CopiesForMessagesWhatTheClosedFormSays) {
  const auto c = cases()[1];
  const int p = world().size();
  auto options = options_for(c, topology::GridExtent{.data = p});
  options.split.algorithm = comm::Algorithm::ring;
  options.device_messages = collective::DeviceMessages::staged;
  collective::TrafficCounts counts[2];
  kernels::Backend* backends[] = {reference_.get(), cuda_.get()};
  std::int64_t trained = 0;
  for (const int which : {0, 1}) {
    const auto before = world().ledger().rows(world().rank());
    auto training = training_of(c.model, options, *backends[which], world(), c.data);
    training.run({});
    trained = training.program().trained_count.value();
    counts[which] = counts_of(world().ledger().rows(world().rank()), collective::Purpose::gradient);
    const auto earlier = counts_of(before, collective::Purpose::gradient);
    counts[which].messages -= earlier.messages;
    counts[which].wire_bytes -= earlier.wire_bytes;
    counts[which].staged_bytes -= earlier.staged_bytes;
  }
  EXPECT_EQ(counts[1].staged_bytes.value(), p == 1 ? 0 : *options.steps * 2 * trained * 4);
  EXPECT_EQ(counts[0].staged_bytes.value(), 0);
  EXPECT_EQ(counts[1].messages, counts[0].messages);
  EXPECT_EQ(counts[1].wire_bytes, counts[0].wire_bytes);
}

}  // namespace
}  // namespace partita::tests
