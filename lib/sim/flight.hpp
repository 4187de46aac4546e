/// A transfer of one rank under way, and what the parties of a transfer know of each other: when messages
/// were handed over and arrive, when flags were set.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "network.hpp"
#include "partita/sim/costs.hpp"

namespace partita::sim {

/// One message; with a rendezvous it needs both ends to leave.
struct Message {
  std::optional<Picoseconds> handed_over, asked_for;
  machine::MessageTime time;
  kernels::Bytes bytes{};
  bool is_on_way = false;
  std::optional<Picoseconds> drained, arrives;  ///< its last byte: has left, is there

  /// When it can leave.
  [[nodiscard]] std::optional<Picoseconds> ready() const {
    if (!handed_over || (time.rendezvous && !asked_for)) return {};
    return time.rendezvous ? std::max(*handed_over, *asked_for + time.latency) : *handed_over;
  }
  /// When the sender may go on.
  [[nodiscard]] std::optional<Picoseconds> is_sent() const { return time.rendezvous ? drained : handed_over; }
};

class Flight;
/// Tells that something is known, or will have come at that time, for which a flight may wait.
using Tell = std::function<void(Flight&, Picoseconds)>;

struct Correspondence;

/// One transfer in one step, between those ranks that run: all, or representatives of classes.
struct Meeting {
  int step = 0;
  std::size_t group = 0;  ///< transfers of a rank in a step have numbers in one order for all of its role
  std::size_t parties = 0, started = 0;
  const Correspondence* correspondence = nullptr;  ///< none: all ranks run
  Picoseconds last_start = 0;
  /// By their ends as the receiver sees them, from one rank to another; in order: both ends find a message by
  /// how many they have had before it.
  std::map<Ends, std::vector<Message>> messages;
  std::map<int, std::vector<Picoseconds>> flags;  ///< by rank, in order of its window rounds
  std::map<int, Flight*> under_way;               ///< by rank
  /// A wait that was over before all had started, and where its parts are counted.
  struct Wait {
    Picoseconds begin = 0, waited = 0;
    Picoseconds *late = nullptr, *exposed = nullptr;
  };
  std::vector<Wait> waits;
  /// Counts the parts of those waits, once all have started: then it is known who was waited for.
  void split_waits();

  /// Of messages from a rank that runs to any other, as the receiver's representative sees them.
  [[nodiscard]] Ends ends(int from, int to) const;
  /// Who runs in a rank's place.
  [[nodiscard]] int representative(int rank) const;

  Message& message(const Ends& ends, std::size_t number) { return messages.at(ends)[number]; }
  /// Tells both ends what is known of a message between them.
  void tell_ends(const Ends&, const Message&, const Tell&) const;
  void tell(int rank, Picoseconds, const Tell&) const;
};

class Flight {
 public:
  /// Network and rounds outlive the flight.
  Flight(int rank, Meeting&, Network&, const std::vector<TimedRound>&, Picoseconds start, const Tell&);

  /// One step at `now`, of what is seen until `sees`; how long it takes. Nothing where the flight has to
  /// wait.
  std::optional<Picoseconds> advance(Picoseconds now, Picoseconds sees, const Tell&);

  [[nodiscard]] bool is_over() const { return round_ == rounds_->size(); }
  [[nodiscard]] const std::vector<TimedRound>& rounds() const { return *rounds_; }
  [[nodiscard]] std::size_t round() const { return round_; }   ///< the first that is not over
  [[nodiscard]] bool has_entered() const { return entered_; }  ///< that round
  [[nodiscard]] Picoseconds start() const { return start_; }
  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] Meeting& meeting() const { return *meeting_; }
  /// When the last step was over.
  [[nodiscard]] Picoseconds clock() const { return clock_; }

  /// When the round that was entered can end, as far as others decide it and this is known.
  [[nodiscard]] std::optional<Picoseconds> awaited();

 private:
  Picoseconds enter(const TimedMessages&, Picoseconds now, const Tell&);
  Picoseconds enter(const TimedAccess&, Picoseconds now, const Tell&);
  /// Messages to another rank, or from it; the first `had` were those of rounds before.
  struct Line {
    int other = 0;
    Ends ends;
    std::vector<Message>* messages = nullptr;
    std::size_t had = 0;
    Message& next() const {
      if (messages->size() <= had) messages->resize(had + 1);
      return (*messages)[had];
    }
  };
  Line& line_to(int other);
  Line& line_from(int other);
  Line& new_line(std::vector<Line>&, int other, const Ends&);
  void set_out(const Line&, const Tell&);

  int rank_;
  Meeting* meeting_;
  Network* network_;
  const std::vector<TimedRound>* rounds_;
  std::size_t round_ = 0;
  bool entered_ = false;
  Picoseconds start_, clock_;
  std::vector<Line> sent_, received_;
  std::size_t flags_ = 0;  ///< of rounds before
  /// Of the round that was entered: the first members, whose flags are set, and the latest of these.
  std::size_t seen_members_ = 0;
  Picoseconds latest_flag_ = 0;
};

}  // namespace partita::sim
