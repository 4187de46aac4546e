/// Options as text: the INI file that `parse` reads back, its hash, and the help.
#include <sstream>
#include <utility>

#include "keys.hpp"
#include "partita/base/digest.hpp"
#include "partita/config/ini.hpp"
#include "partita/model/grammar.hpp"

namespace partita::config {
namespace {

/// Evaluations leave the parameters as they are, unless one of them ends the training.
bool decides_result(const Key& key, const RunOptions& options) {
  return key.decides_result || (key.name == "evaluate.every" && options.train.target_accuracy);
}

/// As it is given, or by what it means: of all keys, or of those that decide the result.
enum class Text { given, meant, deciding };

/// Canonical "key = value" lines by section.
std::string ini(const RunOptions& options, Text kind) {
  std::string text, section;
  std::string plain;
  for (const auto& key : keys()) {
    if (kind == Text::deciding && !decides_result(key, options)) continue;
    auto value = kind == Text::given ? key.print(options) : meaning(key, options);
    if (!value) continue;
    if (kind == Text::given)
      value = ini_value(*value) + (is_used(key, options) ? "" : " " + std::string(base::not_used_mark));
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
    for (auto layer : options.model.layers) {
      if (kind == Text::deciding)  // names decide only what is loaded
        layer.is_named = layer.is_named && !options.load_model.empty();
      text += kind == Text::given ? "" : "layer = " + layer.line() + "\n";
    }
    for (const auto& layer : options.model_text.layers)
      text += kind == Text::given ? "layer = " + ini_value(layer) + "\n" : "";
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

std::string print_config(const RunOptions& options) { return ini(options, Text::given); }

std::string meaning_of(const RunOptions& options) { return ini(options, Text::meant); }

std::string config_hash(const RunOptions& options) {
  return base::Sha256().update(ini(options, Text::deciding)).hex();
}

std::string help_text(const std::string& program, const std::string& topic) {
  if (topic == layers_topic) return model::grammar_text();
  std::ostringstream text;
  text
      << "Usage: mpiexec -n RANKS " << program
      << " --config FILE.ini [--section.key=value ...] [--output FILE.h5]\n\n"
      << "The command line wins over the file; in a file a key stands as \"[section]\" and \"key = value\".\n"
         "Exit codes: 0 success; 1 the run failed; 2 bad input; 75 a training was checkpointed on a "
         "signal;\n128 + n signal n ended the program.\n\nSwitches:\n";
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
        line("--model.layer LINE",
             "one layer, such as \"conv 10 kernel=5\"; repeated (--help layers: the grammar)");
      }
    }
    const auto value = key.print(defaults);
    line("--" + key.name + (value ? "=" + *value : ""), key.meaning);
  }
  return text.str();
}

}  // namespace partita::config
