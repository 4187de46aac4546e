/// What is written is what is read back, to the bit.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>

#include "partita/base/digest.hpp"
#include "partita/base/version.hpp"
#include "partita/results/model_file.hpp"
#include "partita/results/result_file.hpp"
#include "sample_record.hpp"

namespace partita::results::test {
namespace {

using RoundTrip = FolderTest;

/// NaN equals NaN.
bool same(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

bool same(const EpochRow& a, const EpochRow& b) {
  return a.epoch == b.epoch && same(a.train_loss, b.train_loss) && same(a.test_loss, b.test_loss) &&
         same(a.test_accuracy, b.test_accuracy) && same(a.seconds, b.seconds) &&
         same(a.samples_per_second, b.samples_per_second) && same(a.learning_rate, b.learning_rate);
}

void expect_same_counts(const collective::TrafficCounts& a, const collective::TrafficCounts& b) {
  EXPECT_EQ(a.calls, b.calls);
  EXPECT_EQ(a.messages, b.messages);
  EXPECT_EQ(a.payload_bytes, b.payload_bytes);
  EXPECT_EQ(a.wire_bytes, b.wire_bytes);
  EXPECT_EQ(a.wire_bytes_received, b.wire_bytes_received);
  EXPECT_EQ(a.window_bytes_read, b.window_bytes_read);
  EXPECT_EQ(a.window_bytes_written, b.window_bytes_written);
  EXPECT_EQ(a.modelled_wire_bytes, b.modelled_wire_bytes);
  EXPECT_EQ(a.staged_bytes, b.staged_bytes);
  EXPECT_EQ(a.exposed_seconds, b.exposed_seconds);
  EXPECT_EQ(a.hidden_seconds, b.hidden_seconds);
}

void expect_same(const RunRecord& a, const RunRecord& b) {
  EXPECT_EQ(a.attributes, b.attributes);
  EXPECT_EQ(a.environment, b.environment);
  EXPECT_EQ(a.layers, b.layers);
  EXPECT_EQ(a.memory, b.memory);
  EXPECT_EQ(a.figures, b.figures);
  EXPECT_EQ(a.benchmarks, b.benchmarks);
  EXPECT_EQ(a.reductions, b.reductions);
  EXPECT_TRUE(a.timeline == b.timeline);
  EXPECT_TRUE(a.inference == b.inference);
  EXPECT_TRUE(a.changes == b.changes);
  EXPECT_TRUE(a.plans == b.plans);
  EXPECT_TRUE(a.replans == b.replans);
  EXPECT_TRUE(a.critical_path == b.critical_path);
  EXPECT_TRUE(a.scaling == b.scaling);
  EXPECT_EQ(a.steps.ranks, b.steps.ranks);
  EXPECT_EQ(a.steps.loss, b.steps.loss);
  EXPECT_EQ(a.steps.samples, b.steps.samples);
  EXPECT_EQ(a.steps.seconds, b.steps.seconds);
  EXPECT_EQ(a.steps.learning_rate, b.steps.learning_rate);
  EXPECT_EQ(a.steps.rank_seconds, b.steps.rank_seconds);
  EXPECT_EQ(a.steps.phase, b.steps.phase);
  ASSERT_EQ(a.epochs.size(), b.epochs.size());
  for (std::size_t i = 0; i < a.epochs.size(); ++i)
    EXPECT_TRUE(same(a.epochs[i], b.epochs[i])) << i;
  EXPECT_EQ(a.peers, b.peers);
  ASSERT_EQ(a.traffic.size(), b.traffic.size());
  for (std::size_t i = 0; i < a.traffic.size(); ++i) {
    EXPECT_EQ(a.traffic[i].rank, b.traffic[i].rank);
    EXPECT_EQ(a.traffic[i].key, b.traffic[i].key);
    expect_same_counts(a.traffic[i].counts, b.traffic[i].counts);
  }
}

TEST_F(RoundTrip, KeepsEveryGroupOverStepsAndRanks) {
  for (std::int64_t steps : {0, 1, 2, 7, 5000})
    for (std::int64_t ranks : {1, 2, 3, 5}) {
      if (steps == 0 && ranks > 1) continue;
      const auto record = sample_record(steps, ranks);
      write_snapshot(folder / "r.h5", record);
      SCOPED_TRACE(std::to_string(steps) + " steps, " + std::to_string(ranks) + " ranks");
      expect_same(read(folder / "r.h5"), record);
    }
}

TEST_F(RoundTrip, KeepsAnEmptyRecord) {
  write_snapshot(folder / "r.h5", RunRecord{});
  expect_same(read(folder / "r.h5"), RunRecord{});
}

TEST_F(RoundTrip, KeepsEveryNameOfEveryEnumeration) {
  RunRecord record;
  using namespace collective;
  for (int o = 0; o <= static_cast<int>(Operation::barrier); ++o)
    for (int a = 0; a <= static_cast<int>(Activity::record); ++a)
      for (int p = 0; p <= static_cast<int>(Purpose::control); ++p)
        for (int x = 0; x <= static_cast<int>(topology::Axis::world); ++x)
          record.traffic.push_back({.key = {.activity = static_cast<Activity>(a),
                                            .axis = static_cast<topology::Axis>(x),
                                            .operation = static_cast<Operation>(o),
                                            .purpose = static_cast<Purpose>(p)}});
  for (auto status : {Status::running, Status::complete, Status::aborted, Status::invalid}) {
    record.attributes.status = status;
    write_snapshot(folder / "r.h5", record);
    expect_same(read(folder / "r.h5"), record);
  }
}

TEST_F(RoundTrip, KeepsLongTexts) {
  auto record = sample_record();
  record.attributes.config = std::string(200'000, 'c');
  record.environment.ranks[1].host = std::string(300, 'h');
  write_snapshot(folder / "r.h5", record);
  expect_same(read(folder / "r.h5"), record);
}

TEST_F(RoundTrip, KeepsTheOutputsOfARegression) {
  const RunRecord record{
      .inference = {.features = 2, .output = {1, 2, 3, 4, 5, -0.0}, .latency_seconds = {0.5}}};
  write_snapshot(folder / "r.h5", record);
  expect_same(read(folder / "r.h5"), record);
}

TEST_F(RoundTrip, ReadsAFileWithoutATimelineAsAnEmptyOne) {
  auto record = sample_record();
  record.timeline.rows.clear();
  write_snapshot(folder / "r.h5", record);
  EXPECT_TRUE(read(folder / "r.h5").timeline == Timeline{});
}

/// Start and end take 16 bytes; the texts alone would take 50 more.
TEST_F(RoundTrip, KeepsALongTimelineBelowFortyBytesASpan) {
  const RunRecord record{.timeline = sample_timeline(2500, 4)};
  ASSERT_GT(record.timeline.rows.size(), 90'000u);
  write_snapshot(folder / "r.h5", record);
  EXPECT_TRUE(read(folder / "r.h5").timeline == record.timeline);
  EXPECT_LT(std::filesystem::file_size(folder / "r.h5"), 40 * record.timeline.rows.size());
}

TEST_F(RoundTrip, WritesTheSameBytesForTheSameRecord) {
  const auto record = sample_record();
  write_snapshot(folder / "a.h5", record);
  write_snapshot(folder / "b.h5", record);
  EXPECT_EQ(base::sha256_of_file(folder / "a.h5"), base::sha256_of_file(folder / "b.h5"));
}

TEST_F(RoundTrip, RefusesColumnsOfDifferentLength) {
  auto record = sample_record();
  record.steps.loss.pop_back();
  EXPECT_THROW(write_snapshot(folder / "r.h5", record), base::ContractError);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST_F(RoundTrip, KeepsModelsInTheirOrder) {
  ModelFile model{.model = "cnn-mnist", .config_hash = "abc", .seed = 5, .parameters = {}};
  model.parameters = {{"linear2", "weight", {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6}},
                      {"linear2", "bias", {2}, std::vector<float>{7, 8}},
                      {"conv1", "weight", {1, 2, 1, 3}, std::vector<double>{1, 2, 3, 4, 5, 1e-300}},
                      {"conv1", "bias", {1}, std::vector<double>{-0.0}}};
  write_model(folder / "m.h5", model);
  const auto back = read_model(folder / "m.h5");
  EXPECT_EQ(back.model, model.model);
  EXPECT_EQ(back.config_hash, model.config_hash);
  EXPECT_EQ(back.seed, model.seed);
  EXPECT_EQ(back.parameters, model.parameters);
}

TEST_F(RoundTrip, AModelKnowsTheDataOfItsTraining) {
  ModelFile model{.parameters = {{"linear1", "bias", {1}, std::vector<float>{1}}}};
  write_model(folder / "m.h5", model);
  EXPECT_EQ(read_model(folder / "m.h5").data, std::nullopt);
  model.data = TrainingData{.name = "birds",
                            .sample_shape = {3, 32, 32},
                            .precision = "bf16",
                            .normalisation = {{0.5, 0.25}, {1.0 / 3, 1e-300}, {-2, 7}},
                            .classes = 2,
                            .class_names = {"wren", "H\xc3\xa4her"}};
  write_model(folder / "m.h5", model);
  EXPECT_EQ(read_model(folder / "m.h5").data, model.data);
  model.data->classes = 0;
  model.data->class_names.clear();
  write_model(folder / "m.h5", model);
  EXPECT_EQ(read_model(folder / "m.h5").data, model.data);
  const auto good = *model.data;
  for (const auto& spoil : std::vector<std::function<void(TrainingData&)>>{
           [](auto& d) { d.normalisation.clear(); }, [](auto& d) { d.normalisation[1].stddev = 0; },
           [](auto& d) { d.normalisation[2].mean = NAN; },
           [](auto& d) {
             d.class_names = {"a", "b"};
           },
           [](auto& d) { d.classes = -1; }}) {
    spoil(*(model.data = good));
    EXPECT_THROW(write_model(folder / "bad.h5", model), WriteError) << "it is read back";
  }
}

TEST(ModelContent, IsTheSameInWhateverOrderItIsStored) {
  const Parameter weight{"linear1", "weight", {2}, std::vector<float>{1, 2}},
      bias{"linear1", "bias", {1}, std::vector<float>{3}},
      other{"conv1", "weight", {2}, std::vector<float>{1, 2}};
  const auto hash = content_hash({.parameters = {weight, bias, other}});
  EXPECT_EQ(content_hash({.parameters = {other, bias, weight}}), hash);
  auto changed = bias;
  changed.values = std::vector<float>{4};
  EXPECT_NE(content_hash({.parameters = {weight, changed, other}}), hash);
  changed = other;
  changed.layer = "conv2";
  EXPECT_NE(content_hash({.parameters = {weight, bias, changed}}), hash);
}

TEST_F(RoundTrip, RefusesAModelWhoseShapeAndValuesDisagree) {
  const ModelFile model{.parameters = {{"linear1", "weight", {2, 3}, std::vector<float>(5)}}};
  EXPECT_THROW(write_model(folder / "m.h5", model), base::ContractError);
}

TEST(Version, NamesTheBuild) {
  EXPECT_FALSE(base::version().software_version.empty());
  EXPECT_TRUE(base::version().git_commit == "unknown" || base::version().git_commit.size() == 40)
      << base::version().git_commit;
}

}  // namespace
}  // namespace partita::results::test
