#include <algorithm>
#include <boost/program_options.hpp>
#include <cctype>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "keys.hpp"
#include "partita/base/digest.hpp"

namespace partita::config {
namespace {

namespace po = boost::program_options;
using base::Violation;

struct Switch {
  const char* name;
  const char* meaning;
  bool RunOptions::*member;
};
constexpr Switch switches[] = {
    {"help", "show this text", &RunOptions::help},
    {"version", "show the version", &RunOptions::version},
    {"print-config", "print the configuration in use as an INI file, run nothing", &RunOptions::print_config},
    {"dry-run", "print grid, shapes, memory and predicted bytes, run nothing", &RunOptions::dry_run},
    {"overwrite", "replace an existing output", &RunOptions::overwrite},
    {"resume", "go on from the newest checkpoint, if there is one", &RunOptions::resume},
};

/// Every value given for each key, in order.
using Values = std::map<std::string, std::vector<std::string>>;

const std::set<std::string>& file_keys() {
  static const std::set<std::string> names = [] {
    std::set<std::string> all{"model.file", "model.layer"};
    for (const auto& key : keys())
      all.insert(key.name);
    return all;
  }();
  return names;
}

void refuse_unknown(const std::string& name, const std::string& value, const std::string& where,
                    std::vector<Violation>& violations) {
  std::vector<std::string_view> known(file_keys().begin(), file_keys().end());
  if (where.empty()) {
    known.push_back("config");
    for (const auto& s : switches)
      known.push_back(s.name);
  }
  const auto nearest = model::nearest_word(name, known);
  violations.push_back({name, value,
                        "unknown key" + (where.empty() ? "" : " in " + where) +
                            (nearest.empty() ? "" : "; did you mean " + nearest + "?")});
}

/// What a file or the command line gave. `whole` is false when a part could not be read, so that what is
/// missing may be there.
struct Source {
  Values values;
  bool whole = true;
};

/// Reads one INI file, line by line so that a bad one hides no other; refuses unknown keys and keys given
/// twice.
Source read_file(const std::filesystem::path& path, const char* option, std::vector<Violation>& violations) {
  Source source;
  std::ifstream file(path);
  if (!file || std::filesystem::is_directory(path)) {
    violations.push_back({option, path.string(), "the file cannot be read"});
    return source.whole = false, source;
  }
  std::string section;
  bool lost = false;  // under a header that cannot be read, keys would be blamed for the wrong section
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const auto begin = line.find_first_not_of(" \t\r");
    if (begin != std::string::npos && line[begin] == '[') section = line, lost = false;
    if (lost) continue;
    std::istringstream text(section + "\n" + line);
    try {
      for (const auto& read : po::parse_config_file(text, po::options_description{}, true).options) {
        auto& list = source.values[read.string_key];
        if (!file_keys().contains(read.string_key))
          refuse_unknown(read.string_key, read.value.front(), path.string(), violations);
        else if (!list.empty() && read.string_key != "model.layer")
          violations.push_back({read.string_key, read.value.front(), "is given twice in " + path.string()});
        list.push_back(read.value.empty() ? "" : read.value.front());
      }
    } catch (const po::error&) {
      violations.push_back(
          {path.string() + ", line " + std::to_string(number), line, "is neither [section] nor key = value"});
      source.whole = false;
      lost = section == line;
    }
  }
  return source;
}

po::options_description command_line_description() {
  po::options_description all;
  all.add_options()("config", po::value<std::vector<std::string>>(), "");
  for (const auto& s : switches)
    all.add_options()(s.name, "");
  for (const auto& name : file_keys())
    all.add_options()(name.c_str(), po::value<std::vector<std::string>>(), "");
  return all;
}

/// The words of one option: "--key=value", or "--key" and what follows it up to the next option.
std::vector<std::vector<std::string>> split_by_option(int argc, const char* const* argv) {
  std::vector<std::vector<std::string>> groups;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (groups.empty() || word.starts_with("--")) groups.emplace_back();
    groups.back().push_back(word);
  }
  return groups;
}

