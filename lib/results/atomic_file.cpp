#include "partita/results/atomic_file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "file_calls.hpp"

namespace partita::results {
namespace {

namespace fs = std::filesystem;

void write_temporary(const fs::path& temporary, std::span<const std::byte> bytes) {
  auto file = create_file(temporary);
  write_all(file, bytes, temporary);
  sync_file(file, temporary);
  close_checked(file, temporary);
}

}  // namespace

std::vector<std::byte> read_bytes(const fs::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) throw base::EnvironmentError("open " + path.string(), errno, std::strerror(errno));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0)
    throw base::EnvironmentError("stat " + path.string(), errno, std::strerror(errno));
  if (!S_ISREG(status.st_mode))
    throw base::EnvironmentError("open " + path.string(), EISDIR, "not a regular file");
  std::vector<std::byte> bytes(static_cast<std::size_t>(status.st_size));
  std::size_t have = 0;
  while (have < bytes.size()) {
    const auto got =
        ::read(file.get(), bytes.data() + have, std::min<std::size_t>(bytes.size() - have, 1 << 30));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw base::EnvironmentError("read " + path.string(), errno, std::strerror(errno));
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  bytes.resize(have);
  return bytes;
}

void replace_file(const fs::path& path, std::span<const std::byte> bytes,
                  const std::function<void(std::span<const std::byte>)>& verify) {
  const auto temporary = temporary_of(path);
  try {
    write_temporary(temporary, bytes);
    const auto written = read_bytes(temporary);
    if (!std::ranges::equal(written, bytes))
      throw WriteError("verify " + temporary.string(), EIO, "the file does not hold what was written");
    verify(written);
    if (::rename(temporary.c_str(), path.c_str()) != 0) refuse("rename " + temporary.string() + " to", path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_folder(folder_of(path));
}

std::vector<base::Violation> check_output_path(std::string_view key, const fs::path& path, bool overwrite) {
  const auto violation = [&](std::string message) {
    return std::vector{base::Violation{std::string(key), path.string(), std::move(message)}};
  };
  if (path.empty() || !path.has_filename()) return violation("must name a file");
  std::error_code error;
  const auto folder = folder_of(path);
  if (!fs::is_directory(folder, error)) return violation("the folder " + folder.string() + " does not exist");
  const auto status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status))
    return violation("exists and is not a regular file");
  if (fs::exists(status) && !overwrite)
    return violation("exists already; name another file or allow it to be replaced with --overwrite");
  try {
    write_temporary(temporary_of(path), std::vector<std::byte>(4096));
  } catch (const WriteError& refused) {
    ::unlink(temporary_of(path).c_str());
    return violation("cannot be written: " + std::string(std::strerror(static_cast<int>(refused.code()))));
  }
  ::unlink(temporary_of(path).c_str());
  return {};
}

}  // namespace partita::results
