/// Three failures, three tools: `ConfigError` for what a user wrote, `expect` for a broken contract between
/// modules, `EnvironmentError` for what MPI, HDF5, a file system or a device refused.
#pragma once

#include <source_location>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace partita::base {

/// One thing that a user wrote and that cannot be: which key, its value, and what would be allowed.
struct Violation {
  std::string key;      ///< "train.batch", or a file's path
  std::string value;    ///< as written; empty when missing
  std::string message;  ///< what is wrong, the allowed range, the nearest valid value

  friend bool operator==(const Violation&, const Violation&) = default;
};

/// "train.batch = -1: must be at least 1".
std::string to_string(const Violation&);

/// Bad input. Carries every violation found, so that a user mends them all at once. Programs exit with 2.
class ConfigError : public std::runtime_error {
 public:
  explicit ConfigError(std::vector<Violation> violations);
  [[nodiscard]] const std::vector<Violation>& violations() const { return violations_; }

 private:
  std::vector<Violation> violations_;
};

/// A contract between two pieces of Partita was broken: a defect of the program, never of its input.
class ContractError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// The environment refused a call: which one, its code and text, and where it was made.
class EnvironmentError : public std::runtime_error {
 public:
  EnvironmentError(std::string_view call, long code, std::string_view text,
                   std::source_location where = std::source_location::current());
  [[nodiscard]] long code() const { return code_; }

 private:
  long code_;
};

/// The text of a contract together with the place that states it.
struct Contract {
  std::string_view text;
  std::source_location where;
  // NOLINTNEXTLINE(google-explicit-constructor): a string literal is a contract's natural form
  constexpr Contract(const char* contract, std::source_location at = std::source_location::current())
      : text(contract), where(at) {}
};

[[noreturn]] void throw_contract_error(const Contract&, const std::string& values);

/// Throws `ContractError` with the contract, the values and the place unless `condition` holds.
template <class... Values>
void expect(bool condition, Contract contract, const Values&... values) {
  if (condition) [[likely]]
    return;
  std::ostringstream text;
  ((text << ' ' << values), ...);
  throw_contract_error(contract, text.str());
}

}  // namespace partita::base
