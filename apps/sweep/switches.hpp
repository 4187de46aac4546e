/// The switches of the command line, for whoever reads and whoever explains them.
#pragma once

#include "options.hpp"

namespace partita::sweep {

struct Switch {
  const char* name;
  const char* meaning;
  bool Options::*member;
};
inline constexpr Switch switches[] = {
    {"help", "show this text", &Options::help},
    {"version", "show the version", &Options::version},
    {"print-config", "print the sweep in use as an INI file, run nothing", &Options::print_config},
    {"dry-run", "list the configurations, run nothing", &Options::dry_run},
    {"resume", "skip what is complete in the output folder, run the rest", &Options::resume},
    {"overwrite", "replace the results of an earlier sweep in the output folder", &Options::overwrite},
    {"index-only", "write the index anew from what is in the output folder", &Options::index_only},
};

}  // namespace partita::sweep
