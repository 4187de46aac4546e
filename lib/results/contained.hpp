/// Files of unknown origin are read in a child process first.
///
/// Checksums find accidents, but HDF5 1.10 has memory errors on files that were made to have right checksums
/// (or none, in older formats), and a file can name loops and sizes that never end. So a child, a copy of
/// this process, reads the whole file once: if it crashes, hangs or outgrows its memory, that is all that
/// happens. What it read without harm this process then reads in the same way, from the same bytes in the
/// same memory. Nothing has to stand in the file for this, so that files of any age and origin are read, and
/// other programs see plain HDF5.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

namespace partita::results {

/// What a file of `bytes` may cost its reader before it is taken for a hostile one: `patience` and a second
/// for each 4 MiB; 1 GiB of memory and 64 times its size.
struct ReadingCost {
  std::size_t bytes = 0;
  std::chrono::seconds patience{60};
};

/// Runs `examine` in a child process and gives what it returned: empty, or what is wrong with the file. A
/// crash, a wait or a hunger for memory beyond `cost` are told in the same way. `examine` changes nothing
/// here and must not throw. Throws `base::EnvironmentError` where no process can be started.
std::string examine_in_child(const std::function<std::string()>& examine, ReadingCost cost);

}  // namespace partita::results
