/// What a rank does that has waited too long: it reads the blocks of its own node, asks the other nodes, and
/// reports for all. If several have, one reports: the first of a node, and of several nodes' the lowest rank.
#include "watch.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "check.hpp"
#include "partita/base/clock.hpp"

namespace partita::comm {
namespace {

// No other messages travel on MPI_COMM_WORLD itself.
constexpr int question_tag = 1, answer_tag = 2;
/// Others are given this long to answer, and a reporter to end the job before somebody else does.
constexpr double answer_seconds = 1.5, patience_seconds = 3;

char state_of(std::uint64_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return '-';
  const auto name_end = line.rfind(") ");
  return name_end == std::string::npos || name_end + 2 >= line.size() ? '\0' : line[name_end + 2];
}

/// Of a process that has not come to its end: to exit then would leave the others behind.
Block* block_of_exit = nullptr;

}  // namespace

Watch::Watch() {
  check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
  check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
  host_.assign(static_cast<std::size_t>(size_), nullptr);
  host_[static_cast<std::size_t>(rank_)] = mine_;
  visible_ = host_;
  mine_->process = static_cast<std::uint64_t>(getpid());
  mine_->state = Block::running;
}

Watch::~Watch() {
  block_of_exit = nullptr;
  show(mine_->state, Block::ended);
}

void Watch::share(MPI_Comm node, std::span<const int> ranks,
                  const std::function<void(MPI_Request&)>& wait_for) {
  if (is_shared_ || size_ == 1) return;
  is_shared_ = true;
  int me = 0;
  check(MPI_Comm_rank(node, &me), "MPI_Comm_rank");
  MPI_Request request = MPI_REQUEST_NULL;
  int is_whole = 0;
  for (const auto kind : {SharedMemory::File::unnamed, SharedMemory::File::named}) {
    if (me == 0) shared_ = SharedMemory(kind, ranks.size() * sizeof(Block));
    auto address = shared_.address();
    check(MPI_Ibcast(&address, sizeof address, MPI_BYTE, 0, node, &request), "MPI_Ibcast");
    wait_for(request);
    if (me != 0) shared_ = SharedMemory(address);
    is_whole = shared_.bytes().empty() ? 0 : 1;
    check(MPI_Iallreduce(MPI_IN_PLACE, &is_whole, 1, MPI_INT, MPI_MIN, node, &request), "MPI_Iallreduce");
    wait_for(request);
    shared_.hide();
    if (is_whole != 0) break;
  }
  if (is_whole == 0) return;
  auto* const blocks = reinterpret_cast<Block*>(shared_.bytes().data());
  Block* const place = blocks + me;
  *place = *mine_;
  mine_ = place;
  block_of_exit = place;
  std::atexit([] {
    if (block_of_exit && block_of_exit->process == static_cast<std::uint64_t>(getpid()))
      end_job(std::runtime_error("exits in the middle of the job, while other ranks need it"));
  });
  for (std::size_t i = 0; i < ranks.size(); ++i)
    host_[static_cast<std::size_t>(ranks[i])] = blocks + i;
  imitate_nodes_of(0);
}

void Watch::imitate_nodes_of(int ranks_per_node) {
  visible_ = host_;
  if (ranks_per_node > 0)
    for (int r = 0; r < size_; ++r)
      if (r / ranks_per_node != rank_ / ranks_per_node) visible_[static_cast<std::size_t>(r)] = nullptr;
  first_ = *std::find_if(visible_.begin(), visible_.end(), [](const Block* b) { return b != nullptr; });
}

GroupId Watch::add_group(std::span<const int> world_ranks) {
  std::uint32_t hash = 2166136261U;  // FNV-1a
  for (const int r : world_ranks)
    hash = (hash ^ static_cast<std::uint32_t>(r)) * 16777619U;
  return add_group_of(((hash ^ made_[hash]++) * 16777619U) | 1U);
}

GroupId Watch::add_group_of(std::uint32_t key) {
  std::size_t id = 0;
  while (id + 1 < taken_.size() && taken_[id])
    ++id;  // the last one serves all that are too many
  taken_[id] = true;
  const GroupId group{.id = static_cast<std::uint8_t>(id), .key = key};
  show(mine_->group[id], std::uint64_t{group.key} << 32);
  return group;
}

/// What was shown of it stays until another takes its place: others may miss this rank there.
void Watch::remove_group(const GroupId& group) { taken_[group.id] = false; }

void Watch::barrier(MPI_Comm communicator, GroupId& group, std::uint8_t operation, topology::Axis axis) {
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ibarrier(communicator, &request), "MPI_Ibarrier");
  wait(request, group, operation, axis);
}

void Watch::wait(MPI_Request& request, GroupId& group, std::uint8_t operation, topology::Axis axis) {
  Shown shown{.group = group.id,
              .operation = operation,
              .axis = static_cast<std::uint8_t>(axis),
              .purpose = static_cast<std::uint8_t>(collective::Purpose::control)};
  started(group, shown);
  waits(shown);
  WaitClock clock;
  for (int complete = 0;;) {
    check(MPI_Test(&request, &complete, MPI_STATUS_IGNORE), "MPI_Test");
    if (complete != 0) break;
    sched_yield();
    if (const auto report = clock.tick(*this, base::now_seconds())) throw WaitError(*report);
  }
  waits_no_more();
}

