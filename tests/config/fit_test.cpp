/// What must fit together: keys with each other, the grid with the ranks and nodes, the model with the data.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "parsed.hpp"

namespace partita::config {
namespace {

TEST(Config, AStrategyFillsInAGridAndLeavesNoTrace) {
  Parsed hybrid({"--strategy=hybrid"}), spelled({"--grid.data=2", "--grid.pipeline=2", "--grid.tensor=2"});
  EXPECT_TRUE(fit_to_world(spelled.options, 8).empty());
  ASSERT_TRUE(fit_to_world(hybrid.options, 8).empty());
  EXPECT_EQ(hybrid.options.grid.size(), 8);
  EXPECT_EQ(print_config(hybrid.options).find("strategy"), std::string::npos);
  Parsed layers({"--strategy=tensor"}), grid({"--grid.tensor=8", "--grid.data=1"});
  EXPECT_TRUE(fit_to_world(layers.options, 8).empty() && fit_to_world(grid.options, 8).empty());
  EXPECT_EQ(print_config(layers.options), print_config(grid.options));
  EXPECT_EQ(config_hash(layers.options), config_hash(grid.options));
}

TEST(Config, ContradictionsAreRefused) {
  EXPECT_TRUE(Parsed({"--train.batch=3", "--train.batch-per-rank=3"}).names("excludes train.batch"));
  EXPECT_TRUE(Parsed({"--train.precision=fp64"}).names("compute.backend=reference"));
  for (const std::string precision : {"bf16", "tf32"}) {
    EXPECT_TRUE(Parsed({"--train.precision=" + precision})
                    .names("the cpu kernels compute in fp32; use compute.backend=cuda"));
    EXPECT_FALSE(
        Parsed({"--train.precision=" + precision, "--compute.backend=cuda"}).names("kernels compute in"));
  }
  EXPECT_TRUE(
      Parsed({"--train.precision=fp64", "--compute.backend=cuda"}).names("the cuda kernels compute in"));
  EXPECT_TRUE(Parsed({"--compute.gemm=naive"}).names("chooses among the cuda kernels"));
}

TEST(Config, DeviceMessagesAreForBuffersOnDevicesAndForWhatRanksCanDoThere) {
  EXPECT_TRUE(Parsed({"--sync.device-messages=ipc"}).names("use compute.backend=cuda"));
  EXPECT_TRUE(Parsed({"--sync.device-messages=fast"}).names("auto | staged | direct | ipc"));
  const auto with = [](const char* argument) {
    return Parsed({"--compute.backend=cuda", "--sync.device-messages=ipc", argument});
  };
  EXPECT_TRUE(with("--sync.algorithm=mpi").names("the nearest is sync.algorithm=window"));
  EXPECT_TRUE(with("--sync.algorithm=recursive-doubling").names("the nearest is sync.algorithm=window"));
  EXPECT_TRUE(with("--train.deterministic=true").names("excludes train.deterministic"));
  EXPECT_TRUE(with("--sync.algorithm=ring").violations.empty());
  auto options = with("--grid.data=4").options;
  EXPECT_TRUE(fit_to_world(options, 4).empty());
  std::vector<base::Violation> violations;
  const auto split = split_for_training(options, machine::Machine::shipped(), violations);
  ASSERT_TRUE(split);
  EXPECT_TRUE(check_nodes(options, *split, std::vector{0, 0, 0, 0}).empty());
  const auto spread = check_nodes(options, *split, std::vector{0, 0, 1, 1});
  ASSERT_EQ(spread.size(), 1U);
  EXPECT_EQ(spread.front().key, "sync.device-messages");
  options.sync.ranks_per_node = 2;
  EXPECT_EQ(check_nodes(options, *split, std::vector{0, 0, 0, 0}).size(), 1U);
  EXPECT_EQ(print_config(Parsed({"--seed=1"}).options).find("device-messages"), std::string::npos);
  EXPECT_NE(print_config(options).find("device-messages = ipc"), std::string::npos);
}

TEST(Config, ADeterministicTrainingBindsNoInference) {
  auto options = Parsed({"--train.deterministic=true", "--train.batch=1"}).options;
  ASSERT_TRUE(fit_to_world(options, 3).empty());
  std::vector<base::Violation> of_training, of_inference;
  split_for_training(options, machine::Machine::shipped(), of_training);
  EXPECT_FALSE(of_training.empty());
  const auto inference = split_for_inference(options, machine::Machine::shipped(), of_inference);
  EXPECT_TRUE(of_inference.empty());
  ASSERT_TRUE(inference);
  EXPECT_EQ(inference->batch, 3 * 256);
  EXPECT_EQ(inference->plan.pipeline.microbatches, 1);
}

TEST(Config, DataMustFitTheModel) {
  data::DataPair data;
  data.train.name = "set";
  data.train.sample_shape = {4};
  data.train.task = data::Task::classification;
  data.train.classes = 2;
  EXPECT_TRUE(check_data(Parsed({}).options, data).empty());
  data.train.classes = 3;
  EXPECT_NE(to_string(check_data(Parsed({}).options, data).at(0)).find("2 outputs"), std::string::npos);
  EXPECT_NE(to_string(check_data(Parsed({"--model.loss=mse"}).options, data).at(0)).find("use cross-entropy"),
            std::string::npos);
  data.train.sample_shape = {1, 2, 2};
  EXPECT_EQ(check_data(Parsed({}).options, data).size(), 2U);
  EXPECT_NE(to_string(check_data(Parsed({}).options, data).at(0)).find("flatten"), std::string::npos);
  data.train.task = data::Task::regression;
  data.train.sample_shape = {4};
  data.train.target_shape = {3};
  EXPECT_NE(to_string(check_data(Parsed({"--model.loss=mse"}).options, data).at(0)).find("3 elements"),
            std::string::npos);
}

TEST(Config, StatisticsNeedSeveralSamplesAndNoDeterministicMode) {
  const auto normalising = [](std::vector<std::string> more) {
    std::vector<std::string> arguments{"--model.layer=linear 3", "--model.layer=batchnorm",
                                       "--model.layer=linear 2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Parsed(arguments).options;
  };
  auto deterministic = normalising({"--train.deterministic=true", "--train.batch=16"});
  ASSERT_TRUE(fit_to_world(deterministic, 1).empty());
  std::vector<base::Violation> violations;
  split_for_training(deterministic, machine::Machine::shipped(), violations);
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_NE(violations.front().message.find("batchnorm1"), std::string::npos);

  const auto refusal = [&](std::int64_t samples, const std::vector<std::string>& arguments) {
    const auto options = normalising(arguments);
    const auto found = check_statistics(options, kernels::Samples(samples));
    EXPECT_LE(found.size(), 1U);
    return found.empty() ? "" : found[0].key + "=" + found[0].value + " " + found[0].message;
  };
  const std::string why = ": batchnorm1 needs two samples in each, of whose values it takes the deviation; ";
  const std::string five = "--pipeline.microbatches=5", ten = "--train.batch=10";
  EXPECT_EQ(refusal(20, {ten, five}), "");
  EXPECT_EQ(refusal(20, {ten, "--pipeline.microbatches=6"}),
            "pipeline.microbatches=6 leaves micro-batches of a batch of 10 with less than two samples" + why +
                "the nearest is 5");
  EXPECT_EQ(refusal(26, {ten, "--grid.pipeline=2"}),
            "pipeline.microbatches=8 (the default) leaves micro-batches of a batch of 6 with less than two "
            "samples" +
                why + "the nearest is 3");
  EXPECT_EQ(refusal(21, {ten}), "train.batch=10 leaves a batch of one sample" + why + "the nearest is 11");
  EXPECT_EQ(refusal(22, {ten}), "");
  EXPECT_EQ(refusal(1, {ten}),
            "train.batch=10 leaves a batch of one sample" + why + "the data set has too few samples");
  EXPECT_EQ(
      refusal(1, {"--train.batch=1099511627776", "--pipeline.microbatches=1"}),
      "train.batch=1099511627776 leaves a batch of one sample" + why + "the data set has too few samples");
  EXPECT_EQ(refusal(5, {"--train.batch=2", "--pipeline.microbatches=2"}),
            "train.batch=2 leaves a batch of one sample" + why + "the nearest is 5");
  for (const auto* few : {"--train.steps=0", "--train.steps=2"})
    EXPECT_EQ(refusal(21, {ten, few}), "") << "the last batch is not taken";
  EXPECT_NE(refusal(21, {ten, "--train.steps=3"}), "");
}

TEST(Config, TheWorldMustFitTheGrid) {
  auto options = Parsed({"--grid.data=3"}).options;
  const auto violations = fit_to_world(options, 4);
  ASSERT_EQ(violations.size(), 1U);
  EXPECT_NE(violations[0].message.find("data=4"), std::string::npos);
  auto free = Parsed({"--train.batch-per-rank=5"}).options;
  EXPECT_TRUE(fit_to_world(free, 6).empty());
  EXPECT_EQ(free.grid.data, 6);
  EXPECT_EQ(free.train.batch, 30);
}

}  // namespace
}  // namespace partita::config
