/// Reads a machine line by line, by the table of statements, then looks at what lines say together.
#include "parser.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include "partita/base/nearest.hpp"

namespace partita::machine {
namespace {

/// The forms of the statements with this word, or of all where none has it.
std::string forms_of(const std::string& word) {
  const bool is_known = std::ranges::count(statements(), word, &Statement::word) > 0;
  std::string text;
  for (const auto& statement : statements())
    if (!is_known || statement.word == word) text += (text.empty() ? "" : " | ") + form_of(statement);
  return text;
}

std::string nearest(const std::string& word, const std::vector<std::string_view>& words) {
  const auto known = base::nearest_word(word, words);
  return known.empty() ? "" : "; the nearest is " + known;
}

/// To the word of a line or, where that is one, to its level.
std::string nearest_statement(const Words& line) {
  std::vector<std::string_view> words, levels;
  for (const auto& statement : statements()) {
    words.push_back(statement.word);
    if (statement.word == line.word) levels.push_back(statement.level);
  }
  if (levels.empty()) return nearest(line.word, words);
  const auto level = line.values.find("level");
  return level == line.values.end() ? "" : nearest(level->second, levels);
}

std::vector<std::string_view> names_of(const Fields& fields) {
  std::vector<std::string_view> names;
  for (const auto& field : fields)
    names.push_back(field.name);
  return names;
}

std::vector<std::string_view> names_of(const Statement& statement) {
  File any;
  if (statement.append != nullptr) statement.append(any);
  return names_of(statement.fields(any, 0));
}

/// Whether the `level=` of a line, or its absence, is that of the statement.
bool has_level(const Statement& statement, const std::map<std::string, std::string>& values) {
  const auto level = values.find("level");
  if (!statement.level.empty()) return level != values.end() && level->second == statement.level;
  return level == values.end() || std::ranges::count(names_of(statement), "level") > 0;
}

}  // namespace

Machine Parser::parse(const std::vector<base::Line>& lines) {
  take_all(lines);
  for (const auto& statement : statements())
    if (statement.must_be_given && (scope_ != Scope::ranks || is_of_rank(statement)) &&
        !seen_.contains(form_of(statement)))
      violations_.push_back({form_of(statement), "", "is missing"});
  check_schema();
  check_levels();
  check_topologies();
  check_messages();
  check_windows();
  check_caches();
  check_kernels();
  check_ranges();
  return assemble();
}

void Parser::take_all(const std::vector<base::Line>& lines) {
  std::vector<base::Line>* behind = nullptr;
  for (const auto& line : lines) {
    const bool begins = scope_ == Scope::job && words_of(line.text).word == ranks_statement().word;
    if (behind != nullptr && !begins) {
      behind->push_back(line);
      continue;
    }
    const auto count = file_.ranks.size();
    take(line);
    const bool names_file = file_.ranks.size() > count && !file_.ranks.back().file.empty();
    behind = begins && !names_file ? &behind_[line.number] : nullptr;
  }
}

void Parser::take(const base::Line& line) {
  auto words = words_of(line.text);
  if (!words.wrong.empty()) return refuse(line, words.wrong);
  const auto* const statement = statement_of(line, words);
  if (statement == nullptr) return;
  if (scope_ == Scope::ranks && !is_of_rank(*statement))
    return refuse(line, "holds for all ranks: it stands before the first ranks line");
  if (scope_ == Scope::file_of_ranks && statement == &ranks_statement())
    return refuse(line, "stands in a file whose machine ranks of another are: that one must name all files");
  if (statement->append == nullptr && !is_first(line, form_of(*statement))) return;
  std::size_t index = 0;
  if (statement->append != nullptr) {
    index = statement->lines(file_);
    statement->append(file_);
  }
  bool is_sound = read_values(line, words, *statement, index);
  is_sound = is_sound && is_new(line, *statement, index);
  read_[statement->word].push_back({line, index, is_sound});
}

const Statement* Parser::statement_of(const base::Line& line, Words& words) {
  // One that is chosen by a value stands behind the one without it.
  const auto all = statements();
  const auto known = std::find_if(all.rbegin(), all.rend(), [&](const Statement& statement) {
    return statement.word == words.word && has_level(statement, words.values) &&
           (statement.with.empty() || words.values.contains(std::string(statement.with)));
  });
  if (known == all.rend()) {
    refuse(line, "is none of: " + forms_of(words.word) + nearest_statement(words));
    return nullptr;
  }
  if (!known->level.empty()) words.values.erase("level");
  return &*known;
}

bool Parser::read_values(const base::Line& line, Words& words, const Statement& statement,
                         std::size_t index) {
  const auto fields = statement.fields(file_, index);
  bool is_sound = true;
  const auto wrong = [&](const std::string& why) {
    refuse(line, why);
    is_sound = false;
  };
  for (const auto& field : fields) {
    const std::string name(field.name);
    const auto found = words.values.find(name);
    if (found == words.values.end()) {
      if (field.must_be_given) wrong("has no " + name + ": " + form_of(statement));
      continue;
    }
    if (const auto why = read(field, found->second); !why.empty()) wrong(name + " " + why);
    words.values.erase(found);
  }
  for (const auto& [name, value] : words.values)
    wrong("knows no " + name + ": " + form_of(statement) + nearest(name, names_of(fields)));
  return is_sound;
}

bool Parser::is_first(const base::Line& line, const std::string& what) {
  const auto [first, is_new] = seen_.try_emplace(what, line.number);
  if (!is_new) refuse(line, "stands a second time, after line " + std::to_string(first->second));
  return is_new;
}

bool Parser::is_new(const base::Line& line, const Statement& statement, std::size_t index) {
  if (statement.append == nullptr) return true;
  auto key = form_of(statement);
  for (const auto& field : statement.fields(file_, index))
    if (field.tells_apart) key += " " + text_of(field);
  return is_first(line, key);
}

bool Parser::all_sound(std::string_view word) {
  return std::ranges::all_of(read_[word], [](const Read& read) { return read.is_sound; });
}

void Parser::check_schema() {
  for (const auto& version : lines_of("version"))
    if (version.is_sound && file_.schema != schema)
      refuse(version.line, "is of another version: schema must be " + std::to_string(schema));
}

void Parser::check_levels() {
  const Level* inside = nullptr;
  for (const auto& [line, index, is_sound] : lines_of("level")) {
    if (!is_sound) continue;
    const auto& level = file_.machine.levels[index];
    if (inside != nullptr && level.ranks <= inside->ranks)
      refuse(line,
             "must hold more ranks than level " + inside->name + " inside it: levels stand from inside out");
    else if (inside != nullptr && level.ranks % inside->ranks != 0 &&
             level.ranks != std::numeric_limits<std::int64_t>::max())
      refuse(line, "must hold a whole number of units of level " + inside->name + "; the nearest is ranks=" +
                       std::to_string((level.ranks / inside->ranks + 1) * inside->ranks));
    inside = &level;
  }
}

bool Parser::is_named(const base::Line& line, const std::string& level) {
  std::vector<std::string_view> names;
  for (const auto& known : file_.machine.levels)
    names.push_back(known.name);
  if (std::ranges::find(names, level) != names.end()) return true;
  refuse(line, "is of a level that no line names: level=" + level + nearest(level, names));
  return false;
}

void Parser::check_topologies() {
  for (const auto& [line, index, is_sound] : lines_of("topology")) {
    if (!is_sound) continue;
    const auto& [name, topology] = file_.topologies[index];
    if (!is_named(line, name)) continue;
    const auto& levels = file_.machine.levels;
    const auto level = std::ranges::find(levels, name, &Level::name);
    const auto inside = level == levels.begin() ? 1 : (level - 1)->ranks;
    const bool is_counted = level->ranks != std::numeric_limits<std::int64_t>::max();
    if (const auto why = misfit(topology, is_counted ? level->ranks / inside : 0); !why.empty())
      refuse(line, why);
  }
}

void Parser::check_messages() {
  std::set<std::string_view> from_zero;
  for (const auto& [line, index, is_sound] : lines_of("message")) {
    if (!is_sound) continue;
    const auto& [level, protocol] = file_.messages[index];
    is_named(line, level);
    if (protocol.min_bytes == kernels::Bytes(0)) from_zero.insert(level);
  }
  if (!all_sound("message")) return;
  for (const auto& [line, index, is_sound] : lines_of("level"))
    if (const auto& name = file_.machine.levels[index].name; is_sound && !from_zero.contains(name))
      refuse(line, "has no message level=" + name + " min_bytes=0");
}

void Parser::check_windows() {
  const auto& lines = lines_of("window");
  const auto& windows = file_.machine.windows;
  const bool from_zero =
      std::ranges::any_of(windows, [](const auto& row) { return row.min_bytes == kernels::Bytes(0); });
  if (!lines.empty() && all_sound("window") && !from_zero)
    refuse(lines.front().line, "needs another with min_bytes=0");
}

void Parser::check_caches() {
  for (const auto& [line, index, is_sound] : lines_of("cache"))
    if (is_sound && file_.machine.caches[index].bytes == kernels::Bytes(0))
      refuse(line, "bytes must be a whole number from 1, such as 1048576");
}

void Parser::check_kernels() {
  for (const auto& [line, index, is_sound] : lines_of("kernel")) {
    const auto& row = file_.machine.kernels[index];
    const bool in_order =
        row.lower_quartile_seconds <= row.median_seconds && row.median_seconds <= row.upper_quartile_seconds;
    if (is_sound && !in_order)
      refuse(line, "must have lower_quartile_seconds ≤ median_seconds ≤ upper_quartile_seconds");
    if (is_sound && row.median_seconds == 0) refuse(line, "median_seconds must be above 0");
    const auto caches = file_.machine.caches.size();
    const bool is_share = std::ranges::all_of(row.key.beyond, [](auto percent) { return percent <= 100; });
    if (is_sound && !row.key.beyond.empty() && (row.key.beyond.size() != caches || !is_share))
      refuse(line, "beyond must have a number from 0 to 100 for each of the " + std::to_string(caches) +
                       " caches of the file");
  }
}

Machine Parser::assemble() {
  auto& machine = file_.machine;
  for (auto& level : machine.levels)
    for (const auto& [name, topology] : file_.topologies)
      if (name == level.name) level.topology = topology;
  for (auto& level : machine.levels)
    for (const auto& [name, protocol] : file_.messages)
      if (name == level.name) level.protocols.push_back(protocol);
  for (auto& level : machine.levels)
    std::ranges::sort(level.protocols, {}, &Protocol::min_bytes);
  std::ranges::sort(machine.windows, {}, &WindowAccess::min_bytes);
  std::ranges::sort(machine.caches, {}, &Cache::bytes);
  std::ranges::sort(machine.shared_memory, {}, &SharedMemory::active_ranks);
  if (file_.progress == "polled") machine.progress = Progress::polled;
  machine.parts = read_parts();
  return machine;
}

}  // namespace partita::machine
