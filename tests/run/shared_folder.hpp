/// A folder of checkpoints for a test of several ranks.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>

#include "../mpi_main.hpp"

namespace partita::tests {

/// A folder that all ranks see, gone at the end.
class SharedFolder {
 public:
  SharedFolder() {
    const auto mine =
        std::filesystem::temp_directory_path() / ("partita-checkpoints-" + std::to_string(getpid()));
    path_ = world().all_gather_text(mine.string(), collective::Purpose::control).front();
    if (world().rank() == 0) std::filesystem::create_directory(path_);
    world().barrier();
  }
  ~SharedFolder() {
    world().barrier();
    if (world().rank() == 0) std::filesystem::remove_all(path_);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace partita::tests
