/// Preloaded: a disk that fails at a chosen moment, for files under one folder.
///
/// FAILING_FOLDER  the folder
/// FAILING_CALL    open, write, fsync, close or rename; fsync-folder: of a folder
/// FAILING_ERRNO   what it fails with
/// FAILING_AT      of write: the byte, counted over all files, from which on nothing can be written (a write
/// that
///                 reaches it is cut short first); of others: how many succeed before
/// FAILING_REPORT  a file to which the process appends, as it ends, the bytes written under the folder
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

struct Plan {
  std::string folder = setting("FAILING_FOLDER"), call = setting("FAILING_CALL"),
              report = setting("FAILING_REPORT");
  int code = std::atoi(setting("FAILING_ERRNO").c_str());
  long long at = std::atoll(setting("FAILING_AT").c_str());
  long long calls = 0, written = 0;

  ~Plan() {
    if (report.empty()) return;
    if (FILE* file = std::fopen(report.c_str(), "a"))
      std::fprintf(file, "%lld\n", written), std::fclose(file);
  }
};

Plan& plan() {
  static Plan the_plan;
  return the_plan;
}

bool concerns(const std::string& path) { return !plan().folder.empty() && path.starts_with(plan().folder); }

bool concerns(int descriptor) {
  char path[4096];
  const auto link = "/proc/self/fd/" + std::to_string(descriptor);
  const auto length = readlink(link.c_str(), path, sizeof path);
  return length > 0 && concerns(std::string(path, static_cast<std::size_t>(length)));
}

/// Whether this call is the one to fail; errno is then set.
bool fails(const char* call) {
  if (plan().call != call || plan().calls++ < plan().at) return false;
  errno = plan().code;
  return true;
}

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

int open_as(const char* name, const char* path, int flags, mode_t mode) {
  if ((flags & O_ACCMODE) != O_RDONLY && concerns(std::string(path)) && fails("open")) return -1;
  return real<int(const char*, int, ...)>(name)(path, flags, mode);
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const auto mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_as("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const auto mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return open_as("open64", path, flags, mode);
}

ssize_t write(int descriptor, const void* bytes, size_t count) {
  const auto really = real<ssize_t(int, const void*, size_t)>("write");
  if (!concerns(descriptor)) return really(descriptor, bytes, count);
  if (plan().call == "write") {
    const auto room = plan().at - plan().written;
    if (room <= 0) return errno = plan().code, -1;
    if (static_cast<long long>(count) > room) count = static_cast<size_t>(room);
  }
  const auto done = really(descriptor, bytes, count);
  if (done > 0) plan().written += done;
  return done;
}

int fsync(int descriptor) {
  struct stat status {};
  const bool is_folder = fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode);
  if (concerns(descriptor) && fails(is_folder ? "fsync-folder" : "fsync")) return -1;
  return real<int(int)>("fsync")(descriptor);
}

int close(int descriptor) {
  const bool writes = (fcntl(descriptor, F_GETFL) & O_ACCMODE) != O_RDONLY;
  const bool refuse = writes && concerns(descriptor) && fails("close");
  const int code = errno;
  const int done = real<int(int)>("close")(descriptor);
  return refuse ? (errno = code, -1) : done;
}

int rename(const char* from, const char* to) {
  if (concerns(std::string(to)) && fails("rename")) return -1;
  return real<int(const char*, const char*)>("rename")(from, to);
}

}  // extern "C"
