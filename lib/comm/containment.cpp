/// What happens between an exception on one rank and the next job of its group: peers are told, waits end,
/// messages under way are received and thrown away, communicators are freed.
#include "containment.hpp"

#include <sched.h>

#include <cstddef>
#include <exception>

#include "messages.hpp"
#include "partita/base/clock.hpp"
#include "partita/comm/group.hpp"
#include "state.hpp"

namespace partita::comm {
namespace {

constexpr int notice_tag = 1;
/// Waits look for a notice in one of so many polls; looking costs as much as a poll.
constexpr int polls_between_looks = 8;

}  // namespace

Containment::Containment(MPI_Comm notices) : notices_(notices) {
  check(MPI_Comm_rank(notices_, &rank_), "MPI_Comm_rank");
  check(MPI_Comm_size(notices_, &size_), "MPI_Comm_size");
  check(MPI_Irecv(&token_, 1, MPI_INT, MPI_ANY_SOURCE, notice_tag, notices_, &heard_), "MPI_Irecv");
}

bool Containment::hears_failure() {
  if (!failed_peer_ && heard_ != MPI_REQUEST_NULL && ++polls_ % polls_between_looks == 0) {
    int arrived = 0;
    check(MPI_Test(&heard_, &arrived, MPI_STATUS_IGNORE), "MPI_Test");
    failed_peer_ = arrived != 0;
  }
  return failed_peer_ && std::uncaught_exceptions() == 0;
}

void Containment::announce() noexcept {
  if (announced_ || failed_peer_) return;
  announced_ = true;
  static const int token = 1;
  told_.assign(static_cast<std::size_t>(size_), MPI_REQUEST_NULL);
  for (int r = 0; r < size_; ++r)
    if (r != rank_)
      MPI_Isend(&token, 1, MPI_INT, r, notice_tag, notices_, &told_[static_cast<std::size_t>(r)]);
}

void Containment::end(MPI_Request& receive, MPI_Request& send) noexcept {
  if (lost_) return;  // the job ends
  announce();
  if (receive != MPI_REQUEST_NULL) MPI_Cancel(&receive);
  for (int received = 0, sent = 0; received == 0 || sent == 0; sched_yield()) {
    MPI_Test(&receive, &received, MPI_STATUS_IGNORE);
    MPI_Test(&send, &sent, MPI_STATUS_IGNORE);
    drain();
  }
}

void Containment::drain() noexcept {
  for (const MPI_Comm communicator : communicators)
    while (drain(communicator)) {
    }
}

bool Containment::drain(MPI_Comm communicator) noexcept {
  int arrived = 0;
  MPI_Message message = MPI_MESSAGE_NULL;
  MPI_Status status;
  MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, communicator, &arrived, &message, &status);
  if (arrived == 0) return false;
  MPI_Count bytes = 0;
  MPI_Get_elements_x(&status, MPI_BYTE, &bytes);
  std::vector<std::byte> nowhere(static_cast<std::size_t>(bytes));
  MPI_Request request = MPI_REQUEST_NULL;
  post_matched_receive(nowhere.data(), bytes, &message, &request);
  for (int complete = 0; complete == 0; sched_yield())
    MPI_Test(&request, &complete, MPI_STATUS_IGNORE);
  return true;
}

void Containment::close(int announcers_beside_me) {
  const auto wait = [](MPI_Request& request) {
    for (int complete = 0; complete == 0; sched_yield())
      check(MPI_Test(&request, &complete, MPI_STATUS_IGNORE), "MPI_Test");
  };
  int taken = failed_peer_ ? 1 : 0;
  if (announcers_beside_me == 0 && heard_ != MPI_REQUEST_NULL) check(MPI_Cancel(&heard_), "MPI_Cancel");
  if (!failed_peer_) wait(heard_), taken += announcers_beside_me > 0 ? 1 : 0;
  for (; taken < announcers_beside_me; ++taken) {
    MPI_Request more = MPI_REQUEST_NULL;
    check(MPI_Irecv(&token_, 1, MPI_INT, MPI_ANY_SOURCE, notice_tag, notices_, &more), "MPI_Irecv");
    wait(more);
  }
  for (auto& request : told_)
    wait(request);
}

void Containment::bury() {
  for (auto& communicator : communicators)
    check(MPI_Comm_free(&communicator), "MPI_Comm_free");
  communicators.clear();
}

void wait_for(Runtime& runtime, const Shown& what, MPI_Request& request) {
  int complete = 0;
  const auto test = [&] {
    check(MPI_Test(&request, &complete, MPI_STATUS_IGNORE), "MPI_Test");
    return complete != 0;
  };
  try {
    wait_until(runtime, what, test);
  } catch (const PeerFailed&) {
    // If every rank had started it before one of them failed, it still completes.
    constexpr double patience_seconds = 2;
    for (const double begun = base::now_seconds(); !test(); sched_yield())
      if (base::now_seconds() - begun > patience_seconds) {
        runtime.containment->lose();
        break;
      }
    throw;
  }
}

}  // namespace partita::comm
