/// Time that only instructions take. Ranks agree on it as Lamport's clocks do: with every message of a step
/// goes the time at which it was sent, and who waits for the message goes on then, or is late already.
///
/// Every transfer has a clock of its own, which its messages move on: from its start, with each message that
/// it receives. What it sends, it sends then. A collective beside others can so be moved on whenever its
/// messages happen to arrive: who waits for it sees the same time. Shared windows carry no time.
#include <mpi.h>

#include <algorithm>
#include <list>
#include <map>
#include <utility>

#include "partita/base/clock.hpp"
#include "passing_time.hpp"

namespace partita {
namespace {

using step::Kind;

double now = 0, delay = 0;
Kind doing = Kind::load;
step::TransferId transfer_at_hand;  // of the last start or wait
bool hold = false;

/// Of the step's transfers, by communicator and tag: known from their first message, which `start` posts.
std::map<std::pair<MPI_Comm, int>, step::TransferId> transfers;
/// How far each has come.
std::map<step::TransferId, double> clocks;

bool is_waited_for(step::TransferId transfer) { return doing == Kind::wait && transfer_at_hand == transfer; }

/// Who waits for a transfer is where it is, or later.
void catch_up() { now = std::max(now, clocks[transfer_at_hand]); }

/// The time of sending, under way beside its message.
struct Sent {
  double seconds;
  MPI_Request request = MPI_REQUEST_NULL;
};
std::list<Sent> sent;

struct Receive {
  step::TransferId transfer;
  double sent_seconds = 0;
  MPI_Request sent_request = MPI_REQUEST_NULL;
  bool message_is_here = false;
  MPI_Status status{};
};
std::map<const MPI_Request*, Receive> receives;

constexpr int tag_of_time(int tag) { return tag + (1 << 18); }

/// Whether a message belongs to a transfer of the step.
bool belongs(MPI_Comm communicator, int tag) {
  if (doing == Kind::start) transfers[{communicator, tag}] = transfer_at_hand;
  return transfers.contains({communicator, tag});
}

int test(MPI_Request* request, int* flag, MPI_Status* status) {
  const auto found = receives.find(request);
  if (found == receives.end()) return PMPI_Test(request, flag, status);
  Receive& receive = found->second;
  *flag = 0;
  if (hold && !is_waited_for(receive.transfer)) return MPI_SUCCESS;
  int here = 1;
  if (!receive.message_is_here)
    if (const int code = PMPI_Test(request, &here, &receive.status); code != MPI_SUCCESS) return code;
  if (here == 0) return MPI_SUCCESS;
  receive.message_is_here = true;
  PMPI_Test(&receive.sent_request, &here, MPI_STATUS_IGNORE);
  if (here == 0) return MPI_SUCCESS;
  double& clock = clocks[receive.transfer];
  clock = std::max(clock, receive.sent_seconds + delay);
  if (is_waited_for(receive.transfer)) catch_up();
  if (status != MPI_STATUS_IGNORE) *status = receive.status;
  receives.erase(found);
  *flag = 1;
  return MPI_SUCCESS;
}

}  // namespace

double base::now_seconds() { return now; }

void tests::pass(double seconds) { now += seconds; }

void tests::tell(const step::Instruction& instruction) {
  doing = instruction.kind;
  if (instruction.transfer) transfer_at_hand = *instruction.transfer;
  if (doing == Kind::start) clocks[transfer_at_hand] = now;
  if (doing == Kind::wait) catch_up();
  for (int done = 1; !sent.empty() && done != 0;) {
    PMPI_Test(&sent.front().request, &done, MPI_STATUS_IGNORE);
    if (done != 0) sent.pop_front();
  }
}

void tests::delay_messages(double seconds) { delay = seconds; }

bool tests::hold_messages(bool until_waited_for) {
  hold = until_waited_for;
  return true;
}

tests::Patience tests::patience() { return {.tolerance = 1e-9, .attempts = 1}; }

bool tests::is_busy() { return false; }

std::string tests::state_of_machine() { return "in virtual time"; }

}  // namespace partita

extern "C" int MPI_Isend(const void* data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                         MPI_Request* request) {
  using namespace partita;
  if (belongs(comm, tag)) {
    auto& time = sent.emplace_back(Sent{.seconds = clocks[transfers.at({comm, tag})]});
    PMPI_Isend(&time.seconds, 1, MPI_DOUBLE, to, tag_of_time(tag), comm, &time.request);
  }
  return PMPI_Isend(data, count, type, to, tag, comm, request);
}

extern "C" int MPI_Irecv(void* data, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm,
                         MPI_Request* request) {
  using namespace partita;
  if (belongs(comm, tag)) {
    auto& receive = receives[request] = {.transfer = transfers.at({comm, tag})};
    PMPI_Irecv(&receive.sent_seconds, 1, MPI_DOUBLE, from, tag_of_time(tag), comm, &receive.sent_request);
  }
  return PMPI_Irecv(data, count, type, from, tag, comm, request);
}

extern "C" int MPI_Test(MPI_Request* request, int* flag, MPI_Status* status) {
  return partita::test(request, flag, status);
}

extern "C" int MPI_Testall(int count, MPI_Request* requests, int* flag, MPI_Status*) {
  *flag = 1;
  for (int i = 0; i < count; ++i) {
    int done = 0;
    if (const int code = partita::test(&requests[i], &done, MPI_STATUS_IGNORE); code != MPI_SUCCESS)
      return code;
    if (done == 0) *flag = 0;
  }
  return MPI_SUCCESS;
}

/// Its number, and the numbers of its messages, may be another's from here on.
extern "C" int MPI_Comm_free(MPI_Comm* comm) {
  std::erase_if(partita::transfers, [&](const auto& known) { return known.first.first == *comm; });
  return PMPI_Comm_free(comm);
}
