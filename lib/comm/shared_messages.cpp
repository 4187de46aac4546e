/// Messages between buffers that their ranks reach: how both ends find each other.
#include <algorithm>
#include <cstring>

#include "shared_rounds.hpp"

namespace partita::comm {

using collective::Operation;

std::unique_ptr<SharedRounds> SharedRounds::message(const std::shared_ptr<Communicator::State>& owner,
                                                    const Description& d, const Buffer& buffer, int peer,
                                                    int tag) {
  const bool sends = d.operation == Operation::send;
  auto message = std::make_unique<SharedRounds>(owner, d, buffer, buffer, rounds_of_message(*owner, d, peer));
  message->show_message(peer, tag);
  message->end_ = {.peer = peer, .tag = tag, .sends = sends};
  if (!buffer.view.empty()) owner->unconnected.push_back(message.get());
  return message;
}

void SharedRounds::connect(const Lease& lease, Line* mine, Line* theirs, const std::string& address) {
  window_ = lease;
  lines_ = 1;
  pairs_[static_cast<std::size_t>(end_.peer)] = {.mine = mine, .theirs = theirs};
  out_->open(state().rank, in_->address());
  out_->open(end_.peer, address);
}

namespace {

using End = SharedRounds::End;
struct Told {
  End end;
  std::string address;
};

std::string text_of(const std::vector<SharedRounds*>& messages) {
  std::string text;
  for (const auto* message : messages) {
    const auto address = message->address();
    const std::uint64_t bytes = address.size();
    text.append(reinterpret_cast<const char*>(&message->end()), sizeof(End));
    text.append(reinterpret_cast<const char*>(&bytes), sizeof(bytes)).append(address);
  }
  return text;
}

std::vector<Told> told_by(const std::string& text) {
  std::vector<Told> all;
  for (std::size_t at = 0; at < text.size();) {
    auto& told = all.emplace_back();
    std::uint64_t bytes = 0;
    std::memcpy(&told.end, text.data() + at, sizeof(End));
    std::memcpy(&bytes, text.data() + at + sizeof(End), sizeof(bytes));
    told.address = text.substr(at + sizeof(End) + sizeof(bytes), bytes);
    at += sizeof(End) + sizeof(bytes) + bytes;
  }
  return all;
}

/// Which of its peer's messages is the other end of this rank's message `mine`.
std::size_t find(const std::vector<Told>& theirs, const End& mine, int me) {
  const auto is_other = [&](const Told& told) {
    return told.end.peer == me && told.end.tag == mine.tag && told.end.sends != mine.sends;
  };
  const auto found = std::find_if(theirs.begin(), theirs.end(), is_other);
  base::expect(found != theirs.end(), "both ends of a message are shared; peer", mine.peer, "tag", mine.tag);
  return static_cast<std::size_t>(found - theirs.begin());
}

}  // namespace

/// The i-th message that a rank has planned since the last call writes the i-th line of this rank.
void Communicator::connect_shared() {
  const auto messages = std::exchange(state_->unconnected, {});
  std::vector<std::vector<Told>> told;
  std::size_t most = 0;
  for (const auto& text : all_gather_text(text_of(messages), collective::Purpose::control)) {
    told.push_back(told_by(text));
    most = std::max(most, told.back().size());
  }
  if (most == 0) return;
  const Lease lease = state_->lease(most * sizeof(SharedRounds::Line));
  const auto line = [&](int rank, std::size_t i) {
    return reinterpret_cast<SharedRounds::Line*>(lease.of(rank)) + i;
  };
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const End mine = messages[i]->end();
    const auto& theirs = told[static_cast<std::size_t>(mine.peer)];
    const auto other = find(theirs, mine, rank());
    messages[i]->connect(lease, line(rank(), i), line(mine.peer, other), theirs[other].address);
  }
  state_->node_barrier();  // as for collectives
}

}  // namespace partita::comm
