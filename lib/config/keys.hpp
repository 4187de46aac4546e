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
  /// What the key says where runs are told apart, the same text for whatever means the same; by default what
  /// is printed.
  std::function<std::optional<std::string>(const RunOptions&)> means = {};
  /// Whether another value would make steps that were taken others than they were: no run goes on with one
  /// from a checkpoint. What says which samples they were of (seed, batch, data) is compared as such, by the
  /// identity that a checkpoint keeps.
  bool changes_past = false;
  /// Whether a run with these options uses the key; where that hangs on a world that is not known yet, it
  /// does. Nothing: every run does.
  bool (*used)(const RunOptions&) = nullptr;

  /// The same key in this role.
  Key as(base::KeyRole its) && { return role = its, std::move(*this); }
  /// The same key, of which another value changes the past.
  Key changing_past() && { return changes_past = true, std::move(*this); }
  /// The same key, which only some runs use.
  Key used_when(bool (*its)(const RunOptions&)) && { return used = its, std::move(*this); }
};

const std::vector<Key>& keys();

inline bool is_used(const Key& key, const RunOptions& options) {
  return key.used == nullptr || key.used(options);
}

/// What tells runs apart in the key's place; of a key that is not used, what it is by default.
std::optional<std::string> meaning(const Key&, const RunOptions&);

/// Parts of the table.
std::vector<Key> data_keys();
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
