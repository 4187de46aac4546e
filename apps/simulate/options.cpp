/// Takes its own options out of the words; the others are those of a run.
#include "options.hpp"

#include <algorithm>

#include "partita/base/number.hpp"
#include "partita/config/option_words.hpp"

namespace partita::simulate {

Options parse(int argc, const char* const* argv, std::vector<base::Violation>& violations) {
  Options options;
  if (argc > 0) options.run.emplace_back(argv[0]);
  for (auto& option : config::split_by_option({argv + 1, argv + std::max(argc, 1)})) {
    if (option.name != "ranks") {
      if (option.is_option)
        options.run.push_back("--" + option.name + (option.value ? "=" + *option.value : ""));
      options.run.insert(options.run.end(), option.words.begin(), option.words.end());
      continue;
    }
    const auto text = option.take_value().value_or("");
    options.ranks = base::number_of<int>(text).value_or(0);
    if (options.ranks < 1 || options.ranks > most_ranks)
      violations.push_back({"ranks", text, "must be a whole number from 1 to " + std::to_string(most_ranks)});
    for (const auto& word : option.words)
      violations.push_back({word, "", "is not an option; options begin with --"});
  }
  return options;
}

std::string usage() {
  return "Usage: partita-simulate --config FILE.ini --machine FILE.machine [--ranks N] [--section.key=value "
         "...]\n"
         "                        [--output FILE.h5]\n\n"
         "Predicts what partita-train would do with the same keys on N ranks (without --ranks: as many as "
         "the\n"
         "grid has) of the machine. No ranks are started, nothing is trained.\n\n";
}

}  // namespace partita::simulate
