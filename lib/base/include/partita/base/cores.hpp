/// Which cores a host has, and how many a process may use: what it is bound to, and what its control groups
/// grant.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace partita::base {

/// A control group that limits this process's time on CPUs (`cpu.max` of version 2, `cpu.cfs_quota_us` of
/// version 1).
struct CpuLimit {
  std::uint64_t group = 0;  ///< the same for two processes of a host exactly when they are in the same group
  double cores = 0;         ///< seconds of CPU time a second
};

/// The control groups, from this process's own to the outermost that can be seen, which grant a limited time;
/// none where nothing is limited or nothing can be read. `root`: the folder in which proc and sys are found.
std::vector<CpuLimit> cpu_limits(const std::filesystem::path& root = "/");

/// The cores that the processes of a host have together, at least one: those that they are bound to,
/// `bound_cores`, or fewer where the limits of each process, `limits[i]`, grant less. Processes of one group
/// share what it grants evenly.
int cores_together(int bound_cores, std::span<const std::vector<CpuLimit>> limits);

struct CacheSize {
  std::int64_t bytes = 0;
  int cores = 1;  ///< of the host, that share it
};

/// The caches of the first core that data may lie in, from the innermost; none where the host does not say.
/// `root` as above.
std::vector<CacheSize> data_caches(const std::filesystem::path& root = "/");

/// As /proc/cpuinfo names the first core: "Intel(R) Xeon(R) Processor"; "unknown" where it does not.
std::string cpu_model();

}  // namespace partita::base
