/// Reads a regular file whole or says why not; writes one beside its place, syncs it and renames it there.
#include "file_bytes.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>

#include "partita/base/error.hpp"
#include "partita/kernels/host_pages.hpp"

namespace partita::data {

namespace fs = std::filesystem;

Complaint read_whole(const fs::path& path, std::vector<std::uint8_t>& out) {
  std::error_code failure;
  const auto status = fs::status(path, failure);
  if (!fs::exists(status)) return "the file does not exist";
  if (!fs::is_regular_file(status)) return "is not a regular file";
  const auto size = fs::file_size(path, failure);
  if (failure) return "its size cannot be read: " + failure.message();
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::string("cannot be opened: ") + std::strerror(errno);
  kernels::reserve_huge_pages(out, size);  // what is not packed is used as it lies here
  out.resize(size);
  file.read(reinterpret_cast<char*>(out.data()), static_cast<std::streamsize>(size));
  if (file.gcount() != static_cast<std::streamsize>(size)) return "cannot be read to its end";
  return std::nullopt;
}

void write_whole(const fs::path& path, std::span<const std::uint8_t> bytes) {
  const fs::path temporary = path.string() + ".tmp" + std::to_string(::getpid());
  const auto fail = [&](const char* call) {
    const int code = errno;
    ::unlink(temporary.c_str());
    throw base::EnvironmentError(call, code, temporary.string() + ": " + std::strerror(code));
  };
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) fail("open");
  while (!bytes.empty()) {
    const auto written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      const int code = errno;
      ::close(file);
      errno = code;
      fail("write");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  const bool flushed = ::fsync(file) == 0;
  if (::close(file) != 0 || !flushed) fail("fsync or close");
  if (::rename(temporary.c_str(), path.c_str()) != 0) fail("rename");
}

}  // namespace partita::data
