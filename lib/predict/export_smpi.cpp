/// SimGrid's time-independent traces. Its processes do one thing after the other, so each lane is a process
/// of its own on the host of its rank: processes 0 to p − 1 are the cores, the others their transfers. Lanes
/// tell each other that they go on by empty messages, which take no time within a host.
#include <map>
#include <utility>

#include "export_formats.hpp"
#include "partita/base/number.hpp"

namespace partita::predict {
namespace {

class Traces {
 public:
  Traces(const Schedule& schedule, const machine::Machine& machine) : schedule_(schedule), machine_(machine) {
    const int ranks = static_cast<int>(schedule.size());
    for (int r = 0; r < ranks; ++r)
      process(r, 0);
    for (int r = 0; r < ranks; ++r)
      for (const auto& task : schedule[static_cast<std::size_t>(r)]) {
        process(r, task.lane);
        if (is_exchange(task)) lane_of_[{r, task.tag}] = task.lane;
      }
  }

  Texts write() && {
    for (int r = 0; r < static_cast<int>(schedule_.size()); ++r)
      for (const auto& task : schedule_[static_cast<std::size_t>(r)])
        write(r, task);
    Texts texts;
    auto &index = texts["index.txt"], &hosts = texts["hosts.txt"];
    for (std::size_t p = 0; p < processes_.size(); ++p) {
      line(static_cast<int>(p), "finalize");
      const auto& [rank, lane, text] = processes_[p];
      std::string name = "rank-" + std::to_string(rank);
      if (lane > 0) name += "-transfers-" + std::to_string(lane);
      name += ".txt";
      index += name + '\n';
      hosts += "rank-" + std::to_string(rank) + '\n';
      texts[name] = text;
    }
    return texts;
  }

 private:
  struct Process {
    int rank = 0, lane = 0;
    std::string text;
  };

  static bool is_exchange(const Task& task) { return !task.sends.empty() || !task.receives.empty(); }

  int process(int rank, int lane) {
    const auto [known, is_new] = number_of_.try_emplace({rank, lane}, static_cast<int>(processes_.size()));
    if (is_new) {
      processes_.push_back({.rank = rank, .lane = lane, .text = {}});
      line(known->second, "init");
    }
    return known->second;
  }
  void line(int process, const std::string& action) {
    processes_[static_cast<std::size_t>(process)].text += std::to_string(process) + ' ' + action + '\n';
  }
  void compute(int process, machine::Picoseconds time) {
    const int rank = processes_[static_cast<std::size_t>(process)].rank;
    const double flops_per_second = machine_.of_rank(rank).flops_per_second;
    if (time > 0) line(process, "compute " + base::shortest(machine::seconds_of(time) * flops_per_second));
  }

  void write(int rank, const Task& task) {
    const int me = process(rank, task.lane);
    for (const int earlier : task.after) {
      const int other =
          process(rank, schedule_[static_cast<std::size_t>(rank)][static_cast<std::size_t>(earlier)].lane);
      if (other == me) continue;
      line(other, "send " + std::to_string(me) + " 0 0");  // it has done nothing else since
      line(me, "recv " + std::to_string(other) + " 0 0");
    }
    if (is_exchange(task))
      exchange(me, task);
    else
      compute(me, task.compute);
  }

  void exchange(int me, const Task& task) {
    const auto tag = std::to_string(task.tag);
    const auto ends = [&](const Message& m) {
      return std::to_string(process(m.peer, lane_of_.at({m.peer, task.tag}))) + ' ' + tag + ' ' +
             std::to_string(m.bytes.value());
    };
    for (const auto& m : task.receives)
      line(me, "irecv " + ends(m));
    for (const auto& m : task.sends) {
      compute(me, m.core);
      line(me, "send " + ends(m));
    }
    for (const auto& m : task.receives)
      line(me, "wait " + std::to_string(process(m.peer, lane_of_.at({m.peer, task.tag}))) + ' ' +
                   std::to_string(me) + ' ' + tag);
    for (const auto& m : task.receives)
      compute(me, m.core);
  }

  const Schedule& schedule_;
  const machine::Machine& machine_;
  std::vector<Process> processes_;
  std::map<std::pair<int, int>, int> number_of_;  ///< of the process of a rank's lane
  std::map<std::pair<int, int>, int> lane_of_;    ///< of a rank's transfer, by tag
};

}  // namespace

Texts smpi_of(const Schedule& schedule, const machine::Machine& machine) {
  return Traces(schedule, machine).write();
}

}  // namespace partita::predict
