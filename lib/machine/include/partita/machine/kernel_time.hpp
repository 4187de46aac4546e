/// How long a kernel took that was measured as the executor runs it.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

namespace partita::machine {

/// What was run. Two instructions of one key are expected to take the same time.
struct KernelKey {
  std::string implementation;  ///< of the back-end: "cpu", "reference", "cuda"
  std::string kernel;  ///< of a layer its kind, with "+relu" where one is joined; else the instruction
  std::string phase;   ///< "forward", "backward parameters", …; empty where there is one alone
  std::string type;    ///< of its elements
  std::string layout;  ///< of images
  std::vector<std::int64_t> shape;  ///< what its time depends on, in an order that the kernel fixes
  /// Of what it touches, the per cent that lie beyond each cache of the machine; empty where nobody says.
  std::vector<std::int64_t> beyond;
  int threads = 1;       ///< of a rank
  int active_ranks = 1;  ///< of the same node, that compute at the same time
  friend auto operator<=>(const KernelKey&, const KernelKey&) = default;
};

struct KernelTime {
  KernelKey key;
  std::int64_t runs = 0;
  double median_seconds = 0, lower_quartile_seconds = 0, upper_quartile_seconds = 0;
  friend bool operator==(const KernelTime&, const KernelTime&) = default;
};

}  // namespace partita::machine
