#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "partita/config/options.hpp"

namespace partita::config {
namespace {

/// Parses a command line beside a small valid model.
struct Parsed {
  std::vector<base::Violation> violations;
  RunOptions options;
  explicit Parsed(std::vector<std::string> arguments, bool with_model = true) {
    std::vector<const char*> argv{"test"};
    if (with_model) arguments.insert(arguments.begin(), {"--model.input=4", "--model.layer=linear 2"});
    for (const auto& argument : arguments)
      argv.push_back(argument.c_str());
    options = parse(static_cast<int>(argv.size()), argv.data(), violations);
  }
  [[nodiscard]] bool names(const std::string& text) const {
    for (const auto& violation : violations)
      if (to_string(violation).find(text) != std::string::npos) return true;
    return false;
  }
};

/// A file that is gone when the test ends.
struct TemporaryFile {
  std::filesystem::path path;
  explicit TemporaryFile(const std::string& text) {
    char name[] = "/tmp/partita-config-XXXXXX";
    close(mkstemp(name));
    path = name;
    std::ofstream(path) << text;
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
};

TEST(Config, NumbersThatAreNotInTheirRangeAreRefused) {
  for (const char* number : {"-1", "0", "nan", "inf", "1e400", "12abc", "99999999999999999999", "1.5"})
    EXPECT_EQ(Parsed({std::string("--train.batch=") + number}).violations.size(), 1U) << number;
  for (const char* number : {"-1", "0", "nan", "inf", "1e400", "1x"})
    EXPECT_EQ(Parsed({std::string("--train.learning-rate=") + number}).violations.size(), 1U) << number;
  EXPECT_FALSE(Parsed({"--train.batch="}).violations.empty());
  EXPECT_TRUE(Parsed({"--train.batch=-1"}).names("the nearest is 1"));
  EXPECT_TRUE(Parsed({"--train.seed=18446744073709551615"}).violations.empty());
}

TEST(Config, AllViolationsComeTogetherWithTheNearestKey) {
  const Parsed parsed(
      {"--train.bach=3", "--train.momentum=2", "--data.std=0", "--train.shuffle=yes", "--grid.tensor=0"});
  EXPECT_EQ(parsed.violations.size(), 5U);
  EXPECT_TRUE(parsed.names("did you mean train.batch"));
}

TEST(Config, UnknownKeysAreHintedAtByMeaning) {
  const std::pair<const char*, const char*> hints[] = {{"train.lr", "train.learning-rate?"},
                                                       {"lr", "train.learning-rate?"},
                                                       {"batch-size", "train.batch?"},
                                                       {"train.batch_size", "train.batch?"},
                                                       {"batch", "train.batch or infer.batch?"},
                                                       {"epochs", "train.epochs?"},
                                                       {"workers", "compute.threads?"},
                                                       {"num_workers", "compute.threads?"},
                                                       {"Train.Batch", "train.batch?"},
                                                       {"seed", "train.seed"},
                                                       {"train.wd", "train.weight-decay?"},
                                                       {"tp", "grid.tensor?"},
                                                       {"data.sed", "data.seed?"},
                                                       {"np", "mpiexec -n RANKS"},
                                                       {"nproc_per_node", "mpiexec -n RANKS"},
                                                       {"pretrained", "load-model?"},
                                                       {"grad-accum", "pipeline.microbatches?"},
                                                       {"momentun", "mean train.momentum?"}};
  for (const auto& [name, hint] : hints)
    EXPECT_TRUE(Parsed({std::string("--") + name + "=1"}).names(hint))
        << name << ": " << to_string(Parsed({std::string("--") + name + "=1"}).violations.front());
  for (const std::string name : {"train.clip", "train.dropout", "train.adam", "model.dropout", "data.augment",
                                 "grid.expert", "verbosity"})
    EXPECT_FALSE(Parsed({"--" + name + "=1"}).names("did you mean")) << name;
}

TEST(Config, ASyntaxErrorHidesNoOtherViolation) {
  const Parsed parsed(
      {"--overwrite=false", "--train.batch=", "--train.seed=-1", "--train.bach", "10", "--data.std=0"});
  EXPECT_EQ(parsed.violations.size(), 5U);
  for (const char* text : {"overwrite", "train.batch", "train.seed", "train.bach", "data.std"})
    EXPECT_TRUE(parsed.names(text));
  const TemporaryFile file("[model]\ninput = 4\nwhat is this\n[train]\nbatch = -1\n= 3\n");
  const Parsed from_file({"--config=" + file.path.string(), "--train.seed=x"}, false);
  EXPECT_EQ(from_file.violations.size(), 4U);
  EXPECT_TRUE(from_file.names("line 3") && from_file.names("line 6") && from_file.names("train.batch"));
  EXPECT_FALSE(from_file.names("no model given"));
  EXPECT_EQ(Parsed({"--config=/nonexistent.ini"}, false).violations.size(), 1U);
  const TemporaryFile header("[model]\ninput = 4\nlayer = linear 2\n[train\nbatch = -1\n[data]\nstd = 0\n");
  const Parsed below({"--config=" + header.path.string()}, false);
  EXPECT_EQ(below.violations.size(), 2U);
  EXPECT_TRUE(below.names("line 4") && below.names("data.std"));
  EXPECT_TRUE(Parsed({"--train.batch", "-1"}).names("the nearest is 1"));
  EXPECT_TRUE(Parsed({"--train.seed=3"}, false).names("no model given"));
}

TEST(Config, ViolationsNameTheNearestValueWhereThereIsOne) {
  EXPECT_TRUE(Parsed({"--train.batch=99999999999999999999"}).names("the nearest is 1099511627776"));
  EXPECT_TRUE(Parsed({"--train.momentum=inf"}).names("the nearest is 1"));
  EXPECT_TRUE(Parsed({"--train.momentum=-1e999"}).names("the nearest is 0"));
  EXPECT_TRUE(Parsed({"--train.learning-rate=0"}).names("the nearest lie just above 0"));
  EXPECT_TRUE(Parsed({"--train.seed=-3"}).names("the nearest is 0"));
  EXPECT_TRUE(Parsed({"--train.momentum=nan"}).names("the least is 0"));
  EXPECT_TRUE(Parsed({"--train.learning-rate=-nan"}).names("the least lie just above 0"));
  EXPECT_TRUE(Parsed({"--grid.tensor=0"}).names("the nearest is 1"));
}

TEST(Config, ValuesThatAnIniFileCannotHoldAreRefused) {
  for (const char* value : {"--output=a\nb", "--output=a\rb", "--output='a\" # b"})
    EXPECT_TRUE(Parsed({value}).names("INI")) << value;
  for (const char* value : {"a#b.h5", " a.h5", "\"q\".h5", "s.h5 ; note"}) {
    const Parsed parsed({std::string("--output=") + value});
    ASSERT_TRUE(parsed.violations.empty()) << value;
    std::vector<base::Violation> violations;
    EXPECT_EQ(parse_text(print_config(parsed.options), violations).output, value);
    EXPECT_TRUE(violations.empty());
  }
}

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

TEST(Config, KeysAreNotGuessedFromPrefixes) {
  EXPECT_TRUE(Parsed({"--train.bat=3"}).names("unknown key"));
  EXPECT_TRUE(Parsed({"--hel"}).names("unknown key"));
  EXPECT_TRUE(Parsed({"stray"}).names("is not an option"));
}

TEST(Config, DashesWithoutANameAreNoOption) {
  EXPECT_TRUE(Parsed({"--=5"}).names("-- = 5: is no option"));
  const Parsed parsed({"--", "stray", "--train.momentum=2"});
  EXPECT_EQ(parsed.violations.size(), 3U);
  EXPECT_TRUE(parsed.names("--: is no option"));
  EXPECT_TRUE(parsed.names("stray: is not an option"));
}

TEST(Config, TheCommandLineWinsOverTheFile) {
  const TemporaryFile file("[model]\ninput = 4\nlayer = linear 3\n[train]\nbatch = 7\nepochs = 2\n");
  const Parsed parsed({"--config", file.path.string(), "--train.batch", "9"}, false);
  EXPECT_TRUE(parsed.violations.empty());
  EXPECT_EQ(parsed.options.train.batch, 9);
  EXPECT_EQ(parsed.options.train.epochs, 2);
}

TEST(Config, AFileIsCheckedLikeTheCommandLine) {
  const TemporaryFile file(
      "[model]\ninput = 4\nlayer = linear 3\n[train]\nbatch = 7\nbatch = 8\nlearnin-rate = 1\n");
  const Parsed parsed({"--config=" + file.path.string()}, false);
  EXPECT_TRUE(parsed.names("is given twice"));
  EXPECT_TRUE(parsed.names("did you mean train.learning-rate"));
}

TEST(Config, AFileThatCannotBeReadIsNamedWithItsKeyAndWhy) {
  const Parsed missing({"--config=/nonexistent.ini", "--model.file=/tmp"}, false);
  EXPECT_TRUE(missing.names("config = /nonexistent.ini: cannot be read: No such file or directory"));
  EXPECT_TRUE(missing.names("model.file = /tmp: cannot be read: it is a folder"));
  const TemporaryFile secret("[model]\n");
  std::filesystem::permissions(secret.path, std::filesystem::perms::none);
  if (geteuid() == 0) return;  // who may read everything
  EXPECT_TRUE(Parsed({"--config=" + secret.path.string()}, false).names("cannot be read: Permission denied"));
}

TEST(Config, AnEmptyValueIsAsIfTheKeyWereNotGivenWhereItMayBe) {
  const TemporaryFile file(
      "output = a.h5\nload-model = m.h5\nload-model.skip = head\n[model]\ninput = 4\nlayer = linear 3\n"
      "file = elsewhere.ini\n[train]\nsteps = 7\nbatch-per-rank = 3\n[data]\nmean = 1\ndir =\n[sync]\n"
      "table = t\n");
  const Parsed parsed({"--config=" + file.path.string(), "--output=", "--load-model", "",
                       "--load-model.skip=", "--model.file=", "--train.steps=", "--train.batch-per-rank=",
                       "--train.batch=5", "--data.mean=", "--sync.table="},
                      false);
  EXPECT_TRUE(parsed.violations.empty()) << to_string(parsed.violations.front());
  EXPECT_EQ(
      print_config(parsed.options),
      print_config(Parsed({"--model.input=4", "--model.layer=linear 3", "--train.batch=5"}, false).options));
  EXPECT_TRUE(Parsed({"--config="}).violations.empty());
  EXPECT_TRUE(Parsed({"--config="}, false).names("no model given"));
  for (const char* key : {"train.batch", "train.precision", "data.name", "model.name", "data.features",
                          "train.shuffle", "train.learning-rate"}) {
    const Parsed refused({std::string("--") + key + "="});
    EXPECT_EQ(refused.violations.size(), 1U) << key;
    EXPECT_TRUE(refused.names(std::string(key) + ": must ")) << to_string(refused.violations.front());
  }
}

TEST(Config, AnOptionWithoutAValueSaysWhatItNeeds) {
  EXPECT_TRUE(Parsed({"--train.batch"}).names("train.batch: needs a value: --train.batch=VALUE"));
  EXPECT_TRUE(Parsed({"--output", "--train.seed=3"}).names("output: needs a value"));
  EXPECT_TRUE(Parsed({"--overwrite="}).names("overwrite: takes no value"));
  EXPECT_TRUE(Parsed({"--overwrite=true"}).names("overwrite = true: takes no value"));
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
  EXPECT_TRUE(check_nodes(options, std::vector{0, 0, 0, 0}).empty());
  const auto spread = check_nodes(options, std::vector{0, 0, 1, 1});
  ASSERT_EQ(spread.size(), 1U);
  EXPECT_EQ(spread.front().key, "sync.device-messages");
  options.sync.ranks_per_node = 2;
  EXPECT_EQ(check_nodes(options, std::vector{0, 0, 0, 0}).size(), 1U);
  EXPECT_EQ(print_config(Parsed({"--seed=1"}).options).find("device-messages"), std::string::npos);
  EXPECT_NE(print_config(options).find("device-messages = ipc"), std::string::npos);
}

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

TEST(Config, ChannelsHaveNumbersOfTheirOwn) {
  for (const std::string text : {"0.5,0.25,-1e-3", "0.5 0.25 -1e-3", "0.5 , 0.25,  -0.001"}) {
    const Parsed parsed({"--data.mean=" + text, "--data.std=2"});
    EXPECT_TRUE(parsed.violations.empty());
    EXPECT_EQ(parsed.options.data.mean, (std::vector<double>{0.5, 0.25, -1e-3})) << text;
    EXPECT_EQ(parsed.options.data.stddev, (std::vector<double>{2}));
    EXPECT_NE(print_config(parsed.options).find("mean = 0.5 0.25 -0.001\nstd = 2\n"), std::string::npos);
  }
  const Parsed wrong({"--data.mean=0.5,,1", "--data.std=1 0 2"});
  EXPECT_TRUE(wrong.names("between commas") && wrong.names("'0' must be a number above 0"));
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
  EXPECT_EQ(inference_plan_options(parsed.options).batch, 7);
  EXPECT_TRUE(Parsed({"--infer.repetitions=0"}).names("the nearest is 1"));
}

TEST(Config, ADeterministicTrainingBindsNoInference) {
  auto options = Parsed({"--train.deterministic=true", "--train.batch=1"}).options;
  ASSERT_TRUE(fit_to_world(options, 3).empty());
  EXPECT_FALSE(check_plan(options).empty());
  EXPECT_TRUE(check_inference_plan(options).empty());
  EXPECT_EQ(inference_plan_options(options).batch, 3 * 256);
  EXPECT_EQ(inference_plan_options(options).pipeline.microbatches, 1);
}

TEST(Config, TheHashCountsEvaluationsOnlyWhereTheyEndTheTraining) {
  const auto hash = [](std::vector<std::string> arguments) { return config_hash(Parsed(arguments).options); };
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

TEST(Config, AKeyMeansTheSameToTheReport) {
  constexpr std::pair<base::KeyRole, const char*> names[] = {
      {base::KeyRole::split, "split"},       {base::KeyRole::batch, "batch"}, {base::KeyRole::start, "start"},
      {base::KeyRole::data_set, "data_set"}, {base::KeyRole::table, "table"}, {base::KeyRole::draw, "draw"},
      {base::KeyRole::none, "none"}};
  std::string expected;
  for (const auto& key : run_keys())
    for (const auto& [role, name] : names)
      if (role_of(key, base::RunKind::training) == role)
        expected += "    \"" + key + "\": \"" + name + "\",\n";
  std::ifstream file(SCRIPTS "/partita/key_roles.py");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const auto begin = text.find("ROLES = {\n") + 10;
  EXPECT_EQ(text.substr(begin, text.rfind("}") - begin), expected) << "scripts/partita/key_roles.py";
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

TEST(Config, TheHelpFitsATerminalAndTellsEveryRange) {
  std::istringstream text(help_text("partita-train", "") + help_text("partita-train", "layers"));
  std::string whole;
  for (std::string line; std::getline(text, line); whole += line + "\n") {
    // Code points, not bytes.
    const auto columns = std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; });
    EXPECT_LE(columns, 100) << line;
  }
  for (const char* part :
       {"[grid]", "[model]", "[train]", "[sync]", "[data]", "--train.batch=64", "1099511627776"})
    EXPECT_NE(whole.find(part), std::string::npos) << part;
}

TEST(Config, TheHelpHasATopicForLayers) {
  const Parsed parsed({"--help", "layers"});
  EXPECT_TRUE(parsed.violations.empty());
  EXPECT_TRUE(parsed.options.help);
  EXPECT_EQ(parsed.options.help_topic, "layers");
  EXPECT_NE(help_text("partita-infer", "layers").find("maxpool WINDOW [stride=STRIDE]"), std::string::npos);
  EXPECT_NE(help_text("partita-train", "").find("--help layers"), std::string::npos);
  EXPECT_TRUE(Parsed({"--help", "lyers"}).names("--help layers"));
  EXPECT_TRUE(Parsed({"--dry-run", "layers"}).names("is not an option"));
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
