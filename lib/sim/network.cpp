/// A queue for each unit and direction, and flows between them.
#include "network.hpp"

#include <algorithm>

namespace partita::sim {
namespace {

bool has_gap(const machine::Protocol& protocol) { return protocol.gap_seconds > 0; }

}  // namespace

const Network::Way& Network::way(int from, int to) {
  const auto [known, is_new] = ways_.try_emplace({from, to});
  auto& way = known->second;
  if (!is_new) return way;
  const auto level = machine_->level_between(from, to);
  const auto inside = machine_->ranks_joined_by(level);
  way.source = {level, from / inside};
  way.target = {level, to / inside};
  for (const auto& link : machine::links_between(*machine_, from, to)) {
    const auto [number, is_first] = links_.try_emplace(link, 0);
    if (is_first) number->second = flows_.add_link(link.bytes_per_second);
    way.links.push_back(number->second);
  }
  way.can_delay = !way.links.empty() || std::ranges::any_of(machine_->levels[level].protocols, has_gap);
  return way;
}

void Network::send(const Passage& passage, const machine::MessageTime& time, kernels::Bytes bytes,
                   Picoseconds ready) {
  messages_.push_back({passage, time, bytes.value(), &way(passage.from, passage.to)});
  ready_.push({ready, messages_.size() - 1, passage.from, passage.to});
}

Picoseconds Network::take_slot(Gaps& gaps, const std::pair<std::size_t, std::int64_t>& unit,
                               Picoseconds ready, Picoseconds gap) {
  auto& free = gaps.try_emplace(unit, 0).first->second;
  const auto slot = std::max(ready, free);
  free = slot + gap;
  return slot;
}

void Network::depart(Picoseconds now) {
  while (next_departure() == now) {
    auto event = ready_.top();
    ready_.pop();
    const auto& message = messages_[event.message];
    if (!event.has_slot) {
      event.time = take_slot(sending_, message.way->source, now, message.time.gap);
      event.has_slot = true;
    }
    if (event.time > now) {
      ready_.push(event);
      continue;
    }
    flows_.begin(now, message.way->links, message.bytes, message.time.bytes);
    message_of_.push_back(event.message);
  }
}

Picoseconds Network::next_end() {
  return std::min(flows_.next_end(), arriving_.empty() ? never : arriving_.top().time);
}

std::vector<Network::Notice> Network::end(Picoseconds now) {
  std::vector<Notice> notices;
  for (const auto flow : flows_.end(now)) {
    const auto number = message_of_[flow];
    const auto& message = messages_[number];
    const auto arrives = now + message.time.latency;
    notices.push_back({.passage = message.passage, .drained = now, .arrives = {}});
    arriving_.push({arrives, number, message.passage.from, message.passage.to});
  }
  while (!arriving_.empty() && arriving_.top().time == now) {
    const auto& message = messages_[arriving_.top().message];
    arriving_.pop();
    const auto slot = take_slot(taking_, message.way->target, now, message.time.gap);
    notices.push_back({.passage = message.passage, .drained = {}, .arrives = slot});
  }
  return notices;
}

std::vector<LinkUse> Network::uses() const {
  std::vector<LinkUse> uses;
  for (const auto& [link, number] : links_)
    uses.push_back({name_of(*machine_, link), flows_.busy(number), kernels::Bytes(flows_.bytes(number))});
  return uses;
}

}  // namespace partita::sim
