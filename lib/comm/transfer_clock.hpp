/// How far one transfer of a rank has come in virtual time. What its peers have to tell for that comes in
/// messages beside those of the transfer, on its communicator: when a message was handed over; of a
/// rendezvous, when its receiver came to it; when a flag was set. A flag's time goes by message, too: the
/// word in the window may have been overtaken by that of a later round.
#pragma once

#include <mpi.h>

#include <vector>

#include "partita/collective/rounds.hpp"
#include "partita/comm/communicator.hpp"
#include "partita/comm/virtual_clock.hpp"

namespace partita::comm {

class TransferClock {
 public:
  using Picoseconds = machine::Picoseconds;

  /// `element`: the size of one.
  TransferClock(Communicator::State&, VirtualClock&, Bytes element);
  ~TransferClock();
  TransferClock(const TransferClock&) = delete;
  TransferClock& operator=(const TransferClock&) = delete;

  /// At the rank's clock, once that has paid for the start.
  void begin();
  /// The next round, whose messages have this tag. Allocates for the first of its size only.
  void enter(const collective::MessageRound&, int tag);
  void enter(const collective::WindowRound&, int tag);
  /// What a vendor does, whose rounds nobody sees: one message of what it is said to send, once all ranks of
  /// the communicator have started it.
  void enter_whole(Bytes sent);
  /// Whether all has been told that decides when the round that was entered is over.
  bool is_over();
  /// The rank comes to when the transfer, which is over, was.
  void catch_up();
  /// It waits for that.
  void await();

 private:
  /// What is told, each with tags of its own behind those of messages.
  enum class Word { handed_over = 1, asked_for = 2, flag_set = 3 };
  /// The round is not over before `then` after what is heard, or after `at_least`.
  struct Awaited {
    Picoseconds heard = 0, at_least = 0, then = 0;
  };

  void prepare(std::size_t words);
  void tell(Word, int peer, int tag, Picoseconds);
  void hear(Word, int peer, int tag, Awaited);
  [[nodiscard]] int tag_of(Word, int tag) const;
  [[nodiscard]] Bytes bytes(std::int64_t elements) const { return Bytes(elements * element_.value()); }
  [[nodiscard]] machine::MessageTime message(int from, int to, std::int64_t elements) const;

  Communicator::State& state_;
  VirtualClock& clock_;
  Bytes element_;
  int tags_;               ///< of messages, and of each kind of word
  Picoseconds now_ = 0;    ///< when the last round was over, and what this rank itself does was done
  Picoseconds after_ = 0;  ///< what this rank has to do once it has heard all
  std::vector<Picoseconds> told_;
  std::vector<Awaited> heard_;
  std::vector<MPI_Request> sends_, receives_;  ///< of words
};

}  // namespace partita::comm