void Watch::leave() {
  block_of_exit = nullptr;
  show(mine_->state, Block::ended);
  if (size_ == 1) return;
  GroupId group = add_group_of(0);  // however many communicators a rank has made
  barrier(MPI_COMM_WORLD, group, Shown::leave, topology::Axis::world);
}

std::vector<Seen> Watch::read_node() const {
  std::vector<Seen> seen;
  for (int r = 0; r < size_; ++r)
    if (const Block* block = visible_[static_cast<std::size_t>(r)]) {
      seen.push_back({.rank = r, .answers = true, .block = read(*block)});
      seen.back().process_state = state_of(seen.back().block.process);
    }
  return seen;
}

/// Who waits answers every question for its whole node, unless another rank of the node already has.
void Watch::answer() {
  for (int pending = 1; pending != 0;) {
    MPI_Status status;
    check(MPI_Iprobe(MPI_ANY_SOURCE, question_tag, MPI_COMM_WORLD, &pending, &status), "MPI_Iprobe");
    if (pending == 0) break;
    const int from = status.MPI_SOURCE;
    check(MPI_Recv(nullptr, 0, MPI_BYTE, from, question_tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE), "MPI_Recv");
    if (from < rank_) yields_to_lower_ = true;
    const std::uint64_t asked = static_cast<std::uint64_t>(from) + 1;
    if (std::atomic_ref(first_->answered).exchange(asked) != asked) send_answer(from);
  }
}

/// A message for each rank, small enough to arrive whatever the sender does next.
void Watch::send_answer(int to) {
  answers_.push_back(read_node());  // it stays until the end, which is near
  for (const auto& seen : answers_.back()) {
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Isend(&seen, sizeof seen, MPI_BYTE, to, answer_tag, MPI_COMM_WORLD, &request), "MPI_Isend");
    check(MPI_Request_free(&request), "MPI_Request_free");
  }
}

bool Watch::receive_answer(std::vector<Seen>& all) {
  int pending = 0;
  MPI_Status status;
  check(MPI_Iprobe(MPI_ANY_SOURCE, answer_tag, MPI_COMM_WORLD, &pending, &status), "MPI_Iprobe");
  if (pending == 0) return false;
  Seen seen;
  check(MPI_Recv(&seen, sizeof seen, MPI_BYTE, status.MPI_SOURCE, answer_tag, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE),
        "MPI_Recv");
  all[static_cast<std::size_t>(seen.rank)] = seen;
  return true;
}

/// False where a lower rank collects as well and this one leaves it to that.
bool Watch::collect(std::vector<Seen>& all, bool insists) {
  for (int r = 0; r < size_; ++r)
    all.push_back({.rank = r});
  for (auto& one : read_node())
    all[static_cast<std::size_t>(one.rank)] = one;
  for (int r = 0; r < size_; ++r) {
    if (visible_[static_cast<std::size_t>(r)]) continue;
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Isend(nullptr, 0, MPI_BYTE, r, question_tag, MPI_COMM_WORLD, &request), "MPI_Isend");
    check(MPI_Request_free(&request), "MPI_Request_free");
  }
  const auto missing = [&] {
    return std::any_of(all.begin(), all.end(), [](const Seen& s) { return !s.answers; });
  };
  for (const double deadline = base::now_seconds() + answer_seconds;
       missing() && base::now_seconds() < deadline;) {
    while (receive_answer(all)) {
    }
    answer();
    if (yields_to_lower_ && !insists) return false;
    sched_yield();
  }
  return true;
}

std::optional<std::string> Watch::report(double waited_seconds, bool insists) {
  std::vector<Seen> all;
  if (!collect(all, insists)) return {};
  std::ostringstream text;
  text.precision(3);
  text << "watchdog: waited " << waited_seconds << " s, longer than watchdog.seconds = " << limit_seconds_
       << "; what every rank does:\n";
  for (const auto& one : all)
    text << "  rank " << one.rank << ": " << describe(one, name_) << "\n";
  for (const auto& line : verdicts(all, name_))
    text << "watchdog: verdict: " << line << "\n";
  return text.str();
}

double Watch::seconds_without_a_move(double waited_seconds) {
  auto& [peer, started, moved_at_seconds] = awaited_;
  const Block* const block = peer >= 0 && peer < size_ ? visible_[static_cast<std::size_t>(peer)] : nullptr;
  if (block == nullptr) return waited_seconds;
  const auto now = read(*block).started;
  if (started != 0 && now != started) moved_at_seconds = waited_seconds;
  started = now;
  return waited_seconds - moved_at_seconds;
}

std::optional<std::string> Watch::look(double waited_seconds) {
  if (limit_seconds_ <= 0 || size_ == 1) return {};
  answer();
  waited_seconds = seconds_without_a_move(waited_seconds);
  if (waited_seconds < limit_seconds_) return {};
  // If the rank that was to report has not ended the job by now, the others report.
  const bool insists = waited_seconds >= limit_seconds_ + patience_seconds;
  std::uint64_t nobody = 0;
  if (!insists &&
      (yields_to_lower_ || !std::atomic_ref(first_->reporter)
                                .compare_exchange_strong(nobody, static_cast<std::uint64_t>(rank_) + 1)))
    return {};
  return report(waited_seconds, insists);
}

}  // namespace partita::comm
