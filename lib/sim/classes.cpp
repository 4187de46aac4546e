/// Colour refinement: each round mixes into a rank's colour those of all whom it meets, and of the links on
/// the way to them.
#include "classes.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "colour.hpp"
#include "network.hpp"
#include "relation.hpp"

namespace partita::sim {
namespace {

constexpr int most_rounds = 64;

/// Pairs of ranks whose links are looked up: beyond, colours would take longer than what they save.
constexpr std::int64_t most_pairs = 1 << 24;

std::size_t count_of(const Colours& colours) {
  return std::unordered_set<Colour>(colours.begin(), colours.end()).size();
}

/// Mixes in the place of a rank in its unit, and the colours of all who have one there.
void add_unit(const Colours& before, Colours& colours, std::size_t inside) {
  for (std::size_t first = 0; first < before.size(); first += inside) {
    const auto end = std::min(first + inside, before.size());
    Colour unit = 0;
    for (auto rank = first; rank < end; ++rank)
      unit = mixed(unit, before[rank]);
    for (auto rank = first; rank < end; ++rank)
      colours[rank] = mixed(colours[rank], rank - first, unit);
  }
}

class Refinement {
 public:
  Refinement(const Setting& setting, const ExchangeByGroup& exchanges, bool meet)
      : setting_(setting), meet_(meet) {
    colour_ranks();
    if (meet)
      for (std::size_t level = 0; level < setting.machine->levels.size(); ++level)
        if (keeps_gaps(setting.machine->levels[level]))
          units_.insert(static_cast<std::size_t>(setting.machine->ranks_joined_by(level)));
    relate(exchanges);
    if (meet) find_links();
  }

  std::optional<Classes> classes(std::size_t most) && {
    if (is_too_much_) return {};
    auto count = count_of(ranks_) + count_of(links_);
    for (int round = 0; round < most_rounds && count_of(ranks_) <= most; ++round) {
      const auto before = ranks_, links_before = links_;
      refine(before);
      const auto refined = count_of(ranks_) + count_of(links_);
      if (refined == count) return classes_by(before, links_before);
      count = refined;
    }
    return {};
  }

 private:
  /// By role, samples and pace.
  void colour_ranks() {
    for (int rank = 0; rank < static_cast<int>(setting_.programs->size()); ++rank) {
      const auto& program = *(*setting_.programs)[static_cast<std::size_t>(rank)];
      auto colour = mixed(0, program.at.pipeline, program.at.tensor);
      for (const auto j : program.microbatch_ids())
        colour = mixed(colour, program.samples_of(j, rank, setting_.batch));
      const auto [part, speed] = setting_.pace_of(rank);
      ranks_.push_back(mixed(colour, part, std::bit_cast<Colour>(speed)));
    }
  }

  /// Exchanges that differ in who meets whom.
  void relate(const ExchangeByGroup& exchanges) {
    Colours names(ranks_.size());  // a colour of its own for each rank
    for (std::size_t rank = 0; rank < names.size(); ++rank)
      names[rank] = rank;
    std::set<const Exchange*> seen;
    std::set<Colour> known;
    for (const auto& exchange : exchanges) {
      if (!exchange || !seen.insert(exchange.get()).second) continue;
      Relation relation(*exchange, setting_);
      relation.add_rounds(ranks_);
      if (!units_.empty()) relation.add_turns(ranks_);
      auto unused = ranks_;
      const auto others = relation.add_others(names, unused);
      if (known.insert(mixed(others, relation.senders())).second) relations_.push_back(std::move(relation));
    }
  }

  void find_links() {
    std::int64_t pairs = 0;
    for (const auto& relation : relations_)
      pairs += relation.pairs();
    is_too_much_ = pairs > most_pairs;
    if (is_too_much_) return;
    for (auto& relation : relations_)
      relation.find_links(numbers_);
    for (const auto& link : numbers_.links())
      links_.push_back(mixed(0, link.level, std::bit_cast<Colour>(link.bytes_per_second)));
  }

  void refine(const Colours& before) {
    for (const auto& relation : relations_)
      relation.add_others(before, ranks_);
    for (const auto inside : units_)
      add_unit(before, ranks_, inside);
    if (!meet_) return;
    Colours sums(links_.size());
    for (std::size_t i = 0; i < relations_.size(); ++i)
      relations_[i].add_crossings(before, i, sums);
    for (std::size_t link = 0; link < links_.size(); ++link)
      links_[link] = mixed(links_[link], sums[link]);
    for (const auto& relation : relations_)
      relation.add_links(links_, ranks_);
  }

  [[nodiscard]] Classes classes_by(const Colours& ranks, const Colours& links) const {
    Classes classes;
    const auto& grid = setting_.programs->front()->grid;
    classes.representatives.resize(static_cast<std::size_t>(grid.pipeline));
    std::unordered_map<Colour, int> number_of;
    for (int rank = 0; rank < static_cast<int>(ranks.size()); ++rank) {
      const auto [known, is_new] =
          number_of.emplace(ranks[static_cast<std::size_t>(rank)], static_cast<int>(number_of.size()));
      classes.class_of.push_back(known->second);
      if (is_new) {
        const auto stage = static_cast<std::size_t>(topology::coordinate_of(grid, rank).pipeline);
        classes.first_rank.push_back(rank);
        classes.sizes.push_back(0);
        classes.representatives[stage].push_back(rank);
      }
      ++classes.sizes[static_cast<std::size_t>(known->second)];
    }
    classes.links = {numbers_.links(), links};
    return classes;
  }

  const Setting& setting_;
  bool meet_;
  Colours ranks_, links_;
  std::set<std::size_t> units_;  ///< ranks of those that keep gaps
  std::vector<Relation> relations_;
  LinkNumbers numbers_;
  bool is_too_much_ = false;
};

}  // namespace

LinkClasses::LinkClasses(const std::vector<machine::Link>& links, const Colours& colours) {
  std::vector<std::size_t> order(links.size());
  for (std::size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  std::ranges::sort(order, {}, [&](std::size_t i) -> const machine::Link& { return links[i]; });
  std::unordered_map<Colour, std::size_t> number_of;
  for (const auto i : order) {
    const auto [known, is_new] = number_of.emplace(colours[i], firsts_.size());
    if (is_new) {
      firsts_.push_back(links[i]);
      sizes_.push_back(0);
    }
    ++sizes_[known->second];
    all_.push_back(links[i]);
    class_of_.push_back(known->second);
  }
}

std::size_t LinkClasses::number_of(const machine::Link& link) const {
  return class_of_[static_cast<std::size_t>(std::ranges::lower_bound(all_, link) - all_.begin())];
}
const machine::Link& LinkClasses::representative(const machine::Link& link) const {
  return firsts_[number_of(link)];
}
std::int64_t LinkClasses::size_of(const machine::Link& link) const { return sizes_[number_of(link)]; }

std::optional<Classes> classes_of(const Setting& setting, const ExchangeByGroup& exchanges, std::size_t most,
                                  bool meet) {
  return Refinement(setting, exchanges, meet).classes(most);
}

}  // namespace partita::sim
