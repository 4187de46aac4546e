/// LogGOPSim's text: per rank a block of calc (nanoseconds), send and recv (bytes), with what they require.
/// A lane is a cpu, so that transfers move on beside the core. What sending and receiving takes of a core is
/// LogGOPSim's own to add (its o and O).
#include <sstream>

#include "export_formats.hpp"

namespace partita::predict {
namespace {

std::int64_t nanoseconds(machine::Picoseconds time) { return (time + 500) / 1000; }

class Block {
 public:
  explicit Block(std::ostream& out) : out_(out) {}

  void write(const Task& task) {
    std::vector<int> labels;
    const std::string cpu = " cpu " + std::to_string(task.lane);
    const auto message = [&](const char* verb, const char* preposition, const Message& m) {
      labels.push_back(begin(task));
      out_ << verb << ' ' << m.bytes.value() << "b " << preposition << ' ' << m.peer << " tag " << task.tag
           << cpu << '\n';
      require(task);
    };
    for (const auto& m : task.receives)
      message("recv", "from", m);
    for (const auto& m : task.sends)
      message("send", "to", m);
    if (labels.empty()) {
      labels.push_back(begin(task));
      out_ << "calc " << nanoseconds(task.compute) << cpu << '\n';
      require(task);
    }
    labels_.push_back(std::move(labels));
  }

 private:
  int begin(const Task&) {
    out_ << 'l' << ++last_ << ": ";
    return last_;
  }
  void require(const Task& task) {
    for (const int earlier : task.after)
      for (const int label : labels_[static_cast<std::size_t>(earlier)])
        out_ << 'l' << last_ << " requires l" << label << '\n';
  }

  std::ostream& out_;
  int last_ = 0;
  std::vector<std::vector<int>> labels_;  ///< by task
};

}  // namespace

std::string goal_of(const Schedule& schedule) {
  std::ostringstream out;
  out << "num_ranks " << schedule.size() << "\n";
  for (std::size_t r = 0; r < schedule.size(); ++r) {
    out << "\nrank " << r << " {\n";
    Block block(out);
    for (const auto& task : schedule[r])
      block.write(task);
    out << "}\n";
  }
  return std::move(out).str();
}

}  // namespace partita::predict
