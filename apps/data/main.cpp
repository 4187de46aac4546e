/// partita-data: makes, imports, checks and fetches data sets in IDX format.

#include <iostream>
#include <optional>

#include "commands.hpp"
#include "fetch.hpp"
#include "partita/base/end_signals.hpp"
#include "partita/base/version.hpp"
#include "partita/command_line/command_line.hpp"
#include "partita/command_line/program.hpp"
#include "partita/config/options.hpp"
#include "partita/data/library.hpp"

namespace {

namespace po = boost::program_options;
using namespace partita;
using Violations = std::vector<base::Violation>;
using Words = std::vector<std::string>;

constexpr const char* usage = R"(Usage: partita-data COMMAND [OPTIONS]

  generate --output FOLDER   draw a synthetic set and write it as IDX files
  import SOURCE --output FOLDER
                             write CIFAR-10 or CIFAR-100 (binary version: a folder or its .tar.gz) as IDX files
  verify FOLDER              check an IDX set; print counts, shape, mean, std and SHA-256
  fetch NAME --dir DIR       download mnist, fashion-mnist, cifar-10 or cifar-100 into DIR/NAME, checked against
                             pinned SHA-256

A set in DIR/NAME is trained on with data.dir = DIR and data.name = NAME.
Exit codes: 0 success; 1 failure (network, disk); 2 bad input, all of it named.
)";

/// Options of generate that are keys of runs, `data.*`, and may be what those may be.
constexpr const char* key_options[] = {"train-samples", "test-samples", "seed", "features", "classes"};

po::options_description generate_options() {
  po::options_description options("Options of generate");
  options.add_options()("output", po::value<std::string>(),
                        "folder to write; its name is the data.name to use")(
      "name", po::value<std::string>()->default_value("digits"), "digits, or random (classification)")(
      "train-samples", po::value<std::string>(),
      "default: 12000 (digits), 100 (random); as data.train-samples")(
      "test-samples", po::value<std::string>(), "default: 2000 (digits), 100 (random); as data.test-samples")(
      "seed", po::value<std::string>()->default_value("1"), config::key_meaning("data.seed").c_str())(
      "features", po::value<std::string>()->default_value("1x28x28"), "of a sample of random, CxHxW")(
      "classes", po::value<std::string>()->default_value("10"), "of random, at most 256")(
      "plain", "write plain files, not gzip")("overwrite", "replace existing files");
  return options;
}

po::options_description import_options() {
  po::options_description options("Options of import");
  options.add_options()("output", po::value<std::string>(),
                        "folder to write; its name is the data.name to use")(
      "plain", "write plain files, not gzip")("overwrite", "replace existing files");
  return options;
}

po::options_description fetch_options() {
  po::options_description options("Options of fetch");
  options.add_options()("dir", po::value<std::string>(), "default: PARTITA_DATA_DIR")(
      "mirror", po::value<Words>()->composing(),
      "address of a folder with the files (http, https or file), may be repeated; replaces the known ones");
  return options;
}

po::options_description common_options() {
  po::options_description options("Options of every command");
  options.add_options()("help", "print this text")("version", "print the version");
  return options;
}

int run_generate(const po::variables_map& values) {
  Violations violations;
  app::GenerateCommand command;
  command.data.name = values["name"].as<std::string>();
  if (values.count("output")) command.output = values["output"].as<std::string>();
  command.compression = values.count("plain") ? data::Compression::none : data::Compression::gzip;
  command.overwrite = values.count("overwrite") > 0;
  config::RunOptions run;
  const auto read = [&](const char* option, const std::string& key) {
    if (!values.count(option)) return;
    const auto text = values[option].as<std::string>();
    if (const auto wrong = config::read_key(run, key, text); !wrong.empty())
      violations.push_back({std::string("--") + option, text, wrong});
  };
  for (const char* option : key_options)
    read(option, std::string("data.") + option);
  const auto refuse = [&](const char* option, const std::string& why) {
    violations.push_back({std::string("--") + option, values[option].as<std::string>(), why});
  };
  if (run.data.random.features.rank() != 3) refuse("features", "must be CHANNELSxHEIGHTxWIDTH, e.g. 1x28x28");
  if (run.data.classes > 256) refuse("classes", "is more than a label's byte can tell; the nearest is 256");
  run.data.name = command.data.name;
  run.data.random.task = data::Task::classification;
  command.data = run.data;
  if (!violations.empty()) throw base::ConfigError(std::move(violations));
  return app::generate(command);
}

int run_import(const po::variables_map& values) {
  app::ImportCommand command;
  if (const auto source = command_line::words_of(values, "source"); !source.empty())
    command.source = source.front();
  command.output = command_line::text_of(values, "output");
  command.compression = values.count("plain") ? data::Compression::none : data::Compression::gzip;
  command.overwrite = values.count("overwrite") > 0;
  return app::import_set(command);
}

int run_verify(const po::variables_map& values) {
  const auto folder = command_line::words_of(values, "folder");
  if (folder.empty())
    throw base::ConfigError({{.key = "verify", .value = "", .message = "must be followed by a folder"}});
  return app::verify({.folder = folder.front()});
}

int run_fetch(const po::variables_map& values) {
  app::FetchCommand command;
  if (const auto set = command_line::words_of(values, "set"); !set.empty()) command.name = set.front();
  if (values.count("dir")) command.dir = values["dir"].as<std::string>();
  command.mirrors = command_line::words_of(values, "mirror");
  return app::fetch(command);
}

void print_help() {
  std::cout << usage << '\n' << generate_options() << '\n' << import_options() << '\n' << fetch_options();
  for (const auto& source : app::known_sources()) {
    std::cout << "  " << source.name << " from";
    for (const auto& mirror : source.mirrors)
      std::cout << ' ' << mirror;
    std::cout << '\n';
  }
  std::cout << '\n' << common_options();
}

std::string version_text() {
  return base::version_text("partita-data",
                            {{"curl", app::libcurl_version()}, {"zlib", data::library_version()}});
}

int run_command(const std::string& command, const Words& rest) {
  struct Known {
    const char* name;
    po::options_description options;
    const char* positional;  ///< "": none
    int (*run)(const po::variables_map&);
  };
  const Known commands[] = {{"generate", generate_options(), "", run_generate},
                            {"import", import_options(), "source", run_import},
                            {"verify", po::options_description(), "folder", run_verify},
                            {"fetch", fetch_options(), "set", run_fetch}};
  for (const auto& known : commands) {
    if (command != known.name) continue;
    po::options_description all;
    all.add(known.options).add(common_options());
    const auto values = command_line::parse(rest, all, known.positional, 1);
    if (values.count("help")) return print_help(), 0;
    if (values.count("version")) return std::cout << version_text(), 0;
    return known.run(values);
  }
  throw base::ConfigError(
      {{.key = "command",
        .value = command,
        .message = "must be generate, import, verify or fetch; see partita-data --help"}});
}

int run(const Words& words) {
  if (words.empty()) return std::cerr << usage, command_line::bad_input;
  if (words[0] == "--help") return print_help(), 0;
  if (words[0] == "--version") return std::cout << version_text(), 0;
  return run_command(words[0], {words.begin() + 1, words.end()});
}

}  // namespace

int main(int argc, char** argv) {
  base::end_on_signals("partita-data");
  return command_line::run("partita-data", [&] { return run(command_line::words_of(argc, argv)); });
}
