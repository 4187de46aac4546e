/// The report for people, in a terminal or as Markdown: the same tables drawn in two ways, four significant
/// digits, and notes that say what this report's verdicts rest on.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "partita/base/utf8.hpp"
#include "print.hpp"

namespace partita::compare {
namespace {

using results::ComparedMetric;
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

/// The first row is the head; `right` says which columns are flush right, `color` whether the last one holds
/// verdicts in green and red.
struct Table {
  std::vector<bool> right;
  std::vector<Row> rows;
  bool color = false;
};

using Draw = void (*)(std::ostream&, Table);

constexpr const char* violated = "violated";  // a reference

/// What a terminal shows a verdict in.
std::string colored(const std::string& verdict) {
  if (verdict == to_string(Verdict::better)) return "\033[32m" + verdict + "\033[0m";
  if (verdict == to_string(Verdict::worse) || verdict == violated) return "\033[31m" + verdict + "\033[0m";
  return verdict;
}

void draw_aligned(std::ostream& out, Table table) {
  std::vector<std::size_t> widths(table.right.size());
  for (auto& row : table.rows)
    for (std::size_t c = 0; c < row.size(); ++c) {
      row[c] = base::as_line(row[c]);
      widths[c] = std::max(widths[c], width_of(row[c]));
    }
  for (const auto& row : table.rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - width_of(row[c]), ' ');
      const auto cell = table.color && c + 1 == row.size() ? colored(row[c]) : row[c];
      line += (c > 0 ? "  " : "") + (table.right[c] ? padding + cell : cell + padding);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << '\n';
  }
}

/// What Markdown would take as its own is escaped.
std::string markdown_cell(const std::string& text) {
  std::string cell;
  for (char c : base::as_line(text))
    cell += std::string_view("|*_~<>\\`").find(c) == std::string_view::npos ? std::string(1, c)
                                                                            : std::string("\\") + c;
  return cell;
}

void draw_markdown(std::ostream& out, Table table) {
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    for (const auto& cell : table.rows[r])
      out << "| " << markdown_cell(cell) << ' ';
    out << "|\n";
    for (std::size_t c = 0; r == 0 && c < table.right.size(); ++c)
      out << (table.right[c] ? "|---:" : "|---") << (c + 1 == table.right.size() ? "|\n" : "");
  }
}

/// Groups by the first run of each: what a reader must know before the numbers.
Table heads(const Comparison& c) {
  Table table{.right = {false, false, false, false, true, true, false, false},
              .rows = {{"", "status", "grid", "algorithm", "batch", "runs", "version", "created"}}};
  for (const auto* group : {c.before, c.after}) {
    const auto& a = group->runs.front().record.attributes;
    table.rows.push_back(
        {group->name, std::string(to_string(a.status)), to_string(a.grid), a.algorithm,
         std::to_string(a.batch), std::to_string(group->runs.size()),
         a.software_version + " (" + a.git_commit.substr(0, 7) + (a.git_dirty ? ", modified" : "") + ")",
         a.created});
  }
  return table;
}

Table differences(const Comparison& c) {
  Table table{.right = {false, false, false}, .rows = {{"configured", c.before->name, c.after->name}}};
  for (const auto& d : c.differences)
    table.rows.push_back({d.key, d.before, d.after});
  return table;
}

/// One that is corrected with others is shown corrected.
std::string p_text(const ComparedMetric& m) {
  if (!m.p) return "-";
  return printed("%.3f", m.p_corrected.value_or(*m.p));
}

Table metrics(const Comparison& c, bool color) {
  Table table{
      .right = {false, false, false, true, true, true, true, false, false},
      .rows = {{"metric", "better", "unit", c.before->name, c.after->name, "change", "p", "n", "verdict"}},
      .color = color};
  for (const auto& m : c.metrics) {
    const auto display = display_of(m);
    const bool lower = m.direction == results::Direction::lower_is_better;
    table.rows.push_back({m.name + (m.gated ? " *" : ""), lower ? "lower" : "higher", display.unit,
                          side_text(m.before, display), side_text(m.after, display), change_text(m),
                          p_text(m), count_text(m), std::string(to_string(m.verdict))});
  }
  return table;
}

Table scaling(const std::vector<results::ScalingRow>& rows) {
  Table table{.right = {false, false, true, true, false, true, true, true},
              .rows = {{"", "grid", "ranks", "batch", "scaling", "samples/s", "speed-up", "efficiency"}}};
  for (const auto& row : rows)
    table.rows.push_back({row.name, to_string(row.grid), std::to_string(row.ranks), std::to_string(row.batch),
                          &row == &rows.front() ? "-" : std::string(to_string(row.kind)),
                          four_digits(row.samples_per_second), printed("%.2f", row.speed_up),
                          printed("%.1f %%", 100 * row.efficiency)});
  return table;
}

