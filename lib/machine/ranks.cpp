/// Lines that say which ranks are another machine: reads that one, from a file or from the lines behind, and
/// refuses ranges that cannot be.
#include <algorithm>
#include <limits>

#include "parser.hpp"
#include "partita/base/nearest.hpp"
#include "partita/base/paths.hpp"

namespace partita::machine {
namespace {

/// "; the nearest is fast.machine": of the files of the folder.
std::string nearest_file(const std::filesystem::path& path) {
  std::vector<std::string> names;
  std::error_code error;
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
  for (std::filesystem::directory_iterator i(folder, error), end; !error && i != end; i.increment(error))
    if (i->is_regular_file(error)) names.push_back(i->path().filename().string());
  std::ranges::sort(names);
  const auto nearest =
      base::nearest_word(path.filename().string(), std::vector<std::string_view>(names.begin(), names.end()));
  return nearest.empty() ? "" : "; the nearest is " + nearest;
}

/// What ranks have alone: no network, no node, nothing of a whole run.
Machine figures_of_rank(Machine machine) {
  machine.link_latency_seconds = machine.link_bytes_per_second = machine.flag_seconds = 0;
  machine.levels.clear();
  machine.cores = {};
  machine.variance = {};
  machine.checkpoint = {};
  return machine;
}

}  // namespace

void Parser::check_ranges() {
  const auto& levels = file_.machine.levels;
  const auto most = levels.empty() ? std::numeric_limits<std::int64_t>::max() : levels.back().ranks;
  std::vector<const Read*> sound;
  for (const auto& read : lines_of("ranks")) {
    if (!read.is_sound) continue;
    const auto& [first, last, name, file] = file_.ranks[read.index];
    if (last < first)
      refuse(read.line, "last must not be below first; the nearest is last=" + std::to_string(first));
    else if (last >= most)
      refuse(read.line, "has ranks beyond those that level " + levels.back().name +
                            " holds; the nearest is last=" + std::to_string(most - 1));
    else
      sound.push_back(&read);
  }
  std::ranges::sort(sound, {}, [&](const Read* read) { return file_.ranks[read->index].first; });
  const Read* before = nullptr;  // that reaches farthest
  for (const auto* read : sound) {
    const std::int64_t last_before = before == nullptr ? -1 : file_.ranks[before->index].last;
    if (file_.ranks[read->index].first <= last_before)
      refuse(read->line, "has ranks that line " + std::to_string(before->line.number) +
                             " has, too; the nearest is first=" + std::to_string(last_before + 1));
    if (file_.ranks[read->index].last > last_before) before = read;
  }
}

std::vector<Part> Parser::read_parts() {
  std::vector<Part> parts;
  for (const auto& [line, index, is_sound] : lines_of("ranks")) {
    const auto& [first, last, name, file] = file_.ranks[index];
    auto machine = file.empty() ? read_behind(line) : read_file(line, file);
    const auto called = name.empty() ? std::filesystem::path(file).stem().string() : name;
    parts.push_back({first, last, called, figures_of_rank(std::move(machine))});
  }
  std::ranges::sort(parts, {}, &Part::first);
  return parts;
}

Machine Parser::read_behind(const base::Line& line) {
  const auto& behind = behind_[line.number];
  if (behind.empty()) {
    refuse(line, "needs file=TEXT, or behind it what is said of these ranks");
    return {};
  }
  std::vector<base::Violation> wrong;
  auto machine = Parser(wrong, Scope::ranks).parse(behind);
  for (auto& violation : wrong)
    if (violation.value.empty())
      refuse(line, "has no " + violation.key + " behind it");
    else
      violations_.push_back(std::move(violation));
  return machine;
}

Machine Parser::read_file(const base::Line& line, const std::string& file) {
  Machine machine;
  if (!folder_) {
    refuse(line, "names a file, which only a machine file can");
    return machine;
  }
  const auto path = *folder_ / file;
  if (!base::exists(path) && base::path_problem(path).empty()) {
    refuse(line, "there is no file " + path.string() + nearest_file(path));
    return machine;
  }
  base::read_lines(path, "line " + std::to_string(line.number), violations_, [&](std::string_view text) {
    machine = Parser(violations_, Scope::file_of_ranks).parse(text);
  });
  return machine;
}

}  // namespace partita::machine
