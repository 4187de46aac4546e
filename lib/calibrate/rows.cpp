/// Rows as text, checked by the one grammar.
#include "partita/calibrate/rows.hpp"

#include <array>
#include <charconv>

#include "partita/results/statistics.hpp"

namespace partita::calibrate {
namespace {

/// Whether the statements behind those of the shipped machine give it these rows.
void expect_appendable(const std::string& statements, const machine::Machine& rows) {
  std::vector<base::Violation> violations;
  const auto whole = machine::Machine::parse(machine::Machine::shipped().to_text() + statements, violations);
  base::expect(violations.empty(), "rows are statements of a machine file",
               violations.empty() ? std::string() : to_string(violations.front()));
  base::expect(whole.optional_text() == rows.optional_text(), "rows read back as they were measured");
}

}  // namespace

double rounded(double figure) {
  std::array<char, 32> text{};
  constexpr int digits = 4;
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), figure, std::chars_format::scientific, digits - 1)
          .ptr;
  std::from_chars(text.data(), end, figure);
  return figure;
}

machine::KernelTime time_of(const machine::KernelKey& key, std::span<const double> seconds) {
  return {.key = key,
          .runs = static_cast<std::int64_t>(seconds.size()),
          .median_seconds = rounded(results::median(seconds)),
          .lower_quartile_seconds = rounded(results::percentile(seconds, 25)),
          .upper_quartile_seconds = rounded(results::percentile(seconds, 75))};
}

std::string rows_text(const machine::Machine& rows, const std::string& what, const std::string& command_line,
                      const std::vector<std::string>& hosts, const Loads& loads) {
  const auto statements = rows.optional_text();
  expect_appendable(statements, rows);
  const auto from = provenance_of(hosts, loads);
  return "# " + what + ", to append to a machine file; measured by: " + command_line + "\n# On " + from.host +
         ", " + from.cpu + ", " + from.date + "; " + from.versions + "; load average " + from.load + ".\n" +
         statements;
}

}  // namespace partita::calibrate
