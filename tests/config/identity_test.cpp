/// When two configurations are the same: printed and read back, hashes, keys without effect, roles of keys.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "parsed.hpp"

namespace partita::config {
namespace {

TEST(Config, EveryInputFileParsesAndPrintsItselfBack) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(INPUTS "/runs")) {
    const Parsed first({"--config=" + entry.path().string()}, false);
    ASSERT_TRUE(first.violations.empty()) << entry.path() << ": " << to_string(first.violations.front());
    const TemporaryFile printed(print_config(first.options));
    const Parsed second({"--config=" + printed.path.string()}, false);
    ASSERT_TRUE(second.violations.empty()) << entry.path() << ": " << to_string(second.violations.front());
    EXPECT_EQ(print_config(first.options), print_config(second.options));
    EXPECT_EQ(config_hash(first.options), config_hash(second.options));
    ++files;
  }
  EXPECT_GE(files, 10);
}

TEST(Config, TheHashIsOfWhatDecidesTheResult) {
  const auto hash = [](const std::string& argument) { return config_hash(Parsed({argument}).options); };
  const auto plain = hash("--train.seed=1");
  EXPECT_EQ(hash("--output=x.h5"), plain);
  EXPECT_EQ(hash("--compute.threads=3"), plain);
  EXPECT_NE(hash("--train.learning-rate=0.02"), plain);
  EXPECT_NE(hash("--train.seed=2"), plain);
  EXPECT_NE(hash("--sync.algorithm=ring"), plain);
  EXPECT_EQ(hash("--model.name=another"), plain);
  const auto dropout = [](const char* layer) {
    return config_hash(
        Parsed({"--model.input=4", std::string("--model.layer=") + layer, "--model.layer=linear 2"}, false)
            .options);
  };
  EXPECT_EQ(dropout("dropout 0.5"), dropout("dropout   0.50"));
  EXPECT_NE(dropout("dropout 0.5"), dropout("dropout 0.5000001"));
}

TEST(Config, ClassesAreCheckedAndLeaveTheHashOfEarlierVersions) {
  const auto plain = Parsed({}), ten = Parsed({"--data.classes=10"}), twelve = Parsed({"--data.classes=12"});
  EXPECT_EQ(print_config(plain.options).find("classes"), std::string::npos);
  EXPECT_NE(print_config(twelve.options).find("classes = 12"), std::string::npos);
  EXPECT_EQ(config_hash(plain.options), config_hash(ten.options)) << "which always had a line of ten classes";
  EXPECT_NE(config_hash(plain.options), config_hash(twelve.options));
  EXPECT_TRUE(Parsed({"--data.classes=1"}).names("a whole number from 2 to 1048576; the nearest is 2"));
  EXPECT_TRUE(Parsed({"--data.classes=1048577"}).names("the nearest is 1048576"));
}

TEST(Config, HowAModelIsInferredChangesNoHashOfItsTraining) {
  const Parsed parsed({"--infer.samples=3", "--infer.batch=7", "--infer.repetitions=2", "--infer.warmup=0"});
  EXPECT_TRUE(parsed.violations.empty());
  EXPECT_EQ(config_hash(parsed.options), config_hash(Parsed({}).options));
  std::vector<base::Violation> violations;
  EXPECT_EQ(split_for_inference(parsed.options, machine::Machine::shipped(), violations)->batch, 7);
  EXPECT_TRUE(Parsed({"--infer.repetitions=0"}).names("the nearest is 1"));
}

TEST(Config, TheHashCountsEvaluationsOnlyWhereTheyEndTheTraining) {
  const auto hash = [](const std::vector<std::string>& arguments) {
    return config_hash(Parsed(arguments).options);
  };
  EXPECT_EQ(hash({"--evaluate.every=3"}), hash({}));
  EXPECT_NE(hash({"--evaluate.every=3", "--train.target-accuracy=0.9"}),
            hash({"--train.target-accuracy=0.9"}));
}

