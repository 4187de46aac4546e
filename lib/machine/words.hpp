/// A statement as a line has it: a word, then names and values.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace partita::machine {

/// `word name=value name="a value with blanks" …`. Within quotation marks "\x22" is the byte 0x22, so that
/// any text can be written.
struct Words {
  std::string word;
  std::map<std::string, std::string> values;
  std::string wrong;  ///< "names X twice", "has a quotation mark that none closes"; else empty
};
Words words_of(std::string_view line);

/// The text as a value of a line, in quotation marks where it needs them.
std::string as_value(std::string_view text);

}  // namespace partita::machine
