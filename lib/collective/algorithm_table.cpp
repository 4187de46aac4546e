/// Reads, checks and searches a table of rules. A table without an answer for some reach or size is refused
/// when it is read.
#include "partita/collective/algorithm_table.hpp"

#include <algorithm>
#include <set>
#include <sstream>

#include "partita/base/digest.hpp"
#include "partita/base/line_file.hpp"
#include "partita/base/number.hpp"
#include "shipped_table.hpp"

namespace partita::collective {
namespace {

using Violations = std::vector<base::Violation>;

/// What rules of one kind share.
using Kind = std::pair<Reach, int>;
Kind kind_of(const AlgorithmRule& rule) { return {rule.reach, rule.ranks}; }

bool precedes(const AlgorithmRule& a, const AlgorithmRule& b) {
  if (kind_of(a) != kind_of(b)) return kind_of(a) < kind_of(b);
  return a.up_to && (!b.up_to || *a.up_to < *b.up_to);
}

template <class T>
std::optional<T> positive_number(std::string_view text) {
  const auto value = base::number_of<T>(text);
  return value && *value >= 1 ? value : std::nullopt;
}

std::optional<Reach> parse_reach(std::string_view text) {
  for (const Reach reach : all_reaches)
    if (text == to_string(reach)) return reach;
  return std::nullopt;
}

/// One line's rule, or what is wrong with it.
std::optional<AlgorithmRule> parse_rule(const std::string& line, std::string& wrong) {
  std::string twice;
  auto fields = base::values_of(line, twice);
  if (!twice.empty()) return wrong = "names " + twice + " twice", std::nullopt;
  const auto reach = parse_reach(fields["reach"]);
  const auto ranks = positive_number<int>(fields["ranks"]);
  const auto bytes = positive_number<std::int64_t>(fields["bytes"]);
  const auto algorithm = parse_algorithm(fields["algorithm"]);
  if (!reach || !ranks || (!bytes && fields["bytes"] != "any") || !algorithm || fields.size() != 4)
    return wrong = "must be reach=window|node|mixed|spread ranks=N bytes=N|any algorithm=NAME", std::nullopt;
  if (!is_candidate(*algorithm, *reach))
    return wrong = "names an algorithm that its reach does not allow", std::nullopt;
  return AlgorithmRule{.reach = *reach,
                       .ranks = *ranks,
                       .up_to = bytes ? std::optional(Bytes(*bytes)) : std::nullopt,
                       .algorithm = *algorithm};
}

void check_whole(std::span<const AlgorithmRule> rules, Violations& violations) {
  std::set<Reach> seen;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const bool last = i + 1 == rules.size() || kind_of(rules[i + 1]) != kind_of(rules[i]);
    const std::string kind = std::string("reach=") + std::string(to_string(rules[i].reach)) +
                             " ranks=" + std::to_string(rules[i].ranks);
    if (last && rules[i].up_to) violations.push_back({kind, "", "must end with a rule for bytes=any"});
    if (!last && !precedes(rules[i], rules[i + 1]))
      violations.push_back({kind, "", "must not have two rules for the same bytes"});
    seen.insert(rules[i].reach);
  }
  for (const Reach reach : all_reaches)
    if (!seen.contains(reach))
      violations.push_back(
          {"reach=" + std::string(to_string(reach)), "", "must have rules; the shipped table has all four"});
}

}  // namespace

std::vector<Algorithm> candidates(Reach reach) {
  std::vector<Algorithm> possible_there;
  for (const Algorithm algorithm : algorithms())
    if (is_candidate(algorithm, reach)) possible_there.push_back(algorithm);
  return possible_there;
}

const AlgorithmTable& AlgorithmTable::shipped() {
  static const AlgorithmTable table = [] {
    Violations violations;
    auto parsed = parse(shipped_table, violations);
    base::expect(violations.empty(), "the shipped table of algorithms is sound", violations.size());
    return parsed;
  }();
  return table;
}

AlgorithmTable AlgorithmTable::parse(std::string_view text, Violations& violations) {
  AlgorithmTable table;
  const auto before = violations.size();
  for (const auto& line : base::lines_of(text)) {
    std::string wrong;
    if (const auto rule = parse_rule(line.text, wrong))
      table.rules_.push_back(*rule);
    else
      violations.push_back(base::wrong_line(line, wrong));
  }
  std::stable_sort(table.rules_.begin(), table.rules_.end(), precedes);
  if (violations.size() == before) check_whole(table.rules_, violations);
  return table;
}

AlgorithmTable AlgorithmTable::read(const std::filesystem::path& path, const std::string& option,
                                    Violations& violations) {
  AlgorithmTable table;
  base::read_lines(path, option, violations, [&](std::string_view text) { table = parse(text, violations); });
  return table;
}

Algorithm AlgorithmTable::choose(Reach reach, int ranks, Bytes size) const {
  int listed = 0;
  for (const auto& rule : rules_)
    if (rule.reach == reach && (rule.ranks <= ranks || listed == 0)) listed = rule.ranks;
  for (const auto& rule : rules_)
    if (rule.reach == reach && rule.ranks == listed && (!rule.up_to || size <= *rule.up_to))
      return rule.algorithm;
  throw base::ContractError("an algorithm table has rules for every reach");
}

AlgorithmTable AlgorithmTable::with(std::span<const AlgorithmRule> rules) const {
  AlgorithmTable table = *this;
  for (const auto& rule : rules)
    std::erase_if(table.rules_, [&](const auto& old) { return kind_of(old) == kind_of(rule); });
  table.rules_.insert(table.rules_.end(), rules.begin(), rules.end());
  std::sort(table.rules_.begin(), table.rules_.end(), precedes);
  return table;
}

std::string AlgorithmTable::to_text() const {
  std::ostringstream text;
  for (const auto& rule : rules_) {
    text << "reach=" << to_string(rule.reach) << " ranks=" << rule.ranks << " bytes=";
    rule.up_to ? text << rule.up_to->value() : text << "any";
    text << " algorithm=" << to_string(rule.algorithm) << '\n';
  }
  return text.str();
}

std::string AlgorithmTable::hash() const { return base::Sha256().update(to_text()).hex(); }

Algorithm choose(const Wish& wish, const Place& at, Bytes size, const AlgorithmTable& table) {
  if (const auto named = wish.named(); named != Algorithm::automatic) return named;
  return at.reached ? Algorithm::window : table.choose(reach_of(at), at.ranks(), size);
}

}  // namespace partita::collective
