/// The statements of a machine file: reading, writing and messages all go by this table.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "partita/machine/machine.hpp"

namespace partita::machine {

/// One of a few words.
struct Choice {
  std::string* word;
  std::span<const std::string_view> words;
  std::span<const std::string_view> marks = {};  ///< that may follow, each behind a '+'
};

/// A value of a statement, and where it lies. Numbers whose names end in `_per_second` are rates, and `taper`
/// is a factor: above 0; `factor` is one from 1; `within_run` and `between_…` are deviations of a logarithm,
/// from 0 to 2; others are seconds, from 0. Whole numbers are from 1, bytes and ranks (`first`, `last`) from
/// 0.
struct Field {
  std::string_view name;
  std::variant<double*, std::int64_t*, int*, kernels::Bytes*, bool*, std::string*, Choice,
               std::vector<std::int64_t>*>
      value;
  bool must_be_given = true;
  bool tells_apart = false;  ///< lines of the same statement: no two agree in all such values
};
using Fields = std::vector<Field>;

/// A machine as its file has it, line by line.
struct File {
  struct Message {
    std::string level;
    Protocol protocol;
  };
  struct Joined {
    std::string level;
    Topology topology;
  };
  struct Ranks {
    int first = 0, last = 0;
    std::string name, file;
  };
  Machine machine;
  std::int64_t schema = 0;  ///< 0: not said
  std::string progress;     ///< empty: not said
  std::vector<Message> messages;
  std::vector<Joined> topologies;
  std::vector<Ranks> ranks;  ///< each a part of the machine
};
/// Without its parts.
File file_of(const Machine&);

struct Statement {
  std::string_view word;
  std::string_view level;  ///< of memory, given as `level=`; empty: the word has none
  std::string_view with;   ///< a value that makes the word another statement, such as `active_ranks`
  bool must_be_given;      ///< once
  void (*append)(File&);   ///< another line; null: it stands once
  std::size_t (*lines)(File&);
  Fields (*fields)(File&, std::size_t line);
};

std::span<const Statement> statements();
/// The one that says which ranks are another machine.
const Statement& ranks_statement();
/// Whether it is of a rank, and not of what all ranks share.
bool is_of_rank(const Statement&);

/// "memory level=main bytes_per_second=RATE", a value that may be left out in brackets.
std::string form_of(const Statement&);

/// What is wrong with a text as the field's value, as a sentence without a subject; else takes it.
std::string read(const Field&, const std::string& text);
/// The field's value; empty where it is left out.
std::string text_of(const Field&);

}  // namespace partita::machine