TEST(Config, AKeyWithoutEffectIsMarkedAndLeavesTheHash) {
  struct Case {
    std::string given;
    std::vector<std::string> idle, working;  ///< beside what it has no effect, and has one
  };
  const std::vector<std::string> alone{"--grid.data=1"};
  const std::vector<Case> cases{
      {"train.epochs = 9", {"--train.steps=5"}, {}},
      {"train.gamma = 0.5", {}, {"--train.schedule=step"}},
      {"train.step-epochs = 3", {"--train.schedule=cosine"}, {"--train.schedule=step"}},
      {"train.grains = 16", {}, {"--train.deterministic=true"}},
      {"pipeline.schedule = gpipe", {"--grid.pipeline=1"}, {"--grid.pipeline=2"}},
      {"pipeline.schedule = gpipe", {}, {"--pipeline.microbatches=2"}},
      {"pipeline.schedule = gpipe", {}, {"--train.deterministic=true"}},
      {"pipeline.warmup = 2", {"--pipeline.microbatches=2"}, {"--strategy=layer"}},
      {"sync.algorithm = ring", alone, {"--grid.data=1", "--grid.tensor=2"}},
      {"sync.ranks-per-node = 1", alone, {"--grid.data=2"}},
      {"sync.table = a", {"--sync.algorithm=ring"}, {}},
      {"compute.threads = 3", {"--compute.backend=reference"}, {}}};
  // A ReLU is fused with the layer before it inside a chunk only, whatever else there is.
  const auto whole = Parsed({"--pipeline.schedule=gpipe"}).options,
             cut = Parsed({"--pipeline.schedule=gpipe", "--pipeline.chunks=2"}).options;
  EXPECT_NE(config_hash(whole), config_hash(cut));
  EXPECT_EQ(print_config(cut).find("chunks = 2 #"), std::string::npos);
  EXPECT_FALSE(differences(whole, cut).empty());
  for (const auto& [given, idle, working] : cases) {
    const auto equals = given.find(" = "), dot = given.find('.');
    const auto option = "--" + given.substr(0, equals) + "=" + given.substr(equals + 3);
    const auto line = given.substr(dot + 1);
    auto with = idle, effective = working;
    with.push_back(option), effective.push_back(option);
    const auto without = Parsed(idle).options, other = Parsed(with).options;
    EXPECT_TRUE(Parsed(with).violations.empty() && Parsed(effective).violations.empty()) << given;
    EXPECT_EQ(config_hash(other), config_hash(without)) << given;
    EXPECT_NE(print_config(other).find(line + " # not used\n"), std::string::npos) << given;
    EXPECT_TRUE(differences(without, other).empty()) << given;
    const auto used = Parsed(effective).options;
    EXPECT_NE(print_config(used).find(line + "\n"), std::string::npos) << given;
    EXPECT_FALSE(differences(Parsed(working).options, used).empty()) << given;
  }
}

TEST(Config, AKeyOfAnotherOptimizerIsRefused) {
  const Parsed of_sgd({"--train.beta1=0.9", "--train.beta2=0.5", "--train.epsilon=1e-8"});
  EXPECT_EQ(of_sgd.violations.size(), 3U);
  EXPECT_TRUE(
      of_sgd.names("train.beta1 = 0.9: belongs to train.optimizer=adam or adamw or lamb, not to sgd"));
  const Parsed of_adam({"--train.optimizer=adamw", "--train.momentum=0.9"});
  EXPECT_EQ(of_adam.violations.size(), 1U);
  EXPECT_TRUE(
      of_adam.names("belongs to train.optimizer=sgd or nesterov or lars, not to adamw; the nearest is 0"));
  EXPECT_TRUE(Parsed({"--train.optimizer=nesterov"}).names("must be above 0 for train.optimizer=nesterov"));
  EXPECT_EQ(Parsed({"--train.optimizer=nesterov", "--train.momentum=2"}).violations.size(), 1U);
  EXPECT_TRUE(Parsed({"--train.optimizer=rmsprop"})
                  .names("must be one of sgd | nesterov | adam | adamw | lars | lamb"));
  EXPECT_EQ(Parsed({"--train.optimizer=Adam", "--train.beta1=0.9"}).violations.size(), 1U)
      << "nobody knows whether beta1 belongs to what was meant";
  EXPECT_EQ(Parsed({"--train.beta1=2"}).violations.size(), 1U);
  EXPECT_EQ(Parsed({"--train.optimizer=nesterov", "--train.momentum=abc"}).violations.size(), 1U);
  EXPECT_TRUE(Parsed({"--train.optimizer=adam", "--train.beta2=1"}).names("the nearest is 0.999999"));
  EXPECT_TRUE(Parsed({"--train.optimizer=adam", "--train.epsilon=0"}).names("the nearest is 1e-30"));
  EXPECT_TRUE(Parsed({"--train.optimizer=adam", "--train.momentum=0"}).violations.empty());
  EXPECT_TRUE(Parsed({"--train.optimizer=sgd", "--train.beta1="}).violations.empty());
}

