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

#include "partita/base/handle.hpp"
#include "partita/results/result_file.hpp"

namespace partita::results {
namespace {

namespace fs = std::filesystem;

struct DescriptorTraits {
  using Handle = int;
  static Handle null() { return -1; }
  static void close(Handle handle) noexcept { ::close(handle); }
};
using Descriptor = base::UniqueHandle<DescriptorTraits>;

/// Beyond a file size limit write(2) raises SIGXFSZ, which ends the process: held back here, it becomes
/// EFBIG.
class FileSizeSignalHeld {
 public:
  FileSizeSignalHeld() {
    sigemptyset(&signal_);
    sigaddset(&signal_, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &signal_, &before_);
  }
  ~FileSizeSignalHeld() {
    const timespec now{};
    while (sigtimedwait(&signal_, nullptr, &now) == -1 && errno == EINTR) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  FileSizeSignalHeld(const FileSizeSignalHeld&) = delete;
  FileSizeSignalHeld& operator=(const FileSizeSignalHeld&) = delete;

 private:
  sigset_t signal_{}, before_{};
};

[[noreturn]] void refuse(const std::string& call, const fs::path& path) {
  const int code = errno;
  throw WriteError(call + " " + path.string(), code, std::strerror(code));
}

void write_all(const Descriptor& file, std::span<const std::byte> bytes, const fs::path& path) {
  const FileSizeSignalHeld held;
  while (!bytes.empty()) {
    const auto written = ::write(file.get(), bytes.data(), std::min<std::size_t>(bytes.size(), 1 << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) refuse("write", path);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

/// Closing reports what a network file system kept back until then.
void close_checked(Descriptor& file, const fs::path& path) {
  if (::close(file.release()) != 0) refuse("close", path);
}

void write_temporary(const fs::path& temporary, std::span<const std::byte> bytes) {
  Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!file) refuse("open", temporary);
  write_all(file, bytes, temporary);
  if (::fsync(file.get()) != 0) refuse("fsync", temporary);
  close_checked(file, temporary);
}

void sync_folder(const fs::path& folder) {
  Descriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!handle) refuse("open", folder);
  // Some file systems cannot sync a folder and say so with EINVAL; the rename itself has succeeded.
  if (::fsync(handle.get()) != 0 && errno != EINVAL) refuse("fsync", folder);
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

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

fs::path temporary_of(const fs::path& path) {
  return folder_of(path) / ("." + path.filename().string() + ".partial");
}

/// What a symbolic link leads to is replaced, not the link.
fs::path behind_links(const fs::path& path) {
  std::error_code error;
  const auto target = fs::is_symlink(path, error) ? fs::canonical(path, error) : path;
  return error ? path : target;
}

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
    throw base::EnvironmentError("open " + path.string(), EISDIR, "not a regular file");
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
  const auto path = behind_links(named);
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
