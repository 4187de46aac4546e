/// The list, the table and the figures of a sweep; best is the configuration with the best mean over its
/// seeds of the test accuracy, else of the test loss, else of the training loss.
#include "summary.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <map>
#include <sstream>

#include "partita/base/utf8.hpp"

namespace partita::sweep {
namespace {

/// Columns as wide as their widest cell, all right-aligned but the last.
void print_columns(std::ostream& out, std::vector<std::vector<std::string>> lines) {
  std::vector<std::size_t> widths;
  for (auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) {
      line[i] = base::as_line(line[i]);
      if (i == widths.size()) widths.push_back(0);
      widths[i] = std::max(widths[i], line[i].size());
    }
  for (const auto& line : lines) {
    for (std::size_t i = 0; i + 1 < line.size(); ++i)
      out << std::setw(static_cast<int>(widths[i])) << line[i] << "  ";
    out << line.back() << "\n";
  }
}

std::string text_of(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  std::ostringstream text;
  text << std::fixed << std::setprecision(digits) << value;
  return text.str();
}

std::string list_of(const std::vector<int>& numbers) {
  std::string text;
  for (const int number : numbers)
    text += (text.empty() ? "" : ", ") + std::to_string(number);
  return text;
}

/// "2x1x1": data, pipeline, tensor.
std::string grid_text(const topology::GridExtent& grid) {
  return std::to_string(grid.data) + "x" + std::to_string(grid.pipeline) + "x" + std::to_string(grid.tensor);
}

/// Without the seed where it repeats.
std::string values_without_seed(const Configuration& c) {
  std::string text;
  for (const auto& [key, value] : c.varied)
    if (key != "train.seed") text += (text.empty() ? "" : " ") + key + "=" + value;
  return text.empty() ? "the base run" : text;
}

}  // namespace

std::optional<Best> best_of(const std::vector<Configuration>& all, const std::vector<Row>& rows) {
  for (const auto& [figure, sign] :
       {std::pair{"test_accuracy", -1.0}, {"test_loss", 1.0}, {"train_loss", 1.0}}) {
    std::map<int, Best> groups;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (rows[i].status != Status::complete || !std::isfinite(rows[i].figure(figure))) continue;
      auto& group = groups[all[i].group];
      group.group = all[i].group, group.figure = figure;
      group.mean += rows[i].figure(figure);
      group.numbers.push_back(all[i].number);
    }
    std::optional<Best> best;
    for (auto& [number, group] : groups) {
      group.mean /= static_cast<double>(group.numbers.size());
      if (!best || sign * group.mean < sign * best->mean) best = group;
    }
    if (best) return best;
  }
  return std::nullopt;
}

void print_list(std::ostream& out, const Options& options, const std::vector<Configuration>& all) {
  std::vector<std::vector<std::string>> lines{{"number", "group", "grid"}};
  for (const auto& [key, value] : all.front().varied)
    lines.front().push_back(key);
  lines.front().emplace_back("file");
  for (const auto& c : all) {
    if (!belongs(c, options.shard)) continue;
    lines.push_back({std::to_string(c.number), std::to_string(c.group), grid_text(c.input.options.grid)});
    for (const auto& [key, value] : c.varied)
      lines.back().push_back(value);
    lines.back().push_back(c.file.string());
  }
  print_columns(out, lines);
}

void print_table(std::ostream& out, const std::vector<Configuration>& all, const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> lines{{"number", "group"}};
  for (const auto& [key, value] : all.front().varied)
    lines.front().push_back(key);
  for (const char* name : {"samples/s", "train loss", "test loss", "accuracy", "seconds", "status"})
    lines.front().emplace_back(name);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& row = rows[i];
    lines.push_back({std::to_string(all[i].number), std::to_string(all[i].group)});
    for (const auto& [key, value] : all[i].varied)
      lines.back().push_back(value);
    lines.back().insert(lines.back().end(),
                        {text_of(row.figure("throughput"), 0), text_of(row.figure("train_loss"), 4),
                         text_of(row.figure("test_loss"), 4), text_of(row.figure("test_accuracy"), 4),
                         text_of(row.seconds, 1),
                         std::string(to_string(row.status)) + (row.reason.empty() ? "" : ": " + row.reason)});
  }
  print_columns(out, lines);
  if (const auto best = best_of(all, rows)) {
    const auto c = std::find_if(all.begin(), all.end(),
                                [&](const auto& one) { return one.number == best->numbers.front(); });
    out << "best: " << values_without_seed(*c) << ", mean " << best->figure << " " << text_of(best->mean, 4)
        << " over " << best->numbers.size() << (best->numbers.size() == 1 ? " run" : " runs") << " (group "
        << best->group << ", configuration" << (best->numbers.size() == 1 ? " " : "s ")
        << list_of(best->numbers) << ")\n";
  }
}

std::string failure_of(const std::vector<Row>& rows) {
  std::map<Status, std::vector<int>> by_status;
  for (const auto& row : rows)
    if (row.status != Status::complete) by_status[row.status].push_back(row.number);
  std::string text;
  for (const auto& [status, numbers] : by_status)
    text += (text.empty() ? "" : "; ") + std::to_string(numbers.size()) + " of " +
            std::to_string(rows.size()) + " " + std::string(to_string(status)) + ": " + list_of(numbers);
  return text;
}

std::vector<results::Figure> figures_of(const std::vector<Configuration>& all, const std::vector<Row>& rows,
                                        double seconds) {
  const auto complete =
      std::count_if(rows.begin(), rows.end(), [](const Row& row) { return row.status == Status::complete; });
  std::vector<results::Figure> figures{{"configurations", static_cast<double>(rows.size()), "1"},
                                       {"complete", static_cast<double>(complete), "1"},
                                       {"sweep_seconds", seconds, "s"}};
  if (const auto best = best_of(all, rows)) figures.push_back({"best_" + best->figure, best->mean, "1"});
  return figures;
}

}  // namespace partita::sweep
