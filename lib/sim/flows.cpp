/// Progressive filling (Bertsekas, Gallager: Data Networks, 1992, section 6.5.2), of those flows alone whose
/// rates can change.
///
/// A link whose flows together want no more than it carries slows down none of them. So rates depend on each
/// other only along links that bind, and rates at one time are worked out once all flows that begin and end
/// then have.
#include "flows.hpp"

#include <algorithm>
#include <cmath>

#include "partita/base/error.hpp"

namespace partita::sim {
namespace {

/// Sums that are equal but for the order of their terms stay equal.
constexpr double rounding = 1 + 1e-9;

}  // namespace

std::size_t Flows::add_link(double bytes_per_second) {
  links_.push_back({.capacity = bytes_per_second * 1e-12});
  return links_.size() - 1;
}

std::size_t Flows::begin(Picoseconds now, const std::vector<std::size_t>& links, std::int64_t bytes,
                         Picoseconds alone) {
  base::expect(now >= now_, "flows begin in order of time");
  now_ = now;
  const auto count = static_cast<double>(bytes);
  for (const auto link : links)
    alone =
        std::max(alone, static_cast<Picoseconds>(std::min(std::round(count / links_[link].capacity), 1e18)));
  const auto number = flows_.size();
  const double fastest = alone > 0 ? count / static_cast<double>(alone) : 0;
  flows_.push_back({&links, count, alone, fastest, count, now, fastest, now + alone});
  ends_.insert({now + alone, number});
  for (const auto l : links) {
    auto& link = links_[l];
    if (link.flows.empty()) link.busy_since = now;
    link.flows.push_back(number);
    link.wanted += fastest;
    link.bytes += bytes;
    touch(l);
  }
  return number;
}

Picoseconds Flows::next_end() {
  settle();
  return ends_.empty() ? never : ends_.begin()->first;
}

std::vector<std::size_t> Flows::end(Picoseconds now) {
  base::expect(now >= now_, "flows end in order of time");
  now_ = now;
  std::vector<std::size_t> ended;
  while (!ends_.empty() && ends_.begin()->first == now) {
    ended.push_back(ends_.begin()->second);
    ends_.erase(ends_.begin());
  }
  for (const auto number : ended)
    for (const auto l : *flows_[number].links) {
      auto& link = links_[l];
      std::erase(link.flows, number);
      link.wanted = link.flows.empty() ? 0 : link.wanted - flows_[number].fastest;
      if (link.flows.empty()) link.busy += now - link.busy_since;
      touch(l);
    }
  return ended;
}

void Flows::touch(std::size_t link) {
  if (!links_[link].touched) touched_.push_back(link);
  links_[link].touched = true;
}

void Flows::reach(const Link& link, std::vector<std::size_t>& flows) {
  for (const auto number : link.flows) {
    if (!flows_[number].reached) flows.push_back(number);
    flows_[number].reached = true;
  }
}

/// Gives all flows their rates that can have others than before.
void Flows::settle() {
  if (touched_.empty()) return;
  std::vector<std::size_t> flows, links;
  for (const auto l : touched_) {
    auto& link = links_[l];
    const bool bound = link.binds;
    link.binds = link.wanted > link.capacity * rounding;
    link.touched = false;
    if (bound || link.binds) reach(link, flows);
  }
  touched_.clear();
  for (std::size_t i = 0; i < flows.size(); ++i)
    for (const auto l : *flows_[flows[i]].links) {
      if (!links_[l].binds || links_[l].reached) continue;
      links_[l].reached = true;
      links.push_back(l);
      reach(links_[l], flows);
    }
  for (const auto number : flows)
    flows_[number].reached = false;
  for (const auto l : links)
    links_[l].reached = false;
  std::ranges::sort(flows);
  fill(std::move(flows), links);
}

/// All rates rise together. A flow that is as fast as alone stays so; the flows of a link that is full stay
/// as they are; the others rise on.
void Flows::fill(std::vector<std::size_t> flows, const std::vector<std::size_t>& links) {
  for (const auto l : links) {
    links_[l].left = links_[l].capacity;
    links_[l].open = links_[l].flows.size();
  }
  while (!flows.empty()) {
    const double level = level_of(links);
    const auto is_as_alone = [&](std::size_t f) { return flows_[f].fastest <= level * rounding; };
    const auto is_held = [&](std::size_t f) {
      return std::ranges::any_of(*flows_[f].links, [&](std::size_t l) { return links_[l].is_narrow; });
    };
    const bool some_as_alone = std::ranges::any_of(flows, is_as_alone);
    std::erase_if(flows, [&](std::size_t f) {
      const bool stays = some_as_alone ? is_as_alone(f) : is_held(f);
      if (stays) fix(f, some_as_alone ? flows_[f].fastest : level);
      return stays;
    });
  }
  for (const auto l : links)
    links_[l].is_narrow = false;
}

/// To which all flows can rise that have no rate yet, and marks the links that let them go no further.
double Flows::level_of(const std::vector<std::size_t>& links) {
  const auto share = [](const Link& link) {
    return link.open == 0 ? std::numeric_limits<double>::infinity()
                          : link.left / static_cast<double>(link.open);
  };
  double level = std::numeric_limits<double>::infinity();
  for (const auto l : links)
    level = std::min(level, share(links_[l]));
  for (const auto l : links)
    links_[l].is_narrow = links_[l].open > 0 && share(links_[l]) <= level * rounding;
  return level;
}

void Flows::fix(std::size_t flow, double rate) {
  for (const auto l : *flows_[flow].links)
    if (links_[l].binds) {
      links_[l].left -= rate;
      --links_[l].open;
    }
  set_rate(flow, rate);
}

void Flows::set_rate(std::size_t number, double rate) {
  auto& flow = flows_[number];
  if (flow.rate == rate) return;
  flow.remaining = std::max(0.0, flow.remaining - flow.rate * static_cast<double>(now_ - flow.since));
  flow.since = now_;
  flow.rate = rate;
  const bool is_as_alone = rate == flow.fastest && flow.remaining == flow.bytes;
  const auto end =
      now_ + (is_as_alone ? flow.alone
                          : static_cast<Picoseconds>(std::min(std::round(flow.remaining / rate), 1e18)));
  ends_.erase({flow.end, number});
  ends_.insert({end, number});
  flow.end = end;
}

}  // namespace partita::sim
