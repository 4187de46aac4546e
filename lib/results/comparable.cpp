/// Which runs may be compared: the keys that must agree, and those that differ.
#include <algorithm>
#include <functional>
#include <set>

#include "partita/results/comparison.hpp"
#include "partita/results/configuration.hpp"

namespace partita::results {
namespace {

struct Key {
  std::string name;
  std::function<std::string(const RunRecord&)> value;
};

std::string layers_of(const RunRecord& r) {
  std::string text;
  for (const auto& layer : r.layers)
    text += (text.empty() ? "" : ", ") + layer.kind + " " + layer.output;
  return text;
}

std::string entry_of(const RunRecord& r, const char* name) {
  const auto found = r.environment.entries.find(name);
  return found == r.environment.entries.end() ? "-" : found->second;
}

/// Steps from which a run had another plan than before; empty: none.
std::string replans_of(const RunRecord& r) {
  std::string text;
  for (const auto& row : r.replans)
    if (row.before != row.after)
      text += (text.empty() ? "from step " : "; from step ") + std::to_string(row.step) + " on " + row.after;
  return text;
}

const std::vector<Key>& workload_keys() {
  static const std::vector<Key> keys = {
      {"schema_version", [](const auto& r) { return std::to_string(r.attributes.schema); }},
      {"dataset_hash", [](const auto& r) { return r.attributes.dataset_hash; }},
      {"model", [](const auto& r) { return r.attributes.model; }},
      {"layers", layers_of},
      {"precision", [](const auto& r) { return r.attributes.precision; }}};
  return keys;
}

/// What must agree, besides, inside a group of repetitions, and (with the number of steps) for bytes to be
/// compared.
const std::vector<Key>& configuration_keys() {
  static const std::vector<Key> keys = {{"grid", [](const auto& r) { return to_string(r.attributes.grid); }},
                                        {"algorithm", [](const auto& r) { return r.attributes.algorithm; }},
                                        {"replans", replans_of}};
  return keys;
}

/// What must agree inside a group, whatever bytes are compared.
const std::vector<Key>& repetition_keys() {
  static const std::vector<Key> keys = {
      {"kind", [](const auto& r) { return r.attributes.kind; }},
      {clock_machine_entry, [](const auto& r) { return entry_of(r, clock_machine_entry); }}};
  return keys;
}

/// How often a run checkpoints: at each step its ranks ask one another whether one is due, which is traffic.
std::string checkpoints_of(const RunRecord& r) {
  const auto values = configuration_of(r);
  std::string text;
  for (const auto* key : {"checkpoint.every", "checkpoint.seconds"}) {
    const auto found = values.find(key);
    text += (found == values.end() ? "0" : found->second.value) + " ";
  }
  return text;
}

void report_difference(std::vector<base::Violation>& violations, const std::vector<Key>& keys, const Run& a,
                       const Run& b) {
  for (const auto& key : keys) {
    const auto x = key.value(a.record), y = key.value(b.record);
    if (x != y)
      violations.push_back(
          {key.name, "",
           "is \"" + x + "\" in " + a.path.string() + " but \"" + y + "\" in " + b.path.string()});
  }
}

/// The global batch must agree (strong scaling), or the batch of a data rank (weak scaling).
void report_batch(std::vector<base::Violation>& violations, const Run& a, const Run& b) {
  const auto &x = a.record.attributes, &y = b.record.attributes;
  if (x.batch == y.batch || x.batch * y.grid.data == y.batch * x.grid.data) return;
  violations.push_back({"batch", "",
                        "is " + std::to_string(x.batch) + " in " + a.path.string() + " but " +
                            std::to_string(y.batch) + " in " + b.path.string() +
                            ", and a data rank's share differs too"});
}

/// Every difference of the configuration but those of the grid, which stand in `configuration_keys`, and what
/// was said of these two runs already.
void report_configuration(std::vector<base::Violation>& violations, std::size_t said_from, const Run& a,
                          const Run& b, base::RoleOf role_of) {
  std::set<std::string> said;
  for (auto i = said_from; i < violations.size(); ++i)
    said.insert(violations[i].key);
  for (const auto& d : configuration_differences(a.record, b.record, role_of))
    if (d.role != base::KeyRole::split && !said.contains(d.key))
      violations.push_back({d.key, "",
                            "is configured as \"" + d.before + "\" in " + a.path.string() + " but \"" +
                                d.after + "\" in " + b.path.string()});
}

bool agree(const std::vector<Key>& keys, const RunRecord& a, const RunRecord& b) {
  return std::ranges::all_of(keys, [&](const Key& key) { return key.value(a) == key.value(b); });
}

}  // namespace

std::vector<base::Violation> check_named_once(const std::vector<RunGroup>& groups) {
  std::vector<base::Violation> violations;
  std::set<std::filesystem::path> paths;
  for (const auto& group : groups)
    for (const auto& run : group.runs) {
      std::error_code error;
      if (!paths.insert(std::filesystem::weakly_canonical(std::filesystem::absolute(run.path, error), error))
               .second)
        violations.push_back({run.path.string(), "", "is named twice; every run counts once"});
    }
  return violations;
}

bool have_comparable_counts(const RunRecord& a, const RunRecord& b) {
  return agree(configuration_keys(), a, b) && a.attributes.batch == b.attributes.batch &&
         a.steps.count() == b.steps.count() && a.attributes.first_step == b.attributes.first_step &&
         checkpoints_of(a) == checkpoints_of(b);
}

namespace {

using Groups = std::vector<const RunGroup*>;

std::vector<base::Violation> check_groups(const Groups& groups, base::RoleOf role_of) {
  std::vector<base::Violation> violations;
  const auto& first = groups.front()->runs.front();
  for (const auto* of : groups) {
    const auto& group = *of;
    for (const auto& run : group.runs) {
      const auto before = violations.size();
      if (run.record.attributes.status == Status::invalid)
        violations.push_back(
            {"status", "invalid", "of " + run.path.string() + ": its numbers must not be used"});
      report_difference(violations, configuration_keys(), group.runs.front(), run);
      report_difference(violations, repetition_keys(), group.runs.front(), run);
      const auto known = violations.size();
      report_difference(violations, workload_keys(), first, run);
      report_batch(violations, first, run);
      const bool leads = &run == &group.runs.front();
      if (leads && violations.size() > known) report_configuration(violations, before, first, run, role_of);
      if (!leads) report_configuration(violations, before, group.runs.front(), run, role_of);
    }
  }
  return violations;
}

}  // namespace

std::vector<base::Violation> check_comparable(const std::vector<RunGroup>& groups, base::RoleOf role_of) {
  Groups all;
  for (const auto& group : groups)
    all.push_back(&group);
  return check_groups(all, role_of);
}

bool are_comparable(const RunGroup& before, const RunGroup& after, base::RoleOf role_of) {
  return check_groups({&before, &after}, role_of).empty();
}

}  // namespace partita::results
