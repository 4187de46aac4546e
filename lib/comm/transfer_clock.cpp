/// The rules of time of docs/predict.md, on the rounds and bytes that really are exchanged.
#include "transfer_clock.hpp"

#include "check.hpp"
#include "partita/base/error.hpp"
#include "state.hpp"

namespace partita::comm {
namespace {

/// MPI has so many at least.
constexpr int least_tags = 32767;

int most_tags(MPI_Comm communicator) {
  int* most = nullptr;
  int found = 0;
  check(MPI_Comm_get_attr(communicator, MPI_TAG_UB, &most, &found), "MPI_Comm_get_attr");
  return found == 0 ? least_tags : *most;
}

}  // namespace

TransferClock::TransferClock(Communicator::State& state, VirtualClock& clock, Bytes element)
    : state_(state), clock_(clock), element_(element), tags_(most_tags(state.communicator.get()) / 4) {}

/// Words are still under way where an exception destroys the transfer; a vendor's cannot be ended, and then
/// its all-reduce has lost the job.
TransferClock::~TransferClock() {
  auto* const containment = state_.runtime->containment.get();
  if (containment == nullptr || containment->lost()) return;
  MPI_Request none = MPI_REQUEST_NULL;
  for (auto& request : receives_)
    if (request != MPI_REQUEST_NULL) containment->end(request, none);
  for (auto& request : sends_)
    if (request != MPI_REQUEST_NULL) containment->end(none, request);
}

void TransferClock::begin() {
  clock_.pass_overhead(clock_.own().overheads.start_seconds);
  now_ = clock_.now();
}

void TransferClock::catch_up() { clock_.wait_until(now_); }

void TransferClock::await() {
  catch_up();
  clock_.pass_overhead(clock_.own().overheads.wait_seconds);
}

/// The buffers of words stay where they are until the round is over.
void TransferClock::prepare(std::size_t words) {
  after_ = 0;
  told_.clear(), heard_.clear(), sends_.clear(), receives_.clear();
  told_.reserve(words), heard_.reserve(words), sends_.reserve(words), receives_.reserve(words);
}

void TransferClock::enter(const collective::MessageRound& round, int tag) {
  prepare(2);
  const auto entered = now_;
  if (round.send_to >= 0 && !round.send.empty()) {
    const auto time = message(state_.rank, round.send_to, round.send.size());
    now_ += time.send;
    tell(Word::handed_over, round.send_to, tag, now_);
    if (time.rendezvous)
      hear(Word::asked_for, round.send_to, tag,
           {.at_least = now_ - time.latency, .then = time.latency + time.bytes});
  }
  if (round.receive_from >= 0 && !round.receive.empty()) {
    const auto time = message(round.receive_from, state_.rank, round.receive.size());
    if (time.rendezvous) tell(Word::asked_for, round.receive_from, tag, entered);
    hear(Word::handed_over, round.receive_from, tag,
         {.at_least = time.rendezvous ? entered + time.latency : 0, .then = time.latency + time.bytes});
    after_ = time.receive;
    if (round.combine != Combine::copy)
      after_ += clock_.times().combine(bytes(round.receive.size()), clock_.part());
  }
}

void TransferClock::enter(const collective::WindowRound& round, int tag) {
  prepare(round.members.size());
  const auto time = clock_.times().window(bytes(round.staged()), bytes(round.loaded()), bytes(round.stored()),
                                          clock_.part());
  now_ += time.stage;
  after_ = time.access;
  for (const int peer : round.members) {
    if (peer == state_.rank) continue;
    tell(Word::flag_set, peer, tag, now_);
    hear(Word::flag_set, peer, tag, {.then = time.flag});
  }
}

void TransferClock::enter_whole(Bytes sent) {
  prepare(1);
  const auto time = clock_.times().message(state_.job_rank.front(), state_.job_rank.back(), sent);
  told_.push_back(now_);
  heard_.push_back({.then = time.send + time.latency + time.bytes + time.receive});
  check(MPI_Iallreduce(&told_.back(), &heard_.back().heard, 1, MPI_INT64_T, MPI_MAX,
                       state_.communicator.get(), &receives_.emplace_back()),
        "MPI_Iallreduce");
}

bool TransferClock::is_over() {
  for (auto* requests : {&receives_, &sends_}) {
    int complete = 0;
    check(MPI_Testall(static_cast<int>(requests->size()), requests->data(), &complete, MPI_STATUSES_IGNORE),
          "MPI_Testall");
    if (complete == 0) return false;
  }
  for (const auto& [heard, at_least, then] : heard_)
    now_ = std::max(now_, std::max(heard, at_least) + then);
  now_ += after_;
  heard_.clear(), after_ = 0;  // so that it may be asked again
  return true;
}

void TransferClock::tell(Word word, int peer, int tag, Picoseconds time) {
  told_.push_back(time);
  check(MPI_Isend(&told_.back(), 1, MPI_INT64_T, peer, tag_of(word, tag), state_.communicator.get(),
                  &sends_.emplace_back()),
        "MPI_Isend");
}

void TransferClock::hear(Word word, int peer, int tag, Awaited awaited) {
  heard_.push_back(awaited);
  check(MPI_Irecv(&heard_.back().heard, 1, MPI_INT64_T, peer, tag_of(word, tag), state_.communicator.get(),
                  &receives_.emplace_back()),
        "MPI_Irecv");
}

int TransferClock::tag_of(Word word, int tag) const {
  base::expect(tag < tags_, "MPI has tags for the times of messages; of each kind", tags_, "asked for", tag);
  return static_cast<int>(word) * tags_ + tag;
}

machine::MessageTime TransferClock::message(int from, int to, std::int64_t elements) const {
  const auto job_rank = [&](int member) { return state_.job_rank[static_cast<std::size_t>(member)]; };
  return clock_.times().message(job_rank(from), job_rank(to), bytes(elements));
}

}  // namespace partita::comm
