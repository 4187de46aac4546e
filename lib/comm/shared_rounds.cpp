/// Where an operation on shared buffers has come to: which round, whether its copies are issued, what each
/// peer has said. Every call looks, does what is possible and returns.
#include "shared_rounds.hpp"

#include <algorithm>

namespace partita::comm {
namespace {

using collective::MessageRound;
using collective::Range;
using collective::WindowRound;

Bytes element_of(const Description& description) { return bytes_of(description.type, Elements(1)); }

bool overlap(Range a, Range b) { return a.begin < b.end && b.begin < a.end && !a.empty() && !b.empty(); }

/// Whether a round can be run without memory beside the buffer.
bool works(const collective::Round& round) {
  if (const auto* message = std::get_if<MessageRound>(&round))
    return message->combine == Combine::copy || message->send_to < 0 || message->receive_from < 0 ||
           !overlap(message->send, message->receive);
  return std::get<WindowRound>(round).stage_in.empty();
}

void say(std::uint64_t& word, std::uint64_t value) {
  std::atomic_ref(word).store(value, std::memory_order_release);
}
std::uint64_t heard(std::uint64_t& word) { return std::atomic_ref(word).load(std::memory_order_acquire); }

}  // namespace

SharedRounds::SharedRounds(const std::shared_ptr<Communicator::State>& owner, Description description,
                           const Buffer& in, const Buffer& out, collective::Rounds rounds)
    : BookedCollective(owner, description,
                       traffic_of(collective::with_loads(rounds), owner->rank, element_of(description)),
                       peers_of(collective::with_loads(rounds), owner->rank, element_of(description)),
                       {in, out, std::vector<collective::StagedRound>(rounds.size())}),
      in_(in.shared),
      out_(out.shared),
      rounds_(std::move(rounds)),
      pairs_(static_cast<std::size_t>(owner->size)) {
  sources_.reserve(pairs_.size() + 1);
  base::expect(in_ && out_, "both buffers of an operation are shared, or none");
  base::expect(owner->local_size == owner->size, "ranks that share buffers are on one node; ranks",
               owner->size);
  base::expect(std::all_of(rounds_.begin(), rounds_.end(), works), "rounds run on the buffers themselves");
}

SharedRounds::~SharedRounds() {
  std::erase(state().unconnected, this);
  MPI_Request none[] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  abandon(none[0], none[1]);
}

/// A window of p + 1 lines on every rank: its arrivals, then what it says to each.
void SharedRounds::connect_all(std::span<const std::string> addresses) {
  const auto p = static_cast<std::size_t>(state().size), me = static_cast<std::size_t>(state().rank);
  if (p == 1 && rounds_.empty()) return;
  lines_ = p + 1;
  window_ = state().lease(lines_ * sizeof(Line));
  const auto lines = [&](std::size_t rank) {
    return reinterpret_cast<Line*>(window_.of(static_cast<int>(rank)));
  };
  for (std::size_t r = 0; r < p; ++r) {
    arrivals_.push_back(lines(r));
    pairs_[r] = {.mine = lines(me) + 1 + r, .theirs = lines(r) + 1 + me};
    out_->open(static_cast<int>(r), addresses[r]);
  }
  state().node_barrier();  // a rank that fails from here on may take its memory with it
}

void SharedRounds::begin() { round_ = 0, entered_ = false; }

bool SharedRounds::step() {
  for (; round_ < rounds_.size(); ++round_, entered_ = false) {
    if (!entered_ && !staged_.ready(round_)) return false;
    const bool over = std::visit(
        [this](const auto& round) {
          if (!entered_) enter(round);
          entered_ = true;
          return run(round);
        },
        rounds_[round_]);
    if (!over) return false;
  }
  return true;
}

SharedRounds::Pair& SharedRounds::pair(int peer) {
  auto& pair = pairs_[static_cast<std::size_t>(peer)];
  base::expect(pair.mine && pair.theirs, "shared buffers are connected before they are used; peer", peer);
  return pair;
}

void SharedRounds::enter(const MessageRound& round) {
  loads_ = false;
  received_ = round.receive_from < 0 || round.receive.empty();
  if (round.send_to < 0 || round.send.empty()) return;
  auto& to = pair(round.send_to);
  to.mine->first = round.send.begin;
  to.mine->elements = round.send.size();
  say(to.mine->ready, ++to.sent);
}

bool SharedRounds::run(const MessageRound& round) {
  if (!received_) received_ = receive(round);
  if (round.send_to >= 0 && !round.send.empty()) {
    auto& to = pair(round.send_to);
    if (heard(to.theirs->taken) < to.sent) return false;
  }
  return received_;
}

bool SharedRounds::receive(const MessageRound& round) {
  auto& from = pair(round.receive_from);
  if (!loads_) {
    if (heard(from.theirs->ready) <= from.received) return false;
    require_same(round.receive_from, from.theirs->elements, round.receive.size());
    sources_.clear();
    if (round.combine != Combine::copy) sources_.push_back({state().rank, round.receive.begin});
    sources_.push_back({round.receive_from, from.theirs->first});
    out_->load(round.receive, sources_, round.combine);
    loads_ = true;
  }
  if (!out_->moved()) return false;
  say(from.mine->taken, ++from.received);
  return true;
}

void SharedRounds::require_same(int sender, std::int64_t sent, std::int64_t expected) {
  if (sent == expected) return;
  throw base::ContractError("counts differ: rank " + std::to_string(sender) + " of " +
                            std::string(to_string(state().axis)) + " sends " + std::to_string(sent) +
                            " elements, this rank expects " + std::to_string(expected));
}

void SharedRounds::enter(const WindowRound&) {
  arrived_ = 0;
  loads_ = false;
  say(arrivals_[static_cast<std::size_t>(state().rank)]->ready, ++epoch_);
}

bool SharedRounds::run(const WindowRound& round) {
  for (; arrived_ < round.members.size(); ++arrived_)
    if (heard(arrivals_[static_cast<std::size_t>(round.members[arrived_])]->ready) < epoch_) return false;
  if (!loads_) {
    for (const auto& load : round.loads) {
      if (load.range.empty()) continue;
      sources_.clear();
      for (const int peer : load.from)
        sources_.push_back({peer, load.range.begin});
      out_->load(load.range, sources_, load.combine);
    }
    if (!round.store.empty())
      for (const int peer : round.store_to)
        out_->store_to(peer, round.store);
    loads_ = true;
  }
  return out_->moved();
}

}  // namespace partita::comm