Table references(const std::vector<results::CheckedReference>& checked, bool color) {
  Table table{.right = {false, false, false, true, true, true, true, true, false},
              .rows = {{"reference", "group", "unit", "target", "least", "most", "median", "n", "verdict"}},
              .color = color};
  for (const auto& c : checked) {
    const auto bound = [](const std::optional<double>& b) { return b ? four_digits(*b) : std::string("-"); };
    table.rows.push_back({c.reference.metric, c.group, c.unit == "1" ? "" : c.unit,
                          four_digits(c.reference.target), bound(c.least), bound(c.most),
                          std::isnan(c.median) ? "-" : four_digits(c.median), std::to_string(c.runs),
                          c.holds ? "holds" : violated});
  }
  return table;
}

void print_notes(std::ostream& out, const Comparison& c, double threshold_percent) {
  const auto any = [&](auto condition) { return std::ranges::any_of(c.metrics, condition); };
  std::size_t family = 1;
  for (const auto& m : c.metrics)
    family = std::max(family, m.tested_together);
  out << "\n* gates. Median [95 % interval]; flagged when p < 0.05 and beyond "
      << printed("%g", threshold_percent) << " % (accuracy: 0.15 pp).\n";
  if (family > 1) out << "p of gated metrics: corrected for " << family << " tests (Holm).\n";
  if (any([](const auto& m) { return m.before.within_run || m.after.within_run; }))
    out << "within run: the interval is from 20 blocks of one run's steps or its repetitions; it says "
           "nothing about other runs.\n";
  const auto least = std::min(c.before->runs.size(), c.after->runs.size());
  if (least < results::least_runs)
    out << "inconclusive: a verdict needs " << results::least_runs << " runs a side (NAME=a.h5,b.h5,…).\n";
  else if (any([](const auto& m) { return m.verdict == Verdict::inconclusive && m.p; }))
    out << "inconclusive: among so many metrics these runs are too few to flag one; add runs or select "
           "metrics.\n";
  if (least > 1 && least < 6) out << "below 6 runs the interval is the whole range (coverage under 95 %).\n";
  if (any([](const auto& m) { return m.verdict == Verdict::incomparable; }))
    out << "incomparable: bytes need equal grid, algorithm, batch and steps; the rest equal workloads.\n";
}

/// Runs of one configuration that were named one by one: as a group they would be one table, with verdicts.
void print_repetitions(std::ostream& out, const Report& report) {
  const auto repeats = [](const Comparison& c) {
    return c.before->runs.size() == 1 && c.after->runs.size() == 1 && c.differences.empty();
  };
  const auto runs = 1 + std::ranges::count_if(report.comparisons, repeats);
  if (static_cast<std::size_t>(runs) < results::least_runs) return;
  out << '\n'
      << runs << " runs of one configuration, each beside the first. Repetitions form a group, as in "
      << "NAME=a.h5,b.h5,… or NAME='runs/*.h5';\ntwo groups make one table, with verdicts.\n";
}

void print_all(std::ostream& out, const Report& report, bool color, Draw draw) {
  for (const auto& c : report.comparisons) {
    if (&c != &report.comparisons.front()) out << '\n';
    const auto& a = c.before->runs.front().record.attributes;
    if (!a.model.empty()) out << base::as_line(a.model + " on " + a.dataset + ", " + a.precision) << "\n\n";
    for (const auto& table : {heads(c), differences(c)})
      if (table.rows.size() > 1) draw(out, table), out << '\n';
    draw(out, metrics(c, color));
    print_notes(out, c, report.threshold_percent);
  }
  print_repetitions(out, report);
  if (!report.scaling.rows.empty()) {
    out << "\nAgainst the first (strong: same global batch, weak: same batch a data rank):\n\n";
    draw(out, scaling(report.scaling.rows));
  }
  for (const auto& key : report.scaling.obstacles)
    out << (&key == &report.scaling.obstacles.front()
                ? "\nno table of scaling: besides the grid, these differ: "
                : ", ")
        << base::as_line(key) << (&key == &report.scaling.obstacles.back() ? "\n" : "");
  if (!report.references.empty()) {
    if (!report.comparisons.empty()) out << '\n';
    draw(out, references(report.references, color));
  }
}

}  // namespace

void print_table(std::ostream& out, const Report& report, bool color) {
  print_all(out, report, color, draw_aligned);
}

void print_markdown(std::ostream& out, const Report& report) { print_all(out, report, false, draw_markdown); }

}  // namespace partita::compare
