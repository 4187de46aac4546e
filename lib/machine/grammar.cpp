/// Which statements there are, and how they are written.
#include "grammar.hpp"

namespace partita::machine {
namespace {

constexpr Field compute[] = {{"flops_per_second", &Machine::flops_per_second},
                             {"call_seconds", &Machine::call_seconds, false}};
constexpr Field main_memory[] = {{"bytes_per_second", &Machine::main_bytes_per_second}};
constexpr Field cache[] = {{"bytes_per_second", &Machine::cache_bytes_per_second}};
constexpr Field link[] = {{"latency_seconds", &Machine::link_latency_seconds},
                          {"bytes_per_second", &Machine::link_bytes_per_second}};

constexpr Statement all[] = {{"compute", "", compute},
                             {"memory", "main", main_memory},
                             {"memory", "cache", cache, false},
                             {"link", "", link}};

}  // namespace

std::span<const Statement> statements() { return all; }

std::string form_of(const Statement& statement) {
  std::string form(statement.word);
  if (!statement.level.empty()) form += " level=" + std::string(statement.level);
  for (const auto& field : statement.fields) {
    const std::string value = std::string(field.name) + (field.is_rate() ? "=RATE" : "=SECONDS");
    form += field.must_be_given ? " " + value : " [" + value + "]";
  }
  return form;
}

}  // namespace partita::machine
