/// The texts of --help and --print-config.
#include <algorithm>
#include <map>
#include <sstream>

#include "partita/base/paths.hpp"
#include "partita/config/ini.hpp"
#include "switches.hpp"

namespace partita::sweep {

std::string print_config(const Options& options) {
  std::ostringstream text;
  const auto ini = config::ini_value;
  // Seen from a file in the working folder.
  text << "config = " << ini(base::absolute(options.config).string()) << "\n"
       << "output = " << ini(options.output.string()) << "\n\n[sweep]\nranks = " << options.ranks
       << "\ncombine = " << (options.combine == Combine::zip ? "zip" : "cartesian") << "\n";
  if (options.seeds) text << "seeds = " << ini(options.seeds->list) << "\n";
  text << "save-models = " << (options.save_models ? "true" : "false") << "\n";
  const auto absolute = [](const std::string& key, const std::string& value) {
    return key == "model.file" ? base::absolute(value).string() : value;
  };
  std::map<std::string, std::string> sections;
  std::string plain;
  for (const auto& [key, value] : options.fixed) {
    const auto dot = key.find('.');
    if (dot == std::string::npos)
      plain += key + " = " + ini(value) + "\n";
    else
      sections[key.substr(0, dot)] += key.substr(dot + 1) + " = " + ini(absolute(key, value)) + "\n";
  }
  for (const auto& [section, lines] : sections)
    text << "\n[" << section << "]\n" << lines;
  text << "\n[vary]\n";
  for (const auto& varied : options.vary) {
    std::string list;
    for (const auto& value : varied.values)
      list += (list.empty() ? "" : ", ") + absolute(varied.key, value);
    text << varied.key << " = " << ini(list) << "\n";
  }
  return (plain.empty() ? "" : plain) + text.str();
}

std::string help_text() {
  std::ostringstream text;
  text << "Usage: mpiexec -n RANKS partita-sweep --config SWEEP.ini [--section.key=value ...] [--output "
          "FOLDER]\n\n"
          "Trains many configurations of a run, on groups of ranks side by side; the next configuration goes "
          "to\n"
          "the next free group. The output folder gets one result file each and index.csv.\n"
          "Exit codes: 0 success; 1 a configuration failed; 2 bad input; 75 interrupted, submit again with\n"
          "--resume.\n\nSwitches:\n";
  const auto line = [&](std::string name, const std::string& meaning) {
    name.resize(std::max<std::size_t>(name.size() + 2, 30), ' ');
    text << "  " << name << meaning << "\n";
  };
  line("--config FILE", "the sweep's INI file");
  line("--shard k/n", "only every n-th configuration, from the k-th on (job arrays)");
  for (const auto& s : switches)
    line("--" + std::string(s.name), s.meaning);
  text << "\nKeys of the file (the command line wins):\n";
  line("config", "INI file of the base run, relative to the sweep's file");
  line("output", "folder of the results (default: the name of the sweep's file)");
  line("sweep.ranks=1", "ranks of a group: each configuration runs on so many");
  line("sweep.combine=cartesian", "of varied keys: cartesian (all with all) | zip (first with first)");
  line("sweep.seeds=LIST", "repeats each configuration with these seeds");
  line("sweep.save-models=false", "write each model beside its result (true or false)");
  line("vary.KEY=LIST", "values of a key of partita-train");
  line("KEY=VALUE", "a key of partita-train with another value than in the base run");
  text << "\nA LIST has values and ranges, separated by commas: 0.1, 0.03; 1..5; 10..50+10; 32..256*2.\n";
  return text.str();
}

}  // namespace partita::sweep
