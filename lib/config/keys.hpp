/// The table of keys: name, meaning, how a text becomes a value and a value a text. Help, parsing, printing
/// and the hash all come from it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "partita/config/options.hpp"

namespace partita::config {

struct Key {
  std::string name;
  std::string meaning;
  bool decides_result = true;
  /// Reads a text into the options; returns what is wrong with it, or nothing.
  std::function<std::string(RunOptions&, const std::string&)> read;
  /// The value as text; nothing when unset.
  std::function<std::optional<std::string>(const RunOptions&)> print;
};

const std::vector<Key>& keys();

}  // namespace partita::config
