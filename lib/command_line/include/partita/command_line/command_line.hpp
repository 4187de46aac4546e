/// The command line of the programs that take no run file.
#pragma once

#include <boost/program_options.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "partita/base/error.hpp"

namespace partita::command_line {

namespace po = boost::program_options;
using Words = std::vector<std::string>;

/// All words, the program's name first, with a blank between each two.
std::string text_of(int argc, const char* const* argv);

/// What stands behind the program's name.
Words words_of(int argc, const char* const* argv);

/// Takes the words that begin with `prefix` out of `words`.
Words take_words(Words& words, const std::string& prefix);

/// Parses words by `options`; names are never guessed from their beginnings. Words without a name, at most
/// `most` (-1: any number), are found under `positional`, those behind a lone "--" whatever they begin with;
/// with an empty `positional` there are none, and "--" is no option. Throws `base::ConfigError`.
po::variables_map parse(Words words, const po::options_description& options,
                        const std::string& positional = "", int most = -1);

/// The words of an option that may be repeated, or of `positional`.
Words words_of(const po::variables_map&, const std::string& key);

/// The value of the last "--name=value" among words; empty where there is none.
std::string value_of(const Words&, const std::string& name);

/// The text of an option; empty where it is not given.
std::string text_of(const po::variables_map&, const std::string& key);

/// A whole number in [least, most]; anything else is a violation of `key`.
std::optional<std::int64_t> whole_number(const std::string& key, const std::string& text, std::int64_t least,
                                         std::int64_t most, std::vector<base::Violation>& violations);

}  // namespace partita::command_line
