/// std::source_location for clang 14, which GCC 12's library gives to compilers with another built-in only.
#pragma once

#include <version>

#ifndef __cpp_lib_source_location
namespace std {

struct source_location {
  static constexpr source_location current(const char* file = __builtin_FILE(),
                                           unsigned line = __builtin_LINE()) {
    return {file, line};
  }
  constexpr const char* file_name() const { return file_; }
  constexpr unsigned line() const { return line_; }

  const char* file_ = "";
  unsigned line_ = 0;
};

}  // namespace std
#endif
