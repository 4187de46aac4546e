/// The report for programs: CSV with a line for each metric, figure of scaling and reference, and JSON with
/// the value of every run. Numbers are not rounded; what is not finite is empty or null.
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>

#include "partita/base/utf8.hpp"
#include "print.hpp"

namespace partita::compare {
namespace {

using results::ComparedMetric;
using results::Side;

nlohmann::json number(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

nlohmann::json optional_number(const std::optional<double>& value) {
  return value ? number(*value) : nlohmann::json();
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
          {"change", optional_number(m.change)},
          {"change_unit", m.change_in_points ? "percentage points" : "percent"},
          {"p", optional_number(m.p)},
          {"p_corrected", optional_number(m.p_corrected)},
          {"tested_together", m.tested_together},
          {"verdict", to_string(m.verdict)}};
}

/// Quoted where CSV asks for it (RFC 4180).
std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text)
    quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string csv_number(const std::optional<double>& value) {
  if (!value || !std::isfinite(*value)) return "";
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", *value);
  return text;
}

constexpr const char* csv_head =
    "before,after,metric,unit,better,gated,before_median,before_low,before_high,after_median,after_low,"
    "after_high,change,change_unit,p,p_corrected,n_before,n_after,within_run,verdict\n";

void csv_line(std::ostream& out, const Comparison& c, const ComparedMetric& m) {
  const bool lower = m.direction == results::Direction::lower_is_better;
  out << csv_field(c.before->name) << ',' << csv_field(c.after->name) << ',' << csv_field(m.name) << ','
      << m.unit << ',' << (lower ? "lower" : "higher") << ',' << (m.gated ? "yes" : "no");
  for (const auto* s : {&m.before, &m.after})
    out << ',' << csv_number(s->median) << ',' << csv_number(s->interval.low) << ','
        << csv_number(s->interval.high);
  out << ',' << csv_number(m.change) << ',' << (m.change_in_points ? "points" : "percent") << ','
      << csv_number(m.p) << ',' << csv_number(m.p_corrected) << ',' << m.before.runs << ',' << m.after.runs
      << ',' << (m.before.within_run || m.after.within_run ? "yes" : "no") << ',' << to_string(m.verdict)
      << '\n';
}

/// A figure of the scaling table as a line: the first group's beside this one's.
void csv_scaling(std::ostream& out, const results::ScalingRow& first, const results::ScalingRow& row,
                 const char* name, double results::ScalingRow::*figure) {
  out << csv_field(first.name) << ',' << csv_field(row.name) << ',' << name << '.' << to_string(row.kind)
      << ",1,higher,no," << csv_number(first.*figure) << ",,," << csv_number(row.*figure) << ",,,,,,,,,no,\n";
}

void csv_reference(std::ostream& out, const results::CheckedReference& c) {
  out << "reference," << csv_field(c.group) << ',' << csv_field(c.reference.metric) << ',' << c.unit
      << ",,yes," << csv_number(c.reference.target) << ',' << csv_number(c.least) << ',' << csv_number(c.most)
      << ',' << csv_number(c.median) << ",,,,,,,," << c.runs << ",no," << (c.holds ? "holds" : "violated")
      << '\n';
}

nlohmann::json json_of(const results::ScalingRow& row) {
  return {{"group", row.name},
          {"grid", to_string(row.grid)},
          {"ranks", row.ranks},
          {"batch", row.batch},
          {"scaling", to_string(row.kind)},
          {"samples_per_second", number(row.samples_per_second)},
          {"speed_up", number(row.speed_up)},
          {"efficiency", number(row.efficiency)}};
}

nlohmann::json json_of(const results::CheckedReference& c) {
  return {{"group", c.group},
          {"metric", c.reference.metric},
          {"unit", c.unit},
          {"target", c.reference.target},
          {"least", optional_number(c.least)},
          {"most", optional_number(c.most)},
          {"median", number(c.median)},
          {"runs", c.runs},
          {"holds", c.holds}};
}

nlohmann::json json_of(const Comparison& c) {
  auto metrics = nlohmann::json::array(), differences = nlohmann::json::array();
  for (const auto& m : c.metrics)
    metrics.push_back(json_of(m));
  for (const auto& d : c.differences)
    differences.push_back({{"key", d.key}, {"before", d.before}, {"after", d.after}});
  return {{"before", c.before->name},
          {"after", c.after->name},
          {"differences", std::move(differences)},
          {"metrics", std::move(metrics)}};
}

}  // namespace

void print_csv(std::ostream& out, const Report& report) {
  out << csv_head;
  for (const auto& c : report.comparisons)
    for (const auto& m : c.metrics)
      csv_line(out, c, m);
  const auto& rows = report.scaling.rows;
  for (std::size_t g = 1; g < rows.size(); ++g) {
    csv_scaling(out, rows[0], rows[g], "speed_up", &results::ScalingRow::speed_up);
    csv_scaling(out, rows[0], rows[g], "efficiency", &results::ScalingRow::efficiency);
  }
  for (const auto& c : report.references)
    csv_reference(out, c);
}

void print_json(std::ostream& out, const Report& report) {
  nlohmann::json document{{"threshold_percent", report.threshold_percent},
                          {"comparisons", nlohmann::json::array()},
                          {"scaling", nlohmann::json::array()},
                          {"scaling_obstacles", report.scaling.obstacles},
                          {"references", nlohmann::json::array()}};
  for (const auto& c : report.comparisons)
    document["comparisons"].push_back(json_of(c));
  for (const auto& row : report.scaling.rows)
    document["scaling"].push_back(json_of(row));
  for (const auto& c : report.references)
    document["references"].push_back(json_of(c));
  out << base::with_utf8(std::move(document)).dump(2) << '\n';
}

}  // namespace partita::compare
