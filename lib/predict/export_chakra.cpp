/// Chakra's execution traces, one file a rank, in the JSON form that its feeder reads
/// (src/feeder/json_node.cpp of MLCommons Chakra; types of nodes as in schema/protobuf/et_def.proto):
/// COMP_NODE, COMM_SEND_NODE and COMM_RECV_NODE with what they depend on.
#include <sstream>

#include "export_formats.hpp"

namespace partita::predict {
namespace {

enum NodeType { comp_node = 4, comm_send_node = 5, comm_recv_node = 6 };

/// Rounds sums of times, not each alone: its times are whole microseconds, of which kernels may take less
/// than one.
class Microseconds {
 public:
  std::int64_t next(machine::Picoseconds time) {
    const auto before = rounded();
    sum_ += time;
    return rounded() - before;
  }

 private:
  [[nodiscard]] std::int64_t rounded() const { return (sum_ + 500'000) / 1'000'000; }
  machine::Picoseconds sum_ = 0;
};

class Trace {
 public:
  explicit Trace(int rank) : rank_(rank) {}

  void add(const Task& task) {
    std::vector<int> nodes;
    for (const auto& m : task.receives)
      nodes.push_back(message(task, comm_recv_node, m, m.peer, rank_));
    for (const auto& m : task.sends)
      nodes.push_back(message(task, comm_send_node, m, rank_, m.peer));
    if (nodes.empty()) {
      nodes.push_back(begin(task, comp_node));
      if (lanes_.size() <= static_cast<std::size_t>(task.lane))
        lanes_.resize(static_cast<std::size_t>(task.lane) + 1);
      out_ << ", \"runtime\": " << lanes_[static_cast<std::size_t>(task.lane)].next(task.compute) << '}';
    }
    nodes_.push_back(std::move(nodes));
  }

  std::string text() && { return "{\"workload_graph\": [" + std::move(out_).str() + "\n]}\n"; }

 private:
  int begin(const Task& task, NodeType type) {
    out_ << (next_ > 0 ? ",\n" : "\n") << "{\"Id\": " << next_ << ", \"Name\": \"" << task.name
         << "\", \"NodeType\": " << type << ", \"is_cpu_op\": " << (type == comp_node ? "true" : "false")
         << ", \"data_deps\": [";
    const char* separator = "";
    for (const int earlier : task.after)
      for (const int node : nodes_[static_cast<std::size_t>(earlier)]) {
        out_ << separator << node;
        separator = ", ";
      }
    out_ << ']';
    return next_++;
  }
  int message(const Task& task, NodeType type, const Message& m, int from, int to) {
    const int id = begin(task, type);
    out_ << ", \"comm_size\": " << m.bytes.value() << ", \"comm_src\": " << from << ", \"comm_dst\": " << to
         << ", \"comm_tag\": " << task.tag << '}';
    return id;
  }

  int rank_;
  std::ostringstream out_;
  int next_ = 0;
  std::vector<std::vector<int>> nodes_;  ///< by task
  std::vector<Microseconds> lanes_;
};

}  // namespace

Texts chakra_of(const Schedule& schedule) {
  Texts texts;
  for (std::size_t r = 0; r < schedule.size(); ++r) {
    Trace trace(static_cast<int>(r));
    for (const auto& task : schedule[r])
      trace.add(task);
    texts["rank." + std::to_string(r) + ".json"] = std::move(trace).text();
  }
  return texts;
}

}  // namespace partita::predict
