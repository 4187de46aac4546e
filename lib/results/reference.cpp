/// Reads METRIC=TARGET,LOWER,UPPER[,UNIT] and holds a group's median against it. Bounds that could never fail
/// are refused, and a name that is no metric is answered with the nearest one.
#include "partita/results/reference.hpp"

#include <algorithm>
#include <limits>
#include <sstream>
#include <utility>

#include "partita/base/nearest.hpp"
#include "partita/base/number.hpp"

namespace partita::results {
namespace {

/// The whole text as a finite number; a plus in front may be written.
std::optional<double> finite_number(std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  const auto value = base::number_of<double>(text);
  return value && std::isfinite(*value) ? value : std::nullopt;
}

/// One metric over the runs of a group that have it.
struct GroupMetric {
  std::string name, unit;
  std::vector<double> values;
};

std::vector<GroupMetric> group_metrics(const RunGroup& group) {
  std::vector<GroupMetric> metrics;
  for (const auto& run : group.runs)
    for (const auto& metric : metrics_of(run.record)) {
      auto found = std::ranges::find(metrics, metric.name, &GroupMetric::name);
      if (found == metrics.end()) found = metrics.insert(found, {metric.name, metric.unit, {}});
      found->values.push_back(metric.value);
    }
  return metrics;
}

std::string trimmed(const std::string& text) {
  constexpr const char* blank = " \t";
  const auto first = text.find_first_not_of(blank);
  return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(blank) - first + 1);
}

/// Empty fields count: "1,,0.1" has three. Blanks about a field do not.
std::vector<std::string> fields_of(const std::string& text) {
  std::vector<std::string> fields;
  for (std::size_t at = 0; at <= text.size();) {
    const auto comma = std::min(text.find(',', at), text.size());
    fields.push_back(trimmed(text.substr(at, comma - at)));
    at = comma + 1;
  }
  return fields;
}

/// Why `fraction` is no bound on the side of `sign`; empty where it is one. A lower bound below -1 lies
/// beyond 0 for a target of at least 0, as an upper one above 1 does for a negative target: it could never
/// fail, and percent were meant.
std::string bound_error(std::optional<double> fraction, int sign, std::optional<double> target) {
  const std::string side = sign < 0 ? "the lower bound" : "the upper bound";
  if (!fraction || *fraction * sign < 0)
    return side + (sign < 0 ? " is a fraction of at most 0, such as -0.05, or None"
                            : " is a fraction of at least 0, such as 0.05, or None");
  const bool limited = target && (sign < 0 ? *target >= 0 : *target < 0);
  if (!limited || std::abs(*fraction) <= 1) return "";
  std::ostringstream meant;
  meant << side << " of such a target is a fraction in " << (sign < 0 ? "[-1, 0]" : "[0, 1]") << ": "
        << *fraction << " % is " << *fraction / 100;
  return meant.str();
}

/// A bound on the side of `sign`; none where nothing or None is written.
std::optional<double> bound_of(const std::string& key, const std::string& whole, const std::string& text,
                               int sign, std::optional<double> target,
                               std::vector<base::Violation>& violations) {
  if (text.empty() || text == "None") return std::nullopt;
  const auto value = finite_number(text);
  const auto wrong = bound_error(value, sign, target);
  if (wrong.empty()) return value;
  violations.push_back({key, whole, wrong});
  return std::nullopt;
}

/// The members of the family `wanted`, else the name nearest to it.
std::string suggestion(const std::string& wanted, std::span<const std::string> names) {
  std::string members;
  for (const auto& name : names)
    if (names_metric(wanted, name)) members += (members.empty() ? "" : ", ") + name;
  if (!members.empty()) return "; it is a family: name one of " + members;
  const auto nearest = nearest_name(wanted, names);
  return nearest.empty() ? "" : "; the nearest is " + nearest;
}

}  // namespace

std::optional<Reference> parse_reference(const std::string& key, const std::string& text,
                                         std::vector<base::Violation>& violations) {
  const auto known = violations.size();
  // A benchmark's name has equals signs of its own: "copy bytes=64".
  const auto equals = text.rfind('=');
  const auto fields = fields_of(equals == std::string::npos ? "" : text.substr(equals + 1));
  if (equals == std::string::npos || trimmed(text.substr(0, equals)).empty() || fields.size() < 3 ||
      fields.size() > 4) {
    violations.push_back(
        {key, text, "must be METRIC=TARGET,LOWER,UPPER[,UNIT], such as step_time=0.002,,0.05,s"});
    return std::nullopt;
  }
  Reference reference{.metric = trimmed(text.substr(0, equals)), .unit = fields.size() == 4 ? fields[3] : ""};
  const auto target = finite_number(fields[0]);
  if (target)
    reference.target = *target;
  else
    violations.push_back({key, text, "the target must be a number"});
  reference.lower = bound_of(key, text, fields[1], -1, target, violations);
  reference.upper = bound_of(key, text, fields[2], 1, target, violations);
  if (violations.size() > known) return std::nullopt;
  return reference;
}

std::vector<CheckedReference> check_references(std::span<const Reference> references, const RunGroup& group,
                                               std::vector<base::Violation>& violations) {
  const auto metrics = group_metrics(group);
  std::vector<std::string> names;
  for (const auto& metric : metrics)
    names.push_back(metric.name);
  std::vector<CheckedReference> checked;
  for (const auto& reference : references) {
    const auto metric = std::ranges::find(metrics, reference.metric, &GroupMetric::name);
    if (metric == metrics.end()) {
      violations.push_back({"--reference", reference.metric,
                            "is no metric of " + group.name + suggestion(reference.metric, names)});
      continue;
    }
    if (!reference.unit.empty() && reference.unit != metric->unit) {
      violations.push_back(
          {"--reference", reference.metric + " in " + reference.unit, "the unit is " + metric->unit});
      continue;
    }
    CheckedReference c{
        .reference = reference, .group = group.name, .runs = group.runs.size(), .unit = metric->unit};
    c.median = metric->values.size() == group.runs.size() ? median(metric->values) : not_measured;
    const auto bound = [&](std::optional<double> fraction) {
      return fraction ? std::optional(reference.target + std::abs(reference.target) * *fraction)
                      : std::nullopt;
    };
    c.least = bound(reference.lower);
    c.most = bound(reference.upper);
    c.holds =
        std::isfinite(c.median) && (!c.least || c.median >= *c.least) && (!c.most || c.median <= *c.most);
    checked.push_back(std::move(c));
  }
  return checked;
}

std::string nearest_name(const std::string& wanted, std::span<const std::string> names) {
  std::string nearest;
  std::size_t least = std::numeric_limits<std::size_t>::max();
  for (const auto& name : names)
    if (const auto distance = base::edit_distance(wanted, name); distance < least) {
      least = distance;
      nearest = name;
    }
  return nearest;
}

}  // namespace partita::results
