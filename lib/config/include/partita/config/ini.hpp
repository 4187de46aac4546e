/// INI files: of runs, models and sweeps.
///
/// A line is `[section]`, `key = value`, a comment, or empty. `#` and `;` begin a comment at the start of a
/// line or after a blank; elsewhere they belong to the value. Blanks (and tabs) around names and values do
/// not count. A value in double or single quotes is what stands between them, whatever it holds; outside of
/// quotes and comments no other space may stand (a no-break space). A section may stand several times.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "partita/base/error.hpp"

namespace partita::config {

struct Assignment {
  std::string key;  ///< with its section: "train.batch"
  std::string value;
  int line = 0;  ///< from 1
};

struct Ini {
  std::vector<Assignment> assignments;
  bool whole = true;  ///< false when a part could not be read, so that what is missing may be there
};

/// Reads a text, line by line so that a bad one hides no other; `where` names it in `violations`.
Ini parse_ini(std::string_view bytes, const std::string& where, std::vector<base::Violation>& violations);

/// Reads a file; one that cannot be is a violation of `option`.
Ini read_ini(const std::filesystem::path&, const std::string& option,
             std::vector<base::Violation>& violations);

/// Whether an INI file can hold the value: no line breaks, and not both kinds of quotes where it needs some.
bool fits_ini(std::string_view value);

/// The value as an INI file holds it: as it is, or in quotes where that would be read as something else.
std::string ini_value(const std::string& value);

}  // namespace partita::config
