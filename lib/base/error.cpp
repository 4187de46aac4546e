/// The texts of the three failures: key, value and message of each violation; call, code, text and place;
/// contract and values.
#include "partita/base/error.hpp"

namespace partita::base {
namespace {

std::string place(const std::source_location& where) {
  return std::string(where.file_name()) + ":" + std::to_string(where.line());
}

std::string join(const std::vector<Violation>& violations) {
  std::string text;
  for (const auto& violation : violations)
    text += (text.empty() ? "" : "\n") + to_string(violation);
  return text;
}

}  // namespace

std::string to_string(const Violation& v) {
  return v.key + (v.value.empty() ? "" : " = " + v.value) + ": " + v.message;
}

ConfigError::ConfigError(std::vector<Violation> violations)
    : std::runtime_error(join(violations)), violations_(std::move(violations)) {}

EnvironmentError::EnvironmentError(std::string_view call, long code, std::string_view text,
                                   std::source_location where)
    : std::runtime_error(std::string(call) + " failed with " + std::to_string(code) + " (" +
                         std::string(text) + ") at " + place(where)),
      code_(code) {}

void throw_contract_error(const Contract& contract, const std::string& values) {
  throw ContractError(std::string(contract.text) + (values.empty() ? "" : ":" + values) + " (" +
                      place(contract.where) + ")");
}

}  // namespace partita::base
