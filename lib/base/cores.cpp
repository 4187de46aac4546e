/// Reads the limits of all control groups above this process (cgroup v1 and v2, also inside a container), and
/// shares each among the processes that have it.
#include "partita/base/cores.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include "partita/base/number.hpp"

namespace partita::base {
namespace {

namespace fs = std::filesystem;

/// A mounted tree of groups that can limit CPU time.
struct Tree {
  std::string root;   ///< the group that is seen at the mount point
  std::string mount;  ///< where
  int version = 2;
};

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// How many cores a list such as "0-3,8" names, at least one.
int cores_of_list(const std::string& list) {
  int cores = 0;
  std::istringstream parts(list);
  for (std::string part; std::getline(parts, part, ',');) {
    const auto dash = std::min(part.find('-'), part.size());
    const auto first = number_of<int>(part.substr(0, dash));
    const auto last = dash < part.size() ? number_of<int>(part.substr(dash + 1)) : first;
    if (first && last && *first <= *last) cores += *last - *first + 1;
  }
  return std::max(1, cores);
}

bool has_word(const std::string& list, const std::string& word) {
  std::istringstream words(list);
  for (std::string next; std::getline(words, next, ',');)
    if (next == word) return true;
  return false;
}

/// "36 35 98:0 /docker/7f /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct"
std::optional<Tree> tree_of(const std::string& mountinfo) {
  std::istringstream fields(mountinfo);
  std::string skipped, type, options;
  Tree tree;
  fields >> skipped >> skipped >> skipped >> tree.root >> tree.mount;
  while (fields >> skipped && skipped != "-") {
  }
  if (!(fields >> type >> skipped >> options)) return std::nullopt;
  if (type == "cgroup2") return tree;
  tree.version = 1;
  return type == "cgroup" && has_word(options, "cpu") ? std::optional(tree) : std::nullopt;
}

/// The group of this process in the hierarchy of that version; "4:cpu,cpuacct:/docker/7f" or "0::/user".
std::optional<std::string> own_group(const fs::path& root, int version) {
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    if (version == 2 ? line.starts_with("0::") : has_word(controllers, "cpu")) return line.substr(second + 1);
  }
  return std::nullopt;
}

/// "150000 100000", "max 100000", or -1 and a period in files of their own.
std::optional<double> granted(const fs::path& group, int version) {
  double quota = 0, period = 0;
  if (version == 2) {
    std::ifstream file(group / "cpu.max");
    file >> quota >> period;
  } else {
    std::ifstream(group / "cpu.cfs_quota_us") >> quota;
    std::ifstream(group / "cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? std::optional(quota / period) : std::nullopt;
}

std::uint64_t identity(const fs::path& group) {
  struct stat status {};
  return stat(group.c_str(), &status) == 0 ? (std::uint64_t{status.st_dev} << 40) ^ status.st_ino : 0;
}

/// A container may see its own group as the top of the tree, and be told a path that begins above it.
fs::path below_mount(const Tree& tree, const std::string& group) {
  auto below = fs::path(group).lexically_relative(tree.root);
  if (below.empty() || *below.begin() == ".." || *below.begin() == ".") below.clear();
  return below;
}

void append_limits(const fs::path& root, const Tree& tree, std::vector<CpuLimit>& limits) {
  const auto group = own_group(root, tree.version);
  if (!group) return;
  const auto top = root / fs::path(tree.mount).relative_path();
  for (auto below = below_mount(tree, *group);; below = below.parent_path()) {
    const auto folder = below.empty() ? top : top / below;
    if (const auto cores = granted(folder, tree.version)) limits.push_back({identity(folder), *cores});
    if (below.empty()) return;
  }
}

}  // namespace

std::vector<CpuLimit> cpu_limits(const fs::path& root) {
  std::vector<CpuLimit> limits;
  std::ifstream mounts(root / "proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);)
    if (const auto tree = tree_of(line)) append_limits(root, *tree, limits);
  return limits;
}

int cores_together(int bound_cores, std::span<const std::vector<CpuLimit>> limits) {
  const auto members = [&](std::uint64_t group) {
    return std::count_if(limits.begin(), limits.end(), [&](const auto& of_process) {
      return std::any_of(of_process.begin(), of_process.end(),
                         [&](const CpuLimit& limit) { return limit.group == group; });
    });
  };
  double cores = 0;
  for (const auto& of_process : limits) {
    double share = std::numeric_limits<double>::infinity();
    for (const auto& limit : of_process)
      share = std::min(share, limit.cores / static_cast<double>(members(limit.group)));
    cores += share;
  }
  constexpr double rounding = 1e-9;
  return std::max(1, static_cast<int>(std::min<double>(bound_cores, std::floor(cores + rounding))));
}

std::vector<CacheSize> data_caches(const fs::path& root) {
  std::vector<CacheSize> caches;
  const int threads_of_core =
      cores_of_list(first_line(root / "sys/devices/system/cpu/cpu0/topology/thread_siblings_list"));
  for (int index = 0;; ++index) {
    const auto folder = root / "sys/devices/system/cpu/cpu0/cache" / ("index" + std::to_string(index));
    const auto type = first_line(folder / "type"), size = first_line(folder / "size");
    if (type.empty()) break;
    if (type == "Instruction") continue;
    const auto kibibytes = number_of<std::int64_t>(std::string_view(size).substr(0, size.find('K')));
    if (!kibibytes || *kibibytes < 1) return {};
    const int threads = cores_of_list(first_line(folder / "shared_cpu_list"));
    caches.push_back({*kibibytes << 10, std::max(1, threads / threads_of_core)});
  }
  std::ranges::sort(caches, {}, &CacheSize::bytes);
  return caches;
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

}  // namespace partita::base
