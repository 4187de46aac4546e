/// Keeps other processes from the files and folders that a program writes over time.
///
/// A claim is a lock of the operating system (flock) on a small file: `.NAME.lock` beside a file NAME,
/// `.lock` in a folder. The kernel ends it with its process however that ends: a lock file that lies about
/// stops nobody. The file is deleted where the claim ends before its process does; a signal that ends the
/// process at once leaves it. It holds a line that says who has the claim: program, process, host, job. On
/// NFS (version 4, or 3 with its lock daemon) and on parallel file systems that were mounted with locks the
/// nodes of a cluster see each other's claims; on one without locks nothing is claimed, and nobody refused.
#pragma once

#include <filesystem>
#include <span>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/results/named_path.hpp"

namespace partita::results {

class Claims {
 public:
  Claims() = default;
  ~Claims();
  Claims(const Claims&) = delete;
  Claims& operator=(const Claims&) = delete;

  /// Claims all that is written among the paths, from now on until the end of this object; what another
  /// process has is a violation. A folder that is kept or shared is made where there is none, and deleted in
  /// the end where nothing was put into it. A path that cannot be claimed because nothing can be written
  /// there is left for its own check to refuse.
  [[nodiscard]] std::vector<base::Violation> take(std::span<const NamedPath>);

 private:
  struct Held {
    int descriptor;
    bool shared;
    std::filesystem::path lock, made_folder;
  };
  void claim(const NamedPath&, std::vector<base::Violation>& violations);

  std::vector<Held> held_;
};

}  // namespace partita::results
