/// Runs a job on a group's ranks; afterwards they tell each other how it ended, throw away what is still
/// under way, and free what an exception left, where it is the same on all ranks.
#include "partita/comm/group.hpp"

#include <sstream>

#include "state.hpp"

namespace partita::comm {
namespace {

/// Drains a job's communicators while the group's other ranks are waited for.
class Drainer final : public Progressing {
 public:
  Drainer(Runtime& runtime, Containment& job) : runtime_(runtime), job_(job) {
    runtime_.active.push_back(this);
  }
  ~Drainer() override { runtime_.remove(this); }
  Drainer(const Drainer&) = delete;
  Drainer& operator=(const Drainer&) = delete;
  void advance() override { job_.drain(); }
  void progress() override { job_.drain(); }

 private:
  Runtime& runtime_;
  Containment& job_;
};

/// How a job ended on one rank.
struct Ending {
  bool announced = false;  ///< the rank failed by itself
  std::size_t left = 0;    ///< communicators that an exception left behind
  std::string reason;      ///< what was thrown; empty: nothing

  [[nodiscard]] std::string text() const {
    return std::to_string(int{announced}) + " " + std::to_string(left) + " " + reason;
  }
  static Ending of(const std::string& text) {
    std::istringstream fields(text);
    Ending ending;
    fields >> ending.announced >> ending.left;
    fields.get();
    std::getline(fields, ending.reason, '\0');
    return ending;
  }
};

CommunicatorHandle copy_of(MPI_Comm ranks) {
  MPI_Comm copy = MPI_COMM_NULL;
  check(MPI_Comm_dup(ranks, &copy), "MPI_Comm_dup");
  return CommunicatorHandle(copy);
}

}  // namespace

struct Group::State {
  Communicator control;
  std::shared_ptr<Communicator::State> shared;
  CommunicatorHandle notices;

  std::vector<Failure> conclude(Containment& job, Ending mine);
  void flush();
};

Group::Group(const Communicator& world, int number) {
  base::expect(number >= 0, "a group has a number", number);
  auto shared = world.part_of(number);
  state_ = std::make_unique<State>(State{Communicator(shared), shared, copy_of(shared->communicator.get())});
}
Group::~Group() = default;
Group::Group(Group&&) noexcept = default;
Group& Group::operator=(Group&&) noexcept = default;

Communicator& Group::control() { return state_->control; }

/// A byte from everybody to everybody: it arrives behind what its sender sent before. A message of the job
/// that came later could be taken for one of a later job, whose communicator has its number.
void Group::State::flush() {
  std::vector<std::uint8_t> out(static_cast<std::size_t>(shared->size)), in(out.size());
  const auto cuts = collective::even_cuts(shared->size, shared->size);
  const auto exchange =
      control.plan_all_to_all(std::span(out), cuts, std::span(in), cuts, collective::Purpose::control);
  exchange->start();
  exchange->wait();
}

/// After this no rank has a request of the job left, and nothing of the job is on its way.
std::vector<Group::Failure> Group::State::conclude(Containment& job, Ending mine) {
  mine.left = job.communicators.size();
  std::vector<Ending> endings;
  {
    const Drainer drainer(*shared->runtime, job);
    for (const auto& text : control.all_gather_text(mine.text(), collective::Purpose::control))
      endings.push_back(Ending::of(text));
    flush();
  }
  job.drain();
  std::vector<Failure> failures;
  int announcers = 0;
  bool same = true;
  for (std::size_t r = 0; r < endings.size(); ++r) {
    same = same && endings[r].left == mine.left;
    if (!endings[r].announced) continue;
    failures.push_back({.rank = static_cast<int>(r), .reason = endings[r].reason});
    if (static_cast<int>(r) != shared->rank) ++announcers;
  }
  job.close(announcers);
  if (same) job.bury();
  return failures;
}

std::vector<Group::Failure> Group::run(const std::function<void(Communicator& world)>& job) {
  auto runtime = std::make_shared<Runtime>(state_->shared->runtime->watch);
  runtime->ledger.show_activity_in(runtime->watch->activity());
  runtime->node_cores = state_->shared->runtime->node_cores;
  runtime->polls_before_yield = state_->shared->runtime->polls_before_yield;
  runtime->shares_cores = state_->shared->runtime->shares_cores;
  runtime->containment = std::make_unique<Containment>(state_->notices.get());
  auto& containment = *runtime->containment;
  Ending ending;
  try {
    Communicator world(state_->shared->with(runtime));
    job(world);
  } catch (const PeerFailed& failed) {
    ending.reason = failed.what();
  } catch (const WaitError&) {
    throw;  // whoever did not come is stuck
  } catch (const std::exception& error) {
    containment.announce();
    ending.reason = error.what();
  }
  ending.announced = containment.announced();
  if (containment.lost())
    throw base::EnvironmentError("Group::run", 0, "a failure cannot be contained: " + ending.reason);
  return state_->conclude(containment, ending);
}

}  // namespace partita::comm
