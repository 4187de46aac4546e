/// The steps in which a file is replaced, and what can stand in their way: found before a run begins by
/// writing a temporary file where the run will write its own.
#include "partita/results/atomic_file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

#include "file_calls.hpp"
#include "partita/results/named_path.hpp"

namespace partita::results {
namespace {

namespace fs = std::filesystem;

void write_temporary(const fs::path& temporary, std::span<const std::byte> bytes) {
  auto file = create_file(temporary);
  write_all(file, bytes, temporary);
  sync_file(file, temporary);
  close_checked(file, temporary);
}

/// Whether another process has the file open for writing and says so by HDF5's lock, which this one takes for
/// reading until it closes the file. File systems without locks say so with another error; nothing depends on
/// them.
bool is_locked(const Descriptor& file) {
  const char* wanted = std::getenv("HDF5_USE_FILE_LOCKING");
  const std::string locking = wanted ? wanted : "";
  if (locking == "FALSE" || locking == "0") return false;
  return ::flock(file.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

constexpr const char* locked_text =
    "is locked: another process has it open for writing; close it there, or set "
    "HDF5_USE_FILE_LOCKING=FALSE where the lock is known to be stale or wrong";

/// What keeps an existing file from being replaced; empty where nothing does.
std::string obstacle(const fs::path& path, bool overwrite) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::exists(status) && fs::is_symlink(fs::symlink_status(path, error)))
    return "is a symbolic link to " + fs::read_symlink(path, error).string() + ", which does not exist";
  if (!fs::exists(status)) return "";
  if (!fs::is_regular_file(status)) return "exists and is not a regular file";
  if (!overwrite) return "exists already; name another file or allow it to be replaced with --overwrite";
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  return file && is_locked(file) ? locked_text : "";
}

}  // namespace

std::vector<std::byte> read_bytes(const fs::path& path) {
  // Without waiting for somebody to write into what may be a pipe.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) throw base::EnvironmentError("open " + path.string(), errno, std::strerror(errno));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0)
    throw base::EnvironmentError("stat " + path.string(), errno, std::strerror(errno));
  if (!S_ISREG(status.st_mode))
    throw base::ConfigError(
        {{path.string(), "", S_ISDIR(status.st_mode) ? "is a directory" : "is not a regular file"}});
  if (is_locked(file)) throw base::ConfigError({{path.string(), "", locked_text}});
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

void replace_file(const fs::path& named, std::span<const std::byte> bytes,
                  const std::function<void(std::span<const std::byte>)>& verify) {
  const auto path = behind_links(named);  // what a link leads to is replaced, not the link
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

void replace_file(const fs::path& path, std::string_view text) {
  replace_file(path, std::as_bytes(std::span(text)), [](std::span<const std::byte>) {});
}

std::vector<base::Violation> check_output_path(std::string_view key, const fs::path& path, bool overwrite) {
  const auto violation = [&](std::string message) {
    return std::vector{base::Violation{std::string(key), path.string(), std::move(message)}};
  };
  if (path.empty() || !path.has_filename()) return violation("must name a file");
  std::error_code error;
  const auto folder = folder_of(path);
  if (!fs::is_directory(folder, error)) return violation("the folder " + folder.string() + " does not exist");
  if (const auto wrong = obstacle(path, overwrite); !wrong.empty()) return violation(wrong);
  const auto temporary = temporary_of(behind_links(path));
  try {
    write_temporary(temporary, std::vector<std::byte>(4096));
  } catch (const WriteError& refused) {
    ::unlink(temporary.c_str());
    return violation("cannot be written: " + std::string(std::strerror(static_cast<int>(refused.code()))));
  }
  ::unlink(temporary.c_str());
  return {};
}

}  // namespace partita::results
