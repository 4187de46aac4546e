/// Runs rounds on buffers that the ranks of a node reach in each other: a message becomes a
/// copy (or sum) that its receiver's device makes from the sender's buffer, a window round loads and stores
/// of the buffers themselves. What the ranks tell each other goes through flags in the node's shared window.
///
/// A round begins when this rank's device has come to the start of the run and has done all of the round
/// before. Then it says `ready` to whom it sends; a receiver's device loads, and once it has, the receiver
/// says `taken`. Both are counted by pair of ranks, so that ranks need not agree on the numbers of rounds.
/// Nothing here waits: whoever polls moves it on.
#pragma once

#include "booked.hpp"

namespace partita::comm {

class SharedRounds final : public BookedCollective {
 public:
  /// `in` and `out` are the same for operations in place. In a round that combines, what is sent and what is
  /// received do not overlap: peers load at the same time.
  SharedRounds(const std::shared_ptr<Communicator::State>&, Description, const Buffer& in, const Buffer& out,
               collective::Rounds);
  /// One message; runs once its ends are connected, and an empty one at once.
  static std::unique_ptr<SharedRounds> message(const std::shared_ptr<Communicator::State>&,
                                               const Description&, const Buffer&, int peer, int tag);
  ~SharedRounds() override;

  Bytes buffer_bytes() const override { return Bytes(static_cast<std::int64_t>(lines_) * 64); }

  /// Of one rank's words to another, on a cache line of its own; in the window of who writes it.
  struct alignas(64) Line {
    std::uint64_t ready = 0;    ///< messages whose content lies in the writer's buffer
    std::uint64_t taken = 0;    ///< messages that the writer has loaded
    std::int64_t first = 0;     ///< where the content of the latest begins
    std::int64_t elements = 0;  ///< and its length
  };

  /// A collective's: the window's lines, and what every rank's buffer to load from is reached by. Collective.
  void connect_all(std::span<const std::string> addresses);

  /// A message's.
  struct End {
    int peer = 0, tag = 0;
    bool sends = false;
  };
  [[nodiscard]] const End& end() const { return end_; }
  [[nodiscard]] std::string address() const { return in_->address(); }
  /// `theirs`: the line that the peer writes; `address`: of its buffer.
  void connect(const Lease&, Line* mine, Line* theirs, const std::string& address);

 private:
  void begin() override;
  bool step() override;
  void enter(const collective::MessageRound&);
  bool run(const collective::MessageRound&);
  bool receive(const collective::MessageRound&);
  void enter(const collective::WindowRound&);
  bool run(const collective::WindowRound&);
  void require_same(int sender, std::int64_t sent, std::int64_t expected);
  /// What one side has said to the other.
  struct Pair {
    Line *mine = nullptr, *theirs = nullptr;
    std::uint64_t sent = 0, received = 0;
  };
  Pair& pair(int peer);

  SharedMirror *in_, *out_;
  collective::Rounds rounds_;
  End end_{.peer = -1};
  Lease window_;
  std::size_t lines_ = 0;
  std::vector<Pair> pairs_;      ///< by rank
  std::vector<Line*> arrivals_;  ///< by rank: `ready` counts the window rounds that it has come to
  std::uint64_t epoch_ = 0;
  std::size_t round_ = 0, arrived_ = 0;
  bool entered_ = false, loads_ = false, received_ = false;
  std::vector<SharedMirror::Source> sources_;
};

}  // namespace partita::comm
