/// Differences between two runs, key by key. Where a result states the matter itself (batch, digest of the
/// data, starting model, table), that decides and not how it was named.
#include "partita/results/configuration.hpp"

#include <array>
#include <set>
#include <sstream>
#include <string_view>

namespace partita::results {
namespace {

using base::KeyRole;

std::string value_of(const Configuration& values, const std::string& key) {
  const auto found = values.find(key);
  return found == values.end() ? "-" : found->second.value;
}

bool uses(const Configuration& values, const std::string& key) {
  const auto found = values.find(key);
  return found != values.end() && found->second.is_used;
}

/// "0.1 # not used", "'a b'".
Setting setting_of(std::string text) {
  const auto mark = " " + std::string(base::not_used_mark);
  const bool is_used = !text.ends_with(mark);
  if (!is_used) text.resize(text.size() - mark.size());
  const bool is_quoted =
      text.size() > 1 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front();
  return {.value = is_quoted ? text.substr(1, text.size() - 2) : text, .is_used = is_used};
}

/// What the keys of a role are about, as the result itself states it.
struct Content {
  KeyRole role;
  std::string name;
  std::string (*of)(const RunRecord&);  ///< empty where the file does not know
};

std::string entry_of(const RunRecord& r, const char* name) {
  const auto found = r.environment.entries.find(name);
  return found == r.environment.entries.end() ? "" : found->second;
}

const std::array<Content, 5>& contents() {
  static const std::array<Content, 5> all{
      {{KeyRole::batch, "batch", [](const RunRecord& r) { return std::to_string(r.attributes.batch); }},
       {KeyRole::data_set, "dataset_hash", [](const RunRecord& r) { return r.attributes.dataset_hash; }},
       {KeyRole::start, "load_model_hash", [](const RunRecord& r) { return r.attributes.load_model_hash; }},
       {KeyRole::table, "all_reduce_table",
        [](const RunRecord& r) { return entry_of(r, "all_reduce_table"); }},
       {KeyRole::machine, "machine_hash", [](const RunRecord& r) { return entry_of(r, "machine_hash"); }}}};
  return all;
}

/// A table of algorithms has a say only where the algorithm is to be looked up, a machine where one is named
/// (what ships with a version belongs to the version).
bool has_effect(KeyRole role, const Configuration& a, const Configuration& b) {
  const auto names_machine = [](const Configuration& values) {
    const auto machine = values.find("machine");
    return machine != values.end() && machine->second.is_used;
  };
  if (role == KeyRole::machine) return names_machine(a) || names_machine(b);
  const auto looks_up = [](const Configuration& values) {
    const auto algorithm = values.find("sync.algorithm");
    return algorithm == values.end() || (algorithm->second.is_used && algorithm->second.value == "auto");
  };
  return role != KeyRole::table || looks_up(a) || looks_up(b);
}

/// A run that loads nothing has no model's hash, and there it is known that none was loaded.
bool is_known(const Content& content, const RunRecord& record, const Configuration& values) {
  return !content.of(record).empty() || (content.role == KeyRole::start && !values.contains("load-model"));
}

base::RunKind kind_of(const RunRecord& record) {
  const bool infers = record.steps.count() == 0 && !record.inference.latency_seconds.empty();
  return infers ? base::RunKind::inference : base::RunKind::training;
}

}  // namespace

Configuration configuration_of(const RunRecord& record) {
  Configuration values;
  std::istringstream lines(record.attributes.config);
  std::string section;
  int layers = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('[')) section = line.substr(1, line.find(']') - 1) + ".";
    const auto equals = line.find(" = ");
    if (line.starts_with('[') || line.starts_with('#') || equals == std::string::npos) continue;
    auto key = section + line.substr(0, equals);
    if (key == "model.layer") key += " " + std::to_string(++layers);
    values[key] = setting_of(line.substr(equals + 3));
  }
  return values;
}

std::vector<Difference> configuration_differences(const RunRecord& before, const RunRecord& after,
                                                  base::RoleOf role_of) {
  const auto a = configuration_of(before), b = configuration_of(after);
  std::vector<Difference> differences;
  std::set<KeyRole> silent{KeyRole::draw, KeyRole::none};
  for (const auto& content : contents()) {
    if (!has_effect(content.role, a, b)) silent.insert(content.role);
    if (!has_effect(content.role, a, b) || !is_known(content, before, a) || !is_known(content, after, b))
      continue;
    const auto x = content.of(before), y = content.of(after);
    if (x == y)
      silent.insert(content.role);
    else
      differences.push_back({content.name, x.empty() ? "-" : x, y.empty() ? "-" : y, content.role});
  }
  auto keys = a;
  keys.insert(b.begin(), b.end());
  for (const auto& [key, unused] : keys) {
    const auto role = role_of == nullptr ? KeyRole::choice : role_of(key, kind_of(before));
    const auto x = value_of(a, key), y = value_of(b, key);
    if (x != y && !silent.contains(role) && (uses(a, key) || uses(b, key)))
      differences.push_back({key, x, y, role});
  }
  return differences;
}

}  // namespace partita::results
