#include "print.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace partita::compare {
namespace {

using results::ComparedMetric;
using results::RunGroup;
using results::Side;
using results::Verdict;

std::string printed(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

/// Four significant digits, without an exponent where it stays short.
std::string four_digits(double value) {
  const double size = std::abs(value);
  if (size != 0 && (size < 1e-4 || size >= 1e7)) return printed("%.3e", value);
  const int decimals = size == 0 ? 0 : std::max(0, 3 - static_cast<int>(std::floor(std::log10(size))));
  return printed(("%." + std::to_string(decimals) + "f").c_str(), value);
}

std::string grouped(double value) {
  std::string digits = printed("%.0f", value);
  for (auto i = static_cast<std::ptrdiff_t>(digits.size()) - 3; i > (digits[0] == '-' ? 1 : 0); i -= 3)
    digits.insert(static_cast<std::size_t>(i), ",");
  return digits;
}

/// A scale for all numbers of a row: seconds as s, ms or µs; everything else as it is.
struct Display {
  std::string unit;
  double factor = 1;
  bool whole = false;

  [[nodiscard]] std::string text(double value) const {
    if (std::isnan(value)) return "-";
    return whole && value == std::floor(value) ? grouped(value) : four_digits(value * factor);
  }
};

Display display_of(const ComparedMetric& m) {
  if (m.unit == "byte") return {.unit = "byte", .whole = true};
  if (m.unit != "s") return {.unit = m.unit == "1" ? "" : m.unit};
  const double size = std::max(std::abs(m.before.median), std::abs(m.after.median));
  if (size >= 1 || size == 0 || std::isnan(size)) return {.unit = "s"};
  if (size >= 1e-3) return {.unit = "ms", .factor = 1e3};
  return {.unit = "µs", .factor = 1e6};
}

/// "12.34 [12.01, 12.90]"; the bare number where there is no spread.
std::string side_text(const Side& side, const Display& display) {
  const auto text = display.text(side.median);
  const auto low = display.text(side.interval.low), high = display.text(side.interval.high);
  return side.values.size() > 1 && low != high ? text + " [" + low + ", " + high + "]" : text;
}

std::string change_text(const ComparedMetric& m) {
  if (!m.change) return "-";
  if (*m.change == 0) return "0";
  const bool exact = m.unit == "byte" && std::abs(*m.change) < 0.005;
  return printed(exact ? "%+.2e" : "%+.2f", *m.change) + (m.change_in_points ? " pp" : " %");
}

std::string count_text(const ComparedMetric& m) {
  const bool within = m.before.within_run || m.after.within_run;
  return std::to_string(m.before.runs) + "/" + std::to_string(m.after.runs) + (within ? " within run" : "");
}

/// Columns on a terminal: code points, not bytes.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

using Row = std::vector<std::string>;

void print_aligned(std::ostream& out, const std::vector<Row>& rows, const std::vector<bool>& right) {
  std::vector<std::size_t> widths(right.size());
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c)
      widths[c] = std::max(widths[c], width_of(row[c]));
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - width_of(row[c]), ' ');
      line += (c > 0 ? "  " : "") + (right[c] ? padding + row[c] : row[c] + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  }
}

std::string colored(Verdict verdict, bool color) {
  const std::string text(to_string(verdict));
  if (color && verdict == Verdict::better) return "\033[32m" + text + "\033[0m";
  if (color && verdict == Verdict::worse) return "\033[31m" + text + "\033[0m";
  return text;
}

/// What a reader must know of both sides before the numbers: same fields, one line a group.
void print_heads(std::ostream& out, const Comparison& c) {
  std::vector<Row> rows{{"", "status", "grid", "algorithm", "batch", "runs", "version", "created"}};
  for (const auto* group : {c.before, c.after}) {
    const auto& a = group->runs.front().record.attributes;
    rows.push_back(
        {group->name, std::string(to_string(a.status)), to_string(a.grid), a.algorithm,
         std::to_string(a.batch), std::to_string(group->runs.size()),
         a.software_version + " (" + a.git_commit.substr(0, 7) + (a.git_dirty ? ", modified" : "") + ")",
         a.created});
  }
  const auto& a = c.before->runs.front().record.attributes;
  if (!a.model.empty()) out << a.model << " on " << a.dataset << ", " << a.precision << '\n';
  print_aligned(out, rows, {false, false, false, false, true, true, false, false});
  out << '\n';
}

