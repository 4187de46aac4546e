/// This host's time, slept away: other processes only add to it, so that a figure has several attempts.
#include <mpi.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <set>
#include <thread>

#include "partita/base/clock.hpp"
#include "passing_time.hpp"

namespace {

double delay = 0;
std::set<const MPI_Request*> receives;
struct Withheld {
  double until;
  MPI_Status status;
};
std::map<const MPI_Request*, Withheld> withheld;

}  // namespace

extern "C" int MPI_Irecv(void* data, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm,
                         MPI_Request* request) {
  if (delay > 0) receives.insert(request);
  return PMPI_Irecv(data, count, type, from, tag, comm, request);
}

extern "C" int MPI_Test(MPI_Request* request, int* flag, MPI_Status* status) {
  if (!receives.contains(request)) return PMPI_Test(request, flag, status);
  const double now = partita::base::now_seconds();
  if (const auto held = withheld.find(request); held != withheld.end()) {
    *flag = now >= held->second.until;
    if (*flag == 0) return MPI_SUCCESS;
    *status = held->second.status;
    withheld.erase(held), receives.erase(request);
    return MPI_SUCCESS;
  }
  const int code = PMPI_Test(request, flag, status);
  if (*flag != 0) withheld[request] = {now + delay, *status}, *flag = 0;
  return code;
}

namespace partita::tests {

void pass(double seconds) {
  if (seconds > 0) std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

void tell(const step::Instruction&) {}

void delay_messages(double seconds) { delay = seconds; }

bool hold_messages(bool) { return false; }

Patience patience() { return {.tolerance = 0.03, .attempts = 8}; }

bool is_busy() {
  double load = 0;
  return getloadavg(&load, 1) == 1 && load > std::thread::hardware_concurrency();
}

std::string state_of_machine() {
  double loads[2] = {};
  if (getloadavg(loads, 2) < 2) return "unknown load";
  return "load average " + std::to_string(loads[0]) + " " + std::to_string(loads[1]) + " on " +
         std::to_string(std::thread::hardware_concurrency()) + " cores";
}

}  // namespace partita::tests
