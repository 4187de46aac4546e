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

/// Shares that differ only because times and rates are whole numbers count as equal.
template <class Rate>
constexpr Rate with_rounding(Rate rate) {
  return rate + (rate >> 30);
}

/// Bits of a unit's link's rate, and of the greatest rate: 2^26 flows of that have a sum below 2^127.
constexpr int usual_bits = 62, most_bits = 100;

}  // namespace

Flows::Flows(double bytes_per_second) {
  int exponent = 0;
  std::frexp(bytes_per_second * 1e-12, &exponent);
  fineness_ = usual_bits - exponent;
}

Flows::Rate Flows::rate_of(double bytes_per_picosecond) const {
  return static_cast<Rate>(std::min(std::ldexp(bytes_per_picosecond, fineness_), std::ldexp(1, most_bits)));
}

double Flows::in_bytes(Rate rate) const { return std::ldexp(static_cast<double>(rate), -fineness_); }

std::size_t Flows::add_link(const machine::Link& link) {
  const double rate = link.bytes_per_second * 1e-12;
  links_.push_back({.bytes_per_picosecond = rate, .capacity = rate_of(rate), .is_wide = link.is_wide});
  return links_.size() - 1;
}

std::size_t Flows::begin(Picoseconds now, const std::vector<Crossing>& crossings, std::int64_t bytes,
                         Picoseconds alone) {
  base::expect(now >= now_, "flows begin in order of time");
  now_ = now;
  const auto count = static_cast<double>(bytes);
  for (const auto& [l, flows] : crossings)
    alone = std::max(
        alone, static_cast<Picoseconds>(std::min(std::round(count / links_[l].bytes_per_picosecond), 1e18)));
  const auto number = forgotten_ + flows_.size();
  const auto fastest = alone > 0 ? rate_of(count / static_cast<double>(alone)) : 0;
  flows_.push_back({.crossings = &crossings,
                    .bytes = count,
                    .alone = alone,
                    .fastest = fastest,
                    .remaining = count,
                    .since = now,
                    .rate = fastest,
                    .end = now + alone});
  ends_.insert({now + alone, number});
  for (const auto& [l, flows] : crossings) {
    auto& link = links_[l];
    if (link.flows.empty()) link.busy_since = now;
    link.flows.push_back(number);
    link.count += flows;
    link.wanted += fastest * flows;
    link.bytes += bytes * flows;
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
  for (const auto number : ended) {
    auto& over = flow(number);
    over.is_over = true;
    for (const auto& [l, flows] : *over.crossings) {
      auto& link = links_[l];
      std::erase(link.flows, number);
      link.count -= flows;
      link.wanted -= over.fastest * flows;
      if (link.flows.empty()) link.busy += now - link.busy_since;
      touch(l);
    }
  }
  for (; !flows_.empty() && flows_.front().is_over; ++forgotten_)
    flows_.pop_front();
  return ended;
}

void Flows::touch(std::size_t link) {
  if (!links_[link].touched) touched_.push_back(link);
  links_[link].touched = true;
}

void Flows::reach(const Link& link, std::vector<std::size_t>& flows) {
  for (const auto number : link.flows) {
    if (!flow(number).reached) flows.push_back(number);
    flow(number).reached = true;
  }
}

/// Gives all flows their rates that can have others than before.
void Flows::settle() {
  if (touched_.empty()) return;
  std::vector<std::size_t> flows, links;
  for (const auto l : touched_) {
    auto& link = links_[l];
    const bool bound = link.binds;
    link.binds = !link.is_wide && link.wanted > with_rounding(link.capacity);
    link.touched = false;
    if (bound || link.binds) reach(link, flows);
  }
  touched_.clear();
  for (std::size_t i = 0; i < flows.size(); ++i)
    for (const auto& crossing : *flow(flows[i]).crossings) {
      auto& link = links_[crossing.link];
      if (!link.binds || link.reached) continue;
      link.reached = true;
      links.push_back(crossing.link);
      reach(link, flows);
    }
  for (const auto number : flows)
    flow(number).reached = false;
  for (const auto l : links)
    links_[l].reached = false;
  fill(std::move(flows), links);
}

/// All rates rise together. A flow that is as fast as alone stays so; the flows of a link that is full stay
/// as they are; the others rise on.
void Flows::fill(std::vector<std::size_t> flows, const std::vector<std::size_t>& links) {
  for (const auto l : links) {
    links_[l].left = links_[l].capacity;
    links_[l].open = links_[l].count;
  }
  while (!flows.empty()) {
    const auto level = level_of(links);
    const auto is_as_alone = [&](std::size_t f) { return flow(f).fastest <= with_rounding(level); };
    const auto is_held = [&](std::size_t f) {
      return std::ranges::any_of(*flow(f).crossings,
                                 [&](const Crossing& c) { return links_[c.link].is_narrow; });
    };
    const bool some_as_alone = std::ranges::any_of(flows, is_as_alone);
    std::erase_if(flows, [&](std::size_t f) {
      const bool stays = some_as_alone ? is_as_alone(f) : is_held(f);
      if (stays) fix(f, some_as_alone ? flow(f).fastest : level);
      return stays;
    });
  }
  for (const auto l : links)
    links_[l].is_narrow = false;
}

/// To which all flows can rise that have no rate yet, and marks the links that let them go no further.
Flows::Rate Flows::level_of(const std::vector<std::size_t>& links) {
  constexpr Rate most = Rate(1) << most_bits;
  const auto share = [](const Link& link) { return link.open == 0 ? most : link.left / link.open; };
  Rate level = most;
  for (const auto l : links)
    level = std::min(level, share(links_[l]));
  for (const auto l : links)
    links_[l].is_narrow = links_[l].open > 0 && share(links_[l]) <= with_rounding(level);
  return level;
}

void Flows::fix(std::size_t number, Rate rate) {
  for (const auto& [l, flows] : *flow(number).crossings)
    if (links_[l].binds) {
      links_[l].left -= rate * flows;
      links_[l].open -= flows;
    }
  set_rate(number, rate);
}

void Flows::set_rate(std::size_t number, Rate rate) {
  auto& flow = this->flow(number);
  if (flow.rate == rate) return;
  const auto passed = static_cast<double>(now_ - flow.since);
  flow.remaining = std::max(0.0, flow.remaining - in_bytes(flow.rate) * passed);
  flow.since = now_;
  flow.rate = rate;
  const bool is_as_alone = rate == flow.fastest && flow.remaining == flow.bytes;
  const auto end =
      now_ + (is_as_alone
                  ? flow.alone
                  : static_cast<Picoseconds>(std::min(std::round(flow.remaining / in_bytes(rate)), 1e18)));
  ends_.erase({flow.end, number});
  ends_.insert({end, number});
  flow.end = end;
}

}  // namespace partita::sim