/// Runs of versions that had SGD alone are runs of SGD.
TEST(Config, AnOptimizerTellsRunsApartWhereItIsNotSgd) {
  const auto sgd = Parsed({"--train.optimizer=sgd"}).options, plain = Parsed({}).options;
  EXPECT_EQ(print_config(sgd), print_config(plain));
  EXPECT_EQ(config_hash(sgd), config_hash(plain));
  for (const std::string absent : {"optimizer", "beta", "epsilon"})
    EXPECT_EQ(print_config(plain).find(absent), std::string::npos) << absent;
  const auto adam = Parsed({"--train.optimizer=adam"}).options;
  EXPECT_NE(print_config(adam).find("optimizer = adam\nmomentum = 0 # not used\nbeta1 = 0.9\nbeta2 = 0.999\n"
                                    "epsilon = 1e-08\n"),
            std::string::npos)
      << print_config(adam);
  std::vector<base::Violation> violations;
  EXPECT_EQ(print_config(parse_text(print_config(adam), violations)), print_config(adam));
  EXPECT_TRUE(violations.empty());
  EXPECT_EQ(differences(plain, adam).size(), 4U) << "the rule, and what it alone uses";
  for (const std::string more :
       {"--train.beta1=0.8", "--train.beta2=0.9", "--train.epsilon=1e-6", "--train.weight-decay=1"})
    EXPECT_NE(config_hash(Parsed({"--train.optimizer=adam", more}).options), config_hash(adam)) << more;
  EXPECT_NE(config_hash(Parsed({"--train.optimizer=adamw"}).options), config_hash(adam));
  const auto lamb = Parsed({"--train.optimizer=lamb"}).options;
  EXPECT_NE(print_config(lamb).find("epsilon = 1e-06\n"), std::string::npos) << "as its authors have it";
  EXPECT_EQ(print_config(parse_text(print_config(lamb), violations)), print_config(lamb));
  EXPECT_NE(config_hash(Parsed({"--train.clip-norm=1"}).options), config_hash(plain));
  EXPECT_EQ(print_config(Parsed({"--train.clip-norm="}).options), print_config(plain));
}

TEST(Config, NumbersThatNormaliseAlikeAreTheSame) {
  const auto with = [](const std::string& mean) {
    auto options =
        Parsed(mean.empty() ? std::vector<std::string>{} : std::vector{"--data.mean=" + mean}).options;
    options.own_normalisation = data::Moments{.mean = {0.25, 0.5, 0.25}, .stddev = {1, 1, 1}};
    return options;
  };
  const auto changes_past = [&](const std::string& a, const std::string& b) {
    const auto all = differences(with(a), with(b));
    EXPECT_EQ(config_hash(with(a)) != config_hash(with(b)), !all.empty() && all.front().changes_past);
    return !all.empty() && all.front().changes_past;
  };
  EXPECT_FALSE(changes_past("", "0.25 0.5 0.25"));
  EXPECT_FALSE(changes_past("0.5", "0.5 0.5 0.5"));
  EXPECT_TRUE(changes_past("", "0.25"));
  EXPECT_TRUE(changes_past("", "0.25 0.5 0.5"));
  EXPECT_TRUE(changes_past("0.5", "0.5 0.5 0.25"));
}

TEST(Config, TheHashIsOfTheContentOfALoadedModelNotItsPath) {
  auto here = Parsed({"--load-model=a.h5"}).options, there = Parsed({"--load-model=elsewhere/b.h5"}).options;
  EXPECT_NE(config_hash(here), config_hash(there)) << "nobody has read them";
  here.load_model_hash = there.load_model_hash = "of the content";
  EXPECT_EQ(config_hash(here), config_hash(there));
  there.load_model_hash = "of another";
  EXPECT_NE(config_hash(here), config_hash(there));
}

