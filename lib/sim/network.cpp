/// A queue for each unit and direction, and flows between them.
#include "network.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "classes.hpp"
#include "flight.hpp"
#include "partita/base/error.hpp"

namespace partita::sim {
namespace {

/// The slowest link of a unit.
double unit_link(const machine::Machine* machine) {
  double slowest = std::numeric_limits<double>::infinity();
  if (machine != nullptr)
    for (const auto& level : machine->levels)
      if (!level.topology.kind.empty()) slowest = std::min(slowest, level.topology.link_bytes_per_second);
  return std::isfinite(slowest) ? slowest : 1;
}

}  // namespace

bool keeps_gaps(const machine::Level& level) {
  return std::ranges::any_of(level.protocols,
                             [](const machine::Protocol& protocol) { return protocol.gap_seconds > 0; });
}

std::pair<int, int> distance(const Ends& ends) { return {std::abs(ends.from - ends.to), ends.from}; }

Network::Network(const machine::Machine* machine, const Classes* classes)
    : machine_(machine), classes_(classes), flows_(unit_link(machine)) {}

int Network::representative(int rank) const { return classes_ ? classes_->representative(rank) : rank; }

const Network::Way& Network::way(const Ends& ends) {
  const auto [known, is_new] = ways_.try_emplace(ends);
  auto& way = known->second;
  if (!is_new) return way;
  const auto level = machine_->level_between(ends.from, ends.to);
  const auto inside = machine_->ranks_joined_by(level);
  way.source = {level, representative(ends.from) / inside};
  way.target = {level, ends.to / inside};
  for (const auto& link : machine::links_between(*machine_, ends.from, ends.to)) {
    if (classes_ && link.is_wide) continue;
    const auto number = number_of(classes_ ? classes_->links.representative(link) : link);
    const auto crossing = std::ranges::find(way.links, number, &Crossing::link);
    if (crossing == way.links.end())
      way.links.push_back({.link = number, .flows = 1});
    else
      ++crossing->flows;
  }
  if (classes_) spread(way, classes_->size_of(ends.from));
  way.can_delay = !way.links.empty() || keeps_gaps(machine_->levels[level]);
  return way;
}

/// The flows of `flows` senders, each over so many links of a class, among all links of that class.
void Network::spread(Way& way, std::int64_t flows) const {
  for (auto& crossing : way.links) {
    const auto all = crossing.flows * flows, links = links_alike_[crossing.link];
    base::expect(all % links == 0, "as many flows of a class cross each link of a class", all, links);
    crossing.flows = all / links;
  }
}

std::size_t Network::number_of(const machine::Link& link) {
  const auto [number, is_first] = links_.try_emplace(link, 0);
  if (is_first) {
    number->second = flows_.add_link(link);
    links_alike_.push_back(classes_ ? classes_->links.size_of(link) : 1);
  }
  return number->second;
}

void Network::send(const Passage& passage, const machine::MessageTime& time, kernels::Bytes bytes,
                   Picoseconds ready) {
  messages_.push_back({passage, time, bytes.value(), &way(passage.ends)});
  ready_.push({.time = ready,
               .message = forgotten_ + messages_.size() - 1,
               .rank = representative(passage.ends.from),
               .meeting = {passage.meeting->step, passage.meeting->group},
               .other = {}});
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
    const auto& message = this->message(event.message);
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
    const auto& message = this->message(number);
    const auto arrives = now + message.time.latency;
    notices.push_back({.passage = message.passage, .drained = now, .arrives = {}});
    arriving_.push({.time = arrives,
                    .message = number,
                    .rank = message.passage.ends.to,
                    .meeting = {message.passage.meeting->step, message.passage.meeting->group},
                    .other = distance(message.passage.ends)});
  }
  while (!arriving_.empty() && arriving_.top().time == now) {
    auto& message = this->message(arriving_.top().message);
    message.has_arrived = true;
    arriving_.pop();
    const auto slot = take_slot(taking_, message.way->target, now, message.time.gap);
    notices.push_back({.passage = message.passage, .drained = {}, .arrives = slot});
  }
  for (; !messages_.empty() && messages_.front().has_arrived; ++forgotten_)
    messages_.pop_front();
  return notices;
}

std::vector<LinkUse> Network::uses() const {
  std::vector<LinkUse> uses;
  const auto add = [&](const machine::Link& link, std::size_t number) {
    uses.push_back({name_of(*machine_, link), flows_.busy(number), kernels::Bytes(flows_.bytes(number)),
                    link.bytes_per_second});
  };
  if (!classes_)
    for (const auto& [link, number] : links_)
      add(link, number);
  else
    for (const auto& link : classes_->links.all())
      add(link, links_.at(classes_->links.representative(link)));
  return uses;
}

}  // namespace partita::sim
