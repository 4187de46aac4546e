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

TEST(Config, SecureSumsNeedThreeRanksWithSamplesInEachStep) {
  const auto refusal = [](std::int64_t samples, std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--model.layer=linear 2", "--sync.secure=true"});
    auto options = Parsed(arguments).options;
    fit_to_world(options, 3);
    const auto found = check_secure_batches(options, kernels::Samples(samples));
    EXPECT_LE(found.size(), 1U);
    return found.empty() ? "" : found[0].key + "=" + found[0].value + " " + found[0].message;
  };
  const std::string why = " any: sync.secure hides gradients among those of at least 3; ";
  EXPECT_EQ(refusal(101, {"--train.batch=1"}),
            "train.batch=1 leaves a step of 1 sample, of which 1 data rank has" + why + "the nearest is 6");
  EXPECT_EQ(
      refusal(102, {"--train.batch=2"}),
      "train.batch=2 leaves a step of 2 samples, of which 2 data ranks have" + why + "the nearest is 3");
  EXPECT_EQ(refusal(101, {"--train.batch=50"}),
            "train.batch=50 leaves a step of 1 sample, of which 1 data rank has" + why +
                "the nearest is 51, or data.train-samples=100");
  EXPECT_EQ(refusal(102, {"--train.batch=3"}), "");
  EXPECT_EQ(refusal(101, {"--train.batch=50", "--train.steps=2"}), "") << "the last batch is not taken";
  EXPECT_EQ(refusal(2, {"--train.batch=50"}),
            "train.batch=50 leaves a step of 2 samples, of which 2 data ranks have" + why +
                "the data set has too few samples");
  EXPECT_NE(refusal(101, {"--train.batch=100", "--grid.weights=1,1,1000000", "--train.steps=1"}), "");
  EXPECT_EQ(refusal(7, {"--train.batch=3", "--grid.weights=1,2,3", "--train.steps=1"}),
            "train.batch=3 leaves a step of 3 samples, of which 2 data ranks have" + why + "the nearest is 7")
      << "cut behind 0, 1 and 3 of 6 parts";
}

TEST(Config, KeysOfAWayToSynchroniseWantIt) {
  const auto refused = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--model.layer=linear 2", "--train.batch=12"});
    auto options = Parsed(arguments).options;
    fit_to_world(options, 4);
    std::vector<base::Violation> violations;
    split_for_training(options, machine::Machine::shipped(), violations);
    std::string text;
    for (const auto& violation : violations)
      text += violation.key + "=" + violation.value + " " + violation.message + "\n";
    return text;
  };
  EXPECT_EQ(refused({"--server.bound=2", "--server.synchronous-steps=3"}),
            "server.bound=2 is of parameter servers: it needs server.count\n"
            "server.synchronous-steps=3 is the start of asynchronous servers: it needs server.count and "
            "server.bound\n");
  EXPECT_NE(refused({"--server.count=1", "--server.synchronous-steps=3"}), "") << "all are synchronous";
  EXPECT_EQ(refused({"--server.count=1", "--server.bound=none", "--server.synchronous-steps=3"}), "");
  EXPECT_EQ(refused({"--sync.secure-bits=20"}),
            "sync.secure-bits=20 is of secure sums: it needs sync.secure=true\n");
  EXPECT_EQ(refused({"--sync.secure-bits=20", "--sync.secure=true"}), "");
  const std::string why = " is of local steps: it needs sync.local.period\n";
  const std::vector<std::string> local{"--sync.local.start=2", "--sync.local.states=average",
                                       "--sync.local.outer-rate=0.7", "--sync.local.outer-momentum=0.9"};
  EXPECT_EQ(refused(local), "sync.local.start=2" + why + "sync.local.states=average" + why +
                                "sync.local.outer-rate=0.7" + why + "sync.local.outer-momentum=0.9" + why);
  auto with_period = local;
  with_period.emplace_back("--sync.local.period=4");
  EXPECT_EQ(refused(with_period), "");
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