TEST(Config, TheHashIsOfWhatAMachineCanDoNotOfItsFilesPath) {
  const auto with = [](const std::string& file, const std::string& splits) {
    return Parsed({"--machine=" + file, splits}).options;
  };
  auto here = with("a.machine", "--grid.tensor=2"), there = with("b.machine", "--grid.tensor=2");
  EXPECT_NE(config_hash(here), config_hash(there)) << "nobody has read them";
  here.machine_hash = there.machine_hash = "of the content";
  EXPECT_EQ(config_hash(here), config_hash(there));
  there.machine_hash = machine::Machine::shipped().hash();
  EXPECT_NE(config_hash(here), config_hash(there));
  EXPECT_EQ(config_hash(there), config_hash(Parsed({"--grid.tensor=2"}).options))
      << "the shipped one's content";
  for (const char* splits : {"--grid.pipeline=2", "--pipeline.chunks=2", "--grid.tensor=2"})
    EXPECT_NE(config_hash(with("a.machine", splits)), config_hash(with("b.machine", splits))) << splits;
  EXPECT_EQ(config_hash(with("a.machine", "--grid.data=2")), config_hash(with("b.machine", "--grid.data=2")))
      << "nothing is placed or cut";
}

TEST(Config, ARunOnAnotherClockIsAnotherRun) {
  auto here = Parsed({"--virtual-clock=a.machine"}).options;
  auto there = Parsed({"--virtual-clock=b.machine"}).options;
  EXPECT_NE(config_hash(here), config_hash(there)) << "nobody has read them";
  here.virtual_clock_hash = there.virtual_clock_hash = "of the content";
  EXPECT_EQ(config_hash(here), config_hash(there));
  EXPECT_NE(config_hash(here), config_hash(Parsed({}).options));
}

TEST(Config, AVirtualClockIsOfHosts) {
  Parsed parsed({"--virtual-clock=a.machine", "--compute.backend=cuda"});
  ASSERT_EQ(parsed.violations.size(), 1u);
  EXPECT_EQ(parsed.violations.front().key, "virtual-clock");
}

TEST(Config, AKeyMeansTheSameToTheReport) {
  constexpr std::pair<base::KeyRole, const char*> names[] = {
      {base::KeyRole::split, "split"}, {base::KeyRole::batch, "batch"},
      {base::KeyRole::start, "start"}, {base::KeyRole::data_set, "data_set"},
      {base::KeyRole::table, "table"}, {base::KeyRole::machine, "machine"},
      {base::KeyRole::draw, "draw"},   {base::KeyRole::none, "none"}};
  std::string expected;
  for (const auto& key : run_keys())
    for (const auto& [role, name] : names)
      if (role_of(key, base::RunKind::training) == role)
        expected += "    \"" + key + "\": \"" + name + "\",\n";
  std::ifstream file(SCRIPTS "/partita/key_roles.py");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto begin = text.find("ROLES = {\n") + 10;
  EXPECT_EQ(text.substr(begin, text.rfind('}') - begin), expected) << "scripts/partita/key_roles.py";
  EXPECT_NE(text.find("NOT_USED = \"" + std::string(base::not_used_mark) + "\""), std::string::npos);
  EXPECT_EQ(role_of("infer.warmup", base::RunKind::inference), base::KeyRole::choice);
  EXPECT_EQ(role_of("model.layer 1", base::RunKind::training), base::KeyRole::choice);
}

TEST(Config, TheHashIsOfTheInputsShapeNotItsSpelling) {
  const auto hash = [](const std::string& input) {
    const Parsed parsed({"--model.input=" + input, "--model.layer=linear 2"}, false);
    EXPECT_TRUE(parsed.violations.empty());
    return config_hash(parsed.options);
  };
  EXPECT_EQ(hash("4"), hash("04"));
  EXPECT_NE(hash("4"), hash("5"));
}

}  // namespace
}  // namespace partita::config
