/// What a key of a run means when results of runs are laid beside each other. Each key's role is stated once,
/// where the key is declared (lib/config); results are compared by it (lib/results).
#pragma once

#include <string_view>

namespace partita::base {

enum class KeyRole {
  choice,    ///< changes results or times: repetitions agree in it, and where groups differ it is shown
  split,     ///< a choice that studies of scaling vary: the grid
  batch,     ///< decides how large the batch is, which the result states itself
  data_set,  ///< says which data set, of whose content the result has the hash; no path, no name is compared
  start,     ///< likewise: the model that a run starts from
  table,     ///< likewise: the table of algorithms
  machine,   ///< likewise: the machine that the split is chosen for
  draw,      ///< of random numbers: repetitions may differ in it
  none       ///< changes neither results nor times: what is written, where and how often
};

enum class RunKind { training, inference };

/// What stands behind the value of a key, in a recorded configuration, where the run does not use it: a
/// comment to whoever reads the text as an INI file.
inline constexpr std::string_view not_used_mark = "# not used";

/// The role of "section.key"; `none` for one that runs of this kind do not use, `choice` for one unknown.
using RoleOf = KeyRole (*)(std::string_view key, RunKind);

}  // namespace partita::base