void print_notes(std::ostream& out, const Comparison& c, double threshold_percent) {
  const auto any = [&](auto condition) { return std::ranges::any_of(c.metrics, condition); };
  out << "\n* gates. Median [95 % interval]; flagged when p < 0.05 and beyond "
      << printed("%g", threshold_percent) << " % (accuracy: 0.15 pp).\n";
  if (any([](const auto& m) { return m.before.within_run || m.after.within_run; }))
    out << "within run: spread over 20 blocks of one run's steps or its repetitions; says nothing about "
           "other runs.\n";
  if (any([](const auto& m) { return m.verdict == Verdict::inconclusive && !m.before.within_run; }) ||
      std::min(c.before->runs.size(), c.after->runs.size()) < results::least_runs)
    out << "inconclusive: a verdict needs " << results::least_runs << " runs a side (NAME=a.h5,b.h5,…).\n";
  const auto least = std::min(c.before->runs.size(), c.after->runs.size());
  if (least > 1 && least < 6) out << "below 6 runs the interval is the whole range (coverage under 95 %).\n";
  if (any([](const auto& m) { return m.verdict == Verdict::incomparable; }))
    out << "incomparable: bytes need equal grid, algorithm, batch and steps; the rest equal workloads.\n";
}

nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

nlohmann::json json_of(const Side& s) {
  nlohmann::json values = nlohmann::json::array();
  for (double v : s.values)
    values.push_back(number(v));
  return {{"runs", s.runs},
          {"median", number(s.median)},
          {"interval", {number(s.interval.low), number(s.interval.high)}},
          {"coverage", s.interval.coverage},
          {"within_run", s.within_run},
          {"values", values}};
}

nlohmann::json json_of(const ComparedMetric& m) {
  const bool lower = m.direction == results::Direction::lower_is_better;
  return {{"metric", m.name},
          {"unit", m.unit},
          {"better", lower ? "lower" : "higher"},
          {"gated", m.gated},
          {"before", json_of(m.before)},
          {"after", json_of(m.after)},
          {"change", m.change ? number(*m.change) : nlohmann::json()},
          {"change_unit", m.change_in_points ? "percentage points" : "percent"},
          {"p", m.p ? number(*m.p) : nlohmann::json()},
          {"verdict", to_string(m.verdict)}};
}

/// Quoted where CSV asks for it (RFC 4180).
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text)
    quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string csv_number(double value) { return std::isfinite(value) ? printed("%.17g", value) : ""; }

}  // namespace

void print_table(std::ostream& out, const std::vector<Comparison>& comparisons, double threshold_percent,
                 bool color) {
  for (const auto& c : comparisons) {
    if (&c != &comparisons.front()) out << '\n';
    print_heads(out, c);
    std::vector<Row> rows{
        {"metric", "better", "unit", c.before->name, c.after->name, "change", "p", "n", "verdict"}};
    for (const auto& m : c.metrics) {
      const auto display = display_of(m);
      const bool lower = m.direction == results::Direction::lower_is_better;
      rows.push_back({m.name + (m.gated ? " *" : ""), lower ? "lower" : "higher", display.unit,
                      side_text(m.before, display), side_text(m.after, display), change_text(m),
                      m.p ? printed("%.3f", *m.p) : "-", count_text(m), colored(m.verdict, color)});
    }
    print_aligned(out, rows, {false, false, false, true, true, true, true, false, false});
    print_notes(out, c, threshold_percent);
  }
}

void print_csv(std::ostream& out, const std::vector<Comparison>& comparisons) {
  out << "before,after,metric,unit,better,gated,before_median,before_low,before_high,after_median,after_low,"
         "after_high,"
         "change,change_unit,p,n_before,n_after,within_run,verdict\n";
  for (const auto& c : comparisons)
    for (const auto& m : c.metrics) {
      const bool lower = m.direction == results::Direction::lower_is_better;
      out << csv_field(c.before->name) << ',' << csv_field(c.after->name) << ',' << csv_field(m.name) << ','
          << m.unit << ',' << (lower ? "lower" : "higher") << ',' << (m.gated ? "yes" : "no");
      for (const auto* s : {&m.before, &m.after})
        out << ',' << csv_number(s->median) << ',' << csv_number(s->interval.low) << ','
            << csv_number(s->interval.high);
      out << ',' << (m.change ? csv_number(*m.change) : "") << ','
          << (m.change_in_points ? "points" : "percent") << ',' << (m.p ? csv_number(*m.p) : "") << ','
          << m.before.runs << ',' << m.after.runs << ','
          << (m.before.within_run || m.after.within_run ? "yes" : "no") << ',' << to_string(m.verdict)
          << '\n';
    }
}

void print_json(std::ostream& out, const std::vector<Comparison>& comparisons, double threshold_percent) {
  nlohmann::json document{{"threshold_percent", threshold_percent}, {"comparisons", nlohmann::json::array()}};
  for (const auto& c : comparisons) {
    nlohmann::json metrics = nlohmann::json::array();
    for (const auto& m : c.metrics)
      metrics.push_back(json_of(m));
    document["comparisons"].push_back(
        {{"before", c.before->name}, {"after", c.after->name}, {"metrics", std::move(metrics)}});
  }
  out << document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
}

}  // namespace partita::compare