/// Option by option, so that a bad one hides no other.
Values read_command_line(int argc, const char* const* argv, RunOptions& options,
                         std::vector<Violation>& violations) {
  Values values;
  const auto description = command_line_description();
  const auto style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing &
                     ~po::command_line_style::allow_short & ~po::command_line_style::allow_sticky;
  for (const auto& words : split_by_option(argc, argv)) {
    po::parsed_options parsed(&description);
    try {
      parsed = po::command_line_parser(words).options(description).style(style).allow_unregistered().run();
    } catch (const po::error& error) {
      violations.push_back({words.front(), "", error.what()});
      continue;
    }
    bool unknown = false;
    for (const auto& option : parsed.options) {
      const auto* known = std::find_if(std::begin(switches), std::end(switches),
                                       [&](const Switch& s) { return option.string_key == s.name; });
      const std::string value = option.value.empty() ? "" : option.value.front();
      if (known != std::end(switches))
        options.*(known->member) = true;
      else if (option.position_key >= 0 && unknown)
        continue;  // the value of what was refused
      else if (option.position_key >= 0)
        violations.push_back({value, "", "is not an option; options begin with --"});
      else if (option.unregistered)
        unknown = true, refuse_unknown(option.string_key, value, "", violations);
      else
        values[option.string_key].push_back(value);
    }
  }
  for (const auto& [name, list] : values)
    if (list.size() > 1 && name != "model.layer") violations.push_back({name, list.back(), "is given twice"});
  return values;
}

/// Values of `over` win; a list of layers is replaced whole.
void overlay(Values& values, const Values& over) {
  for (const auto& [name, list] : over)
    values[name] = list;
}

/// The run file, under it the model file that it (or the command line) names.
Source gather(Values command_line, std::vector<Violation>& violations) {
  Source run, all;
  std::filesystem::path folder;
  if (const auto config = command_line.extract("config")) {
    const std::filesystem::path path = config.mapped().front();
    folder = path.parent_path();
    run = read_file(path, "config", violations);
  }
  std::filesystem::path model_file;
  if (run.values.contains("model.file")) model_file = folder / run.values["model.file"].front();
  if (command_line.contains("model.file")) model_file = command_line["model.file"].front();
  if (!model_file.empty()) all = read_file(model_file, "model.file", violations);
  for (const auto& [name, list] : all.values)
    if (!name.starts_with("model."))
      violations.push_back(
          {name, list.front(), "a model file holds [model] keys only: " + model_file.string()});
  overlay(all.values, run.values);
  overlay(all.values, command_line);
  all.values.erase("model.file");
  all.whole = all.whole && run.whole;
  return all;
}

/// An INI file has no quotes: '#' begins a comment and blanks around a value are lost.
void refuse_unprintable(const Values& values, std::vector<Violation>& violations) {
  for (const auto& [name, list] : values)
    for (const auto& value : list)
      if (value.find_first_of("#\n\r") != std::string::npos ||
          (!value.empty() && (std::isspace(value.front()) != 0 || std::isspace(value.back()) != 0)))
        violations.push_back(
            {name, value,
             "must not contain '#' or line breaks, nor begin or end with a blank: an INI file "
             "could not hold it"});
}

/// Evaluations leave the parameters as they are, unless one of them ends the training.
bool decides_result(const Key& key, const RunOptions& options) {
  return key.decides_result || (key.name == "evaluate.every" && options.train.target_accuracy);
}

/// Canonical "key = value" lines by section.
std::string ini(const RunOptions& options, bool only_deciding) {
  std::string text, section;
  std::string plain;
  for (const auto& key : keys()) {
    if (only_deciding && !decides_result(key, options)) continue;
    auto value = key.print(options);
    if (!value) continue;
    if (only_deciding && key.name == "model.input") value = to_string(options.model.input);
    const auto dot = key.name.find('.');
    if (dot == std::string::npos) {
      plain += key.name + " = " + *value + "\n";
      continue;
    }
    if (key.name.substr(0, dot) != section) {
      section = key.name.substr(0, dot);
      text += (text.empty() ? "[" : "\n[") + section + "]\n";
    }
    text += key.name.substr(dot + 1) + " = " + *value + "\n";
    if (key.name != "model.input") continue;
    // The hash must not depend on how a layer is spelled, nor on how the input above it is.
    for (const auto& layer : options.model.layers)
      text += only_deciding ? "layer = " + layer.line() + "\n" : "";
    for (const auto& layer : options.model_text.layers)
      text += only_deciding ? "" : "layer = " + layer + "\n";
  }
  return plain + (plain.empty() ? "" : "\n") + text;
}

