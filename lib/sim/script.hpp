/// The rounds of a transfer between all that take part, with what each of their parts takes: made once,
/// played for many groups of ranks at a time.
///
/// Only for transfers that move on by themselves: when they end is then a function of when they start.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/collective/spec.hpp"
#include "partita/machine/transfer_times.hpp"

namespace partita::sim {

using machine::Picoseconds;

/// With whom a party exchanges messages: another party, and which of that one's partners it is itself.
struct Partner {
  int party = 0;
  std::uint16_t back = 0;
};

/// A round of a party. Both halves of a message name the partner by its number among the party's own.
struct ScriptRound {
  static constexpr std::uint16_t none = std::numeric_limits<std::uint16_t>::max();
  enum class Kind : std::uint16_t { messages, window, whole } kind = Kind::messages;
  std::uint16_t send_to = none, receive_from = none;  ///< partners
  std::uint16_t sent = 0, received = 0;  ///< rows of messages; a window round's row and room; a whole's row
  friend auto operator<=>(const ScriptRound&, const ScriptRound&) = default;
};

/// Who meets in a window, or waits for the last start.
struct Seat {
  int party = 0;
  bool several = false;  ///< it stands for more than one rank there
  friend auto operator<=>(const Seat&, const Seat&) = default;
};
using Room = std::vector<Seat>;

struct Script {
  struct Party {
    std::vector<ScriptRound> rounds;
    std::vector<Partner> partners;
    std::vector<std::uint16_t> rooms;  ///< of its window rounds
    int circle = 0;
  };
  /// A message: on each level its time; to `receive` it includes what a rank of that part takes to combine
  /// it.
  struct Row {
    kernels::Bytes bytes;
    bool combines = false;
    int part = 0;  ///< of the machine
    friend auto operator<=>(const Row&, const Row&) = default;
  };

  std::vector<Party> parties;
  std::vector<Room> rooms;    ///< of window rounds
  std::vector<Room> circles;  ///< whose last start counts as that of all of them
  std::vector<Row> rows;
  std::size_t levels = 1;                      ///< of the machine; 1 where rows are those of a level already
  std::vector<machine::MessageTime> messages;  ///< by row and level
  std::vector<machine::WindowTime> windows;
};

/// A number within a script.
inline std::uint16_t small(std::size_t number) {
  base::expect(number < ScriptRound::none, "a script has few partners and sizes", number);
  return static_cast<std::uint16_t>(number);
}

/// A rank's side of a transfer, and which part of the machine the rank is.
struct Member {
  const collective::Spec* spec = nullptr;
  int part = 0;
};

/// Of the members of a collective in their order, at a place that has any rank; of a message its sender, then
/// its receiver.
Script script_of(const std::vector<Member>&, collective::Place, const machine::TransferTimes&);

/// Plays a script for `lanes` groups. All vectors have an entry for each party and lane, parties outermost.
class Play {
 public:
  /// By level but the outermost: in which unit of it a party is. Needless where `Script::levels` is 1.
  using Units = std::vector<std::vector<std::int32_t>>;

  Play(const Script&, std::size_t lanes, const Units&);

  /// From the times at which the parties start to those at which their last rounds are over.
  void run(std::vector<Picoseconds>& clocks);
  /// By circle and lane.
  [[nodiscard]] const std::vector<Picoseconds>& last_starts() const { return last_starts_; }

 private:
  struct State {
    std::size_t round = 0;
    bool entered = false, sent = true, received = true;
  };
  void find_last_starts(const std::vector<Picoseconds>& clocks);
  void enter(int party);
  void enter_messages(int party, const ScriptRound&);
  void enter_window(int party, const ScriptRound&);
  void enter_whole(int party, const ScriptRound&);
  void match(int from, int to);
  void end_if_over(int party);
  void settle(std::size_t room);
  void end_round(int party);

  [[nodiscard]] const ScriptRound& round_of(int party) const;
  [[nodiscard]] std::size_t at(int party) const { return static_cast<std::size_t>(party) * lanes_; }
  /// Calls visit(lane, time) of a message.
  template <class Visit>
  void for_each_lane(std::uint16_t row, int from, int to, Visit&&) const;

  const Script& script_;
  std::size_t lanes_;
  const Units& units_;
  Picoseconds* clocks_ = nullptr;
  std::vector<Picoseconds> entered_at_, handed_over_;  ///< of each party's round; a flag counts as a message
  std::vector<Picoseconds> last_starts_;
  std::vector<State> states_;
  std::vector<std::size_t> arrived_;  ///< by room
  std::vector<int> ready_;
};

}  // namespace partita::sim
