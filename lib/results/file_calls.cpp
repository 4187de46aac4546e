/// Open, write, fsync and close. Interrupted writes go on, and a file size limit is an error here instead of
/// the signal that ends a process.
#include "file_calls.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace partita::results {
namespace {

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

}  // namespace

void DescriptorTraits::close(Handle handle) noexcept { ::close(handle); }

void refuse(const std::string& call, const std::filesystem::path& path) {
  const int code = errno;
  throw WriteError(call + " " + path.string(), code, std::strerror(code));
}

void write_all(const Descriptor& file, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  const FileSizeSignalHeld held;
  while (!bytes.empty()) {
    const auto written = ::write(file.get(), bytes.data(), std::min<std::size_t>(bytes.size(), 1 << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) refuse("write", path);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void close_checked(Descriptor& file, const std::filesystem::path& path) {
  if (::close(file.release()) != 0) refuse("close", path);
}

Descriptor create_file(const std::filesystem::path& path) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!file) refuse("open", path);
  return file;
}

void sync_file(const Descriptor& file, const std::filesystem::path& path) {
  if (::fsync(file.get()) != 0) refuse("fsync", path);
}

void sync_folder(const std::filesystem::path& folder) {
  Descriptor handle(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!handle) refuse("open", folder);
  // Some file systems cannot sync a folder and say so with EINVAL; the rename itself has succeeded.
  if (::fsync(handle.get()) != 0 && errno != EINVAL) refuse("fsync", folder);
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

std::filesystem::path temporary_of(const std::filesystem::path& path) {
  return folder_of(path) / ("." + path.filename().string() + ".partial");
}

}  // namespace partita::results
