/// Trainings whose ranks reach each other's device memory give the bits of those whose messages go through
/// the host.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "covering_array.hpp"
#include "shared_device.hpp"
#include "trained.hpp"

namespace partita::tests {
namespace {

struct Trained {
  std::vector<std::vector<double>> values;
  std::string messages;
  collective::TrafficCounts counts;
};

Trained trained(const Case& c, const Decomposition& d, kernels::Backend& backend, comm::Algorithm algorithm,
                collective::DeviceMessages way) {
  const auto total = [] {
    collective::TrafficCounts counts;
    for (const auto& row : world().ledger().rows(world().rank()))
      if (row.key.activity == collective::Activity::train) counts += row.counts;
    return counts;
  };
  auto options = options_for(c, d);
  options.poison_released = d.microbatches > 1;  // else recorded graphs
  options.split.algorithm = algorithm;
  options.device_messages = way;
  const auto before = total();
  const auto model = placed(c.model, d.placing);
  auto training = training_of(model, options, backend, world(), c.data);
  training.run({});
  EXPECT_TRUE(replicas_are_identical(training));
  Trained result{.messages = training.executor().device_messages(), .counts = total()};
  result.counts.staged_bytes -= before.staged_bytes;
  result.counts.messages -= before.messages;
  result.counts.window_bytes_read -= before.window_bytes_read;
  for (auto& tensor : training.gather_parameters(state::Receivers::all))
    result.values.push_back(std::move(tensor.values));
  return result;
}

/// Both add in the same order: in a ring own and received, in a window rank by rank.
TEST_F(SharedDevice, TrainingsGiveTheBitsOfThoseThroughTheHost) {
  const int p = world().size();
  using S = step::Schedule;
  std::vector<Decomposition> decompositions{{1, {.data = p}, S::one_f_one_b, 1, Placing::cheapest},
                                            {1, {.pipeline = p}, S::one_f_one_b, 3, Placing::cheapest},
                                            {5, {.tensor = p}, S::one_f_one_b, 1, Placing::column}};
  for (const auto& d : covering_array())
    if (d.grid.size() == p) decompositions.push_back(d);
  std::int64_t staged_bytes = 0, read = 0;
  for (std::size_t i = 0; i < decompositions.size(); ++i) {
    const auto& d = decompositions[i];
    const auto algorithm = i % 2 == 0 ? Algorithm::window : Algorithm::ring;
    const auto c = cases()[d.net];
    const auto staged = trained(c, d, *cuda_, algorithm, collective::DeviceMessages::staged);
    const auto ipc = trained(c, d, *cuda_, algorithm, collective::DeviceMessages::ipc);
    const auto what = to_string(d) + ", " + std::string(to_string(algorithm));
    EXPECT_EQ(staged.values, ipc.values) << what;
    EXPECT_EQ(staged.messages, p == 1 ? "" : "staged");
    EXPECT_EQ(ipc.messages, p == 1 ? "" : "ipc");
    EXPECT_EQ(ipc.counts.staged_bytes.value(), 0) << what;
    EXPECT_EQ(ipc.counts.messages, 0) << what;
    staged_bytes += staged.counts.staged_bytes.value();
    read += ipc.counts.window_bytes_read.value();
  }
  EXPECT_EQ(staged_bytes > 0, p > 1);
  EXPECT_EQ(read > 0, p > 1);
}

}  // namespace
}  // namespace partita::tests
