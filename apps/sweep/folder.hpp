/// The output folder of a sweep, and who runs what.
///
/// `NNNN.h5` is a result, `rows/NNNN.json` its row, `index.csv` all rows as people and pandas read them.
///
/// The next configuration goes to the next free group without anybody who hands it out: a group takes a
/// configuration by creating its row exclusively (O_CREAT | O_EXCL), which is atomic on local disks, NFS and
/// parallel file systems. A counter in an MPI window was measured against it: MPICH's fetch-and-op (ch4:ucx)
/// waits until the target calls MPI, on one node as between nodes: a second where rank 0 computed for a
/// second. Creating a file took 40 µs on a local disk there and is one round trip elsewhere; it needs
/// nobody's attention. A row that is empty belongs to a configuration that runs, or ran when its job was
/// killed.
#pragma once

#include <optional>

#include "partita/results/claim.hpp"
#include "row.hpp"

namespace partita::sweep {

/// What the sweep reads and writes, every configuration's files among it.
std::vector<results::NamedPath> files_of(const Options&, const std::vector<Configuration>&);

/// Claims the folder: as a whole, or of a shard (and of an index alone) its part. What another process has is
/// a violation.
std::vector<base::Violation> claim_folder(const Options&, results::Claims&);

/// What the runs of this shard write and another process has, so that all of it is seen to be free before the
/// first result is replaced. `open_folder` and then each group claim a run's files themselves.
std::vector<base::Violation> check_runs_are_free(const Options&, const std::vector<Configuration>&);

/// What of the folder stands in the sweep's way: no folder can be made or written there; results of an
/// earlier sweep (of this shard) without leave to continue or replace them.
std::vector<base::Violation> check_folder(const Options&, const std::vector<Configuration>&);

/// Makes the folder and clears what is to be run: with `resume` complete results of the same configuration
/// stay and damaged ones are set aside, else nothing of this shard stays. What cannot be made or cleared, or
/// is another process's by now, is a violation.
std::vector<base::Violation> open_folder(const Options&, const std::vector<Configuration>&);

/// The next configuration of this shard that nobody has taken, which is then this group's; `after` is the
/// number last taken, 0 at first. Nothing when none is left.
std::optional<int> take_next(const Options&, const std::vector<Configuration>&, int after);

void write_row(const Options&, const Row&);

/// What the folder knows of all configurations, by number.
std::vector<Row> read_rows(const Options&, const std::vector<Configuration>&);

/// Writes `index.csv`, or `index-k-of-n.csv` of a shard with its own configurations.
std::filesystem::path write_index(const Options&, const std::vector<Configuration>&, const std::vector<Row>&);

}  // namespace partita::sweep