/// A name and what it means beside it, broken between words so that a terminal of 100 columns shows it whole.
std::string help_entry(const std::string& name, const std::string& meaning) {
  constexpr std::size_t column = 38, width = 100;
  std::string text, line = "  " + name;
  if (line.size() + 2 > column) text = std::exchange(line, "") + "\n";
  line.resize(column, ' ');
  bool empty = true;
  std::istringstream words(meaning);
  for (std::string word; words >> word; empty = false) {
    if (!empty && line.size() + 1 + word.size() > width) {
      text += std::exchange(line, std::string(column, ' ')) + "\n";
      empty = true;
    }
    line += (empty ? "" : " ") + word;
  }
  return text + line + "\n";
}

}  // namespace

RunOptions parse(int argc, const char* const* argv, std::vector<Violation>& violations) {
  RunOptions options;
  const auto [values, whole] = gather(read_command_line(argc, argv, options, violations), violations);
  if (options.help || options.version) return options;
  refuse_unprintable(values, violations);
  for (const auto& key : keys())
    if (const auto found = values.find(key.name); found != values.end())
      if (const auto wrong = key.read(options, found->second.front()); !wrong.empty())
        violations.push_back({key.name, found->second.front(), wrong});
  if (const auto layers = values.find("model.layer"); layers != values.end())
    options.model_text.layers = layers->second;
  if (values.contains("train.batch") && values.contains("train.batch-per-rank"))
    violations.push_back({"train.batch-per-rank", values.at("train.batch-per-rank").front(),
                          "excludes train.batch: give the global batch or the batch of a rank"});
  if (options.train.precision == Precision::fp64 && options.backend == Backend::cpu)
    violations.push_back(
        {"train.precision", "fp64", "the cpu kernels compute in fp32; use compute.backend=reference"});
  const bool has_model = !options.model_text.input.empty() || !options.model_text.layers.empty();
  if (!has_model && whole)
    violations.push_back({"config", "", "no model given: use --config FILE or --model.file=FILE"});
  if (has_model && whole) options.model = model::parse_model(options.model_text, violations);
  return options;
}

std::string print_config(const RunOptions& options) { return ini(options, false); }

std::string config_hash(const RunOptions& options) { return base::Sha256().update(ini(options, true)).hex(); }

std::string help_text(const std::string& program) {
  std::ostringstream text;
  text
      << "Usage: mpiexec -n RANKS " << program
      << " --config FILE.ini [--section.key=value ...] [--output FILE.h5]\n\n"
      << "The command line wins over the file; in a file a key stands as \"[section]\" and \"key = value\".\n"
         "Exit codes: 0 success; 1 the run failed; 2 bad input.\n\nSwitches:\n";
  const auto line = [&](const std::string& name, const std::string& meaning) {
    text << help_entry(name, meaning);
  };
  line("--config FILE", "the run's INI file");
  for (const auto& s : switches)
    line(std::string("--") + s.name, s.meaning);
  const RunOptions defaults;
  std::string section = "none";
  for (const auto& key : keys()) {
    const auto dot = key.name.find('.');
    if (const auto of_key = dot == std::string::npos ? "" : key.name.substr(0, dot); of_key != section) {
      section = of_key;
      text << (section.empty() ? "\nFiles:\n" : "\n[" + section + "]\n");
      if (section == "model") {
        line("--model.file FILE", "INI file with the [model] section, relative to the run's file");
        line("--model.layer LINE", "one layer, such as \"conv 10 kernel=5\"; repeated");
      }
    }
    const auto value = key.print(defaults);
    line("--" + key.name + (value ? "=" + *value : ""), key.meaning);
  }
  return text.str();
}

}  // namespace partita::config
