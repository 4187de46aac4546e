/// Downloads data sets whose bytes are known beforehand. A file appears under its name only once its SHA-256
/// agrees; until then it is `<file>.part`, from which an interrupted download goes on.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace partita::app {

/// One file of a set and the digest that it must have.
struct PinnedFile {
  std::string name;
  std::string sha256;
};

/// A set that can be fetched, and the addresses of folders that hold its files, tried in this order.
struct Source {
  std::string name;
  std::vector<PinnedFile> files;
  std::vector<std::string> mirrors;
  bool is_archive = false;  ///< the only file is one of CIFAR, and is imported beside itself
};

/// MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100.
std::span<const Source> known_sources();
const Source* find_source(std::string_view name);

/// Thrown when no mirror gave a file with the right content; holds one line for each attempt.
class FetchError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

using Report = std::function<void(const std::string& line)>;

/// Fetches one file into `folder`. A present file with the right digest is kept; a present file with another
/// one is an error, never overwritten. A partial file is continued where the server allows it, and dropped
/// when the whole does not have the digest. Throws `FetchError`; for local files `base::ConfigError` where
/// one cannot be made or replaced, `base::EnvironmentError` where its content cannot be read or written.
void fetch_file(const PinnedFile&, std::span<const std::string> mirrors, const std::filesystem::path& folder,
                const Report&);

/// Of libcurl in use: "7.88.1".
std::string libcurl_version();

}  // namespace partita::app
