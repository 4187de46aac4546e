/// The table of keys: name, meaning, how a text becomes a value and a value a text, what the key means for
/// runs that are laid beside each other. Help, parsing, printing, the hash and comparisons all come from it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "partita/base/key_role.hpp"
#include "partita/config/options.hpp"

namespace partita::config {

struct Key {
  std::string name;
  std::string meaning;
  bool decides_result = true;
  base::KeyRole role = base::KeyRole::choice;
  std::optional<base::RunKind> only = std::nullopt;  ///< runs that use it; nothing: all
  /// Reads a text into the options; returns what is wrong with it, or nothing.
  std::function<std::string(RunOptions&, const std::string&)> read;
  /// The value as text; nothing when unset.
  std::function<std::optional<std::string>(const RunOptions&)> print;
  /// What the hash has where nothing is printed; empty: nothing.
  std::string hashed_default = {};
  /// Whether another value would make steps that were taken others than they were: no run goes on with one
  /// from a checkpoint. What says which samples they were of (seed, batch, data) is compared as such, by the
  /// identity that a checkpoint keeps.
  bool changes_past = false;

  /// The same key in this role.
  Key as(base::KeyRole its) && { return role = its, std::move(*this); }
  /// The same key, of which another value changes the past.
  Key changing_past() && { return changes_past = true, std::move(*this); }
};

const std::vector<Key>& keys();

/// Parts of the table.
std::vector<Key> train_keys();
std::vector<Key> checkpoint_keys();
std::vector<Key> infer_keys();

/// An option without a value, of the command line only.
struct Switch {
  const char* name;
  const char* meaning;
  bool RunOptions::*member;
};
inline constexpr Switch switches[] = {
    {"help", "show this text; --help layers: how a model is written", &RunOptions::help},
    {"version", "show the version", &RunOptions::version},
    {"print-config", "print the configuration in use as an INI file, run nothing", &RunOptions::print_config},
    {"dry-run", "print grid, shapes, memory and predicted bytes, run nothing", &RunOptions::dry_run},
    {"overwrite", "replace an existing output", &RunOptions::overwrite},
    {"resume", "go on from the newest checkpoint, if there is one", &RunOptions::resume},
};

/// What --help explains beside the keys.
inline constexpr std::string_view layers_topic = "layers";

}  // namespace partita::config
