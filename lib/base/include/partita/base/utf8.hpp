/// Text of a user or a file name may hold any bytes; HDF5 and JSON hold UTF-8. Such text is escaped where it
/// enters a file, and what a program reads back is what was there.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace partita::base {

/// Valid UTF-8: each byte that is none as "\xe9", and a backslash that begins such a word already as "\x5c".
/// Other text, which is nearly all, stays as it is.
std::string as_utf8(std::string_view text);

/// As `as_utf8`, with the bytes of control characters, C1's among them, and of line and paragraph separators
/// escaped too ("\x0a", "\xc2\x85"): a cell of a table that people read.
std::string as_line(std::string_view text);

/// The text that `as_utf8` or `as_line` made this of.
std::string from_utf8(std::string_view escaped);

/// A JSON value with `as_utf8` done to each of its strings.
template <class Json>
Json with_utf8(Json value) {
  if (value.is_string()) return Json(as_utf8(value.template get_ref<const std::string&>()));
  if (value.is_structured())
    for (auto& member : value)
      member = with_utf8(std::move(member));
  return value;
}

}  // namespace partita::base
