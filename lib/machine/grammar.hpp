/// The statements of a machine file: reading, writing and messages all go by this table.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "partita/machine/machine.hpp"

namespace partita::machine {

/// A value of a statement. Names that end in `_per_second` are rates, above 0; others are seconds, from 0.
struct Field {
  std::string_view name;
  double Machine::*member;
  bool must_be_given = true;
  [[nodiscard]] bool is_rate() const { return name.ends_with("_per_second"); }
};

struct Statement {
  std::string_view word;
  std::string_view level;  ///< of memory, given as `level=`; empty: the word has none
  std::span<const Field> fields;
  bool must_be_given = true;
};

std::span<const Statement> statements();

/// "memory level=main bytes_per_second=RATE", a value that may be left out in brackets.
std::string form_of(const Statement&);

}  // namespace partita::machine
