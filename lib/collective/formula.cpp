/// The bytes of rounds, and the model of what a vendor sends.
#include <algorithm>
#include <bit>
#include <map>

#include "partita/collective/rounds.hpp"

namespace partita::collective {
namespace {

void add(TrafficCounts& counts, const MessageRound& round, Bytes element) {
  if (round.send_to >= 0 && !round.send.empty()) {
    counts.messages += 1;
    counts.wire_bytes += element * round.send.size();
  }
  if (round.receive_from >= 0) counts.wire_bytes_received += element * round.receive.size();
}

void add(TrafficCounts& counts, const WindowRound& round, int rank, Bytes element) {
  for (const auto& load : round.loads)
    for (const int peer : load.from)
      if (peer != rank) counts.window_bytes_read += element * load.range.size();
  counts.window_bytes_written += element * round.stored();
}

using Peers = std::map<int, PeerCounts>;

void add(Peers& peers, const MessageRound& round, Bytes element) {
  if (round.send_to >= 0) peers[round.send_to].wire_bytes += element * round.send.size();
  if (round.receive_from >= 0)
    peers[round.receive_from].wire_bytes_received += element * round.receive.size();
}

void add(Peers& peers, const WindowRound& round, int rank, Bytes element) {
  for (const auto& load : round.loads)
    for (const int peer : load.from)
      if (peer != rank) peers[peer].window_bytes_read += element * load.range.size();
  for (const int peer : round.store_to)
    peers[peer].window_bytes_written += element * round.store.size();
}

}  // namespace

std::string_view to_string(Combine combine) {
  return combine == Combine::copy ? "copy" : combine == Combine::sum ? "sum" : "max";
}

Rounds with_loads(const Rounds& rounds) {
  Rounds loads;
  for (const auto& round : rounds) {
    const auto* message = std::get_if<MessageRound>(&round);
    if (!message)
      loads.push_back(round);
    else if (message->receive_from >= 0)
      loads.push_back(WindowRound{.loads = {{.from = {message->receive_from}, .range = message->receive}}});
  }
  return loads;
}

std::int64_t active_rounds(const Rounds& rounds) {
  return std::count_if(rounds.begin(), rounds.end(), [](const Round& round) {
    const auto* message = std::get_if<MessageRound>(&round);
    return !message || (message->send_to >= 0 && !message->send.empty()) ||
           (message->receive_from >= 0 && !message->receive.empty());
  });
}

RoundMemory memory_of(const Rounds& rounds) {
  RoundMemory memory;
  for (const auto& round : rounds) {
    const auto* message = std::get_if<MessageRound>(&round);
    if (!message)
      memory.staged = std::max(memory.staged.value_or(0), std::get<WindowRound>(round).stage_in.size());
    else if (message->combine != Combine::copy)
      memory.received = std::max(memory.received, message->receive.size());
  }
  return memory;
}

TrafficCounts traffic_of(const Rounds& rounds, int rank, Bytes element) {
  TrafficCounts counts;
  for (const auto& round : rounds) {
    if (const auto* message = std::get_if<MessageRound>(&round))
      add(counts, *message, element);
    else
      add(counts, std::get<WindowRound>(round), rank, element);
  }
  return counts;
}

std::vector<PeerCounts> peers_of(const Rounds& rounds, int rank, Bytes element) {
  Peers peers;
  for (const auto& round : rounds) {
    if (const auto* message = std::get_if<MessageRound>(&round))
      add(peers, *message, element);
    else
      add(peers, std::get<WindowRound>(round), rank, element);
  }
  std::vector<PeerCounts> found;
  for (auto& [peer, counts] : peers) {
    if (counts == PeerCounts{}) continue;
    counts.peer = peer;
    found.push_back(counts);
  }
  return found;
}

Bytes modelled_vendor_all_reduce(int p, int rank, std::int64_t n, Bytes element) {
  const int q = static_cast<int>(std::bit_floor(static_cast<unsigned>(p))), folded = p - q;
  if (rank < 2 * folded && rank % 2 == 0) return element * n;  // gives its vector to the next rank
  const std::int64_t returned = rank < 2 * folded ? n : 0;
  const int among = rank < 2 * folded ? rank / 2 : rank - folded;
  if ((element * n).value() <= 2048 || n < q)
    return element * (n * std::countr_zero(static_cast<unsigned>(q)) + returned);
  // q equal parts, the last with what remains. Halving: a bit of the rank says which half is kept and which
  // is sent; doubling sends what was kept.
  const auto size = [&](int begin, int end) { return (end - begin) * (n / q) + (end == q ? n % q : 0); };
  std::int64_t sent = 0;
  for (int mask = 1, begin = 0, end = q; mask < q; mask *= 2) {
    const int middle = (begin + end) / 2;
    const bool keeps_lower = (among & mask) == 0;
    sent += keeps_lower ? size(middle, end) : size(begin, middle);
    (keeps_lower ? end : begin) = middle;
    sent += size(begin, end);
  }
  return element * (sent + returned);
}

}  // namespace partita::collective
