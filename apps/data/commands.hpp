/// The commands of partita-data, after parsing. Each prints its data to stdout and returns the exit code.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "fetch.hpp"
#include "partita/data/dataset.hpp"
#include "partita/data/idx.hpp"

namespace partita::app {

struct GenerateCommand {
  data::DataOptions data;        ///< name: digits or random
  std::filesystem::path output;  ///< folder of the new set
  data::Compression compression = data::Compression::gzip;
  bool overwrite = false;
};
int generate(const GenerateCommand&);

struct ImportCommand {
  std::filesystem::path source;  ///< CIFAR-10 or CIFAR-100: a folder or an archive
  std::filesystem::path output;  ///< folder of the new set
  data::Compression compression = data::Compression::gzip;
  bool overwrite = false;
};
int import_set(const ImportCommand&);

struct VerifyCommand {
  std::filesystem::path folder;
};
int verify(const VerifyCommand&);

struct FetchCommand {
  std::string name;
  std::filesystem::path dir;         ///< the set is written into `dir`/`name`
  std::vector<std::string> mirrors;  ///< empty: the known ones
};
int fetch(const FetchCommand&);

/// Fetches what a source has into `folder`, and imports an archive where no set lies there yet; the folder is
/// kept from other processes all the while. Throws as `fetch_file` and `write_set` do.
void fetch_set(const Source&, std::span<const std::string> mirrors, const std::filesystem::path& folder);

}  // namespace partita::app
