/// What is read from a command line and a file, what is refused there and how that is said; the help.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "parsed.hpp"

namespace partita::config {
namespace {

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
                                                       {"grad-accum", "train.accumulate?"},
                                                       {"momentun", "mean train.momentum?"},
                                                       {"optim", "train.optimizer?"},
                                                       {"betas", "train.beta1 or train.beta2?"},
                                                       {"adam-eps", "train.epsilon?"},
                                                       {"train.clip", "train.clip-norm?"}};
  for (const auto& [name, hint] : hints)
    EXPECT_TRUE(Parsed({std::string("--") + name + "=1"}).names(hint))
        << name << ": " << to_string(Parsed({std::string("--") + name + "=1"}).violations.front());
  for (const std::string name : {"train.ema", "train.dropout", "train.adam", "model.dropout", "data.augment",
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
  EXPECT_TRUE(Parsed({"--train.shuffle=no"}).names("must be true or false; did you mean 'false'?"));
  EXPECT_TRUE(Parsed({"--train.shuffle=TRUE"}).names("did you mean 'true'?"));
  EXPECT_TRUE(Parsed({"--sync.algorithm=rign"}).names("did you mean 'ring'?"));
}

TEST(Config, ASectionIsPrintedOnce) {
  const auto text = print_config(Parsed({"--server.count=1"}).options);
  std::vector<std::string> sections;
  for (auto at = text.find("\n["); at != std::string::npos; at = text.find("\n[", at + 1))
    sections.push_back(text.substr(at + 1, text.find(']', at) - at));
  ASSERT_NE(std::ranges::find(sections, "[server]"), sections.end());
  std::ranges::sort(sections);
  EXPECT_EQ(std::ranges::adjacent_find(sections), sections.end()) << text;
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

}  // namespace
}  // namespace partita::config
