/// Launchers and what they say of the worlds that they start.
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "partita/base/number.hpp"
#include "partita/comm/environment.hpp"

namespace partita::comm {
namespace {

/// Hydra and Slurm's pmi2 leave an open socket or a port; a shell's leftovers do not.
bool process_manager_listens() {
  if (std::getenv("PMI_PORT")) return true;
  const char* const number = std::getenv("PMI_FD");
  struct stat status {};
  return number && fstat(std::atoi(number), &status) == 0 && S_ISSOCK(status.st_mode);
}

/// Whether Open MPI's own launcher has started this process; Slurm's server has a name space that begins
/// otherwise. Asked before `main`: a rank that nobody started makes a name space as MPI starts.
const bool open_mpi_launched = [] {
  const char* const name = std::getenv("PMIX_NAMESPACE");
  return name && !std::string_view(name).starts_with("slurm");
}();

bool open_mpi_listens() { return open_mpi_launched; }

/// A variable with the number of processes of a launch, in the environment of each of them.
struct Count {
  const char* variable;
  const char* launcher;
  const char* advice;
  bool (*listens)();  ///< whether this process is one of that launch; null: cannot be told
  /// Ranks of other launchers inherit it, since these start their helpers as one of its own.
  bool inherited;
};

// SLURM_NTASKS and its like are the allocation's, and say nothing of what is started in it.
constexpr const char* use_its_own = "start them with the mpiexec that belongs to this MPI library";
constexpr Count counts[] = {
    {"PMI_SIZE", "mpiexec (Hydra, Intel MPI, PALS) or srun --mpi=pmi2", use_its_own, process_manager_listens,
     false},
    {"OMPI_COMM_WORLD_SIZE", "Open MPI's mpiexec", use_its_own, open_mpi_listens, false},
    {"MV2_COMM_WORLD_SIZE", "MVAPICH2's mpirun", use_its_own, nullptr, false},
    {"MVP_COMM_WORLD_SIZE", "MVAPICH's mpirun", use_its_own, nullptr, false},
    {"FLUX_JOB_SIZE", "flux run",
     "name the interface that this MPI library speaks (flux run -o pmi=simple or -o mpi=none)", nullptr,
     false},
    {"JSM_NAMESPACE_SIZE", "jsrun", use_its_own, nullptr, false},
    {"SLURM_STEP_NUM_TASKS", "srun",
     "start them with srun --mpi=pmi2 (srun --mpi=list names what this site has), or with mpiexec", nullptr,
     true}};

std::optional<int> value_of(const Count& count) {
  const char* const text = std::getenv(count.variable);
  if (!text) return std::nullopt;
  const auto value = base::number_of<int>(text);
  return value && *value > 0 ? value : std::nullopt;
}

}  // namespace

std::vector<base::Violation> check_launch(int world_size) {
  std::vector<base::Violation> differing;
  for (const auto& count : counts) {
    const auto value = value_of(count);
    if (!value || (count.inherited && world_size > 1)) continue;
    if (*value != world_size) {
      const std::string ranks = std::to_string(world_size) + (world_size == 1 ? " rank" : " ranks");
      differing.push_back({count.variable, std::to_string(*value),
                           std::string(count.launcher) + " started so many processes, but MPI sees " + ranks +
                               " in this one's world, so that several would run the whole job; " +
                               count.advice + ", or unset this variable where it is none of theirs"});
    } else if (world_size > 1 || (count.listens && count.listens())) {
      return {};  // the innermost of nested launches, which the library spoke to; every world of one is 1
    }
  }
  return differing;
}

}  // namespace partita::comm
