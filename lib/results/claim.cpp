/// Takes a lock and makes sure of it: who had it before may delete its file between our open and our lock, so
/// a lock counts only if its file is still the one at the path.
#include "partita/results/claim.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdlib>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include "claim_path.hpp"
#include "file_calls.hpp"
#include "partita/results/record.hpp"

namespace partita::results {
namespace {

namespace fs = std::filesystem;

/// "partita-train, process 812 on node7, job 4711, since 2026-01-31T12:00:00Z", a line.
std::string holder() {
  std::array<char, HOST_NAME_MAX + 1> host{};
  ::gethostname(host.data(), host.size() - 1);
  std::string text = std::string(program_invocation_short_name) + ", process " + std::to_string(::getpid()) +
                     " on " + host.data();
  for (const char* const name : {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID"})
    if (const char* const job = std::getenv(name)) text += ", job " + std::string(job);
  return text + ", since " + new_attributes().created + "\n";
}

/// Who has the lock says so a moment after it has taken it: until there is a line, another look is worth it.
std::string read_holder(const Descriptor& file) {
  constexpr int most_looks = 20;
  std::array<char, 512> bytes{};
  std::string_view text;
  for (int looks = 1;; ++looks) {
    const auto count = ::pread(file.get(), bytes.data(), bytes.size(), 0);
    text = {bytes.data(), static_cast<std::size_t>(count > 0 ? count : 0)};
    if (const auto end = text.find('\n'); end != std::string_view::npos)
      return std::string(text.substr(0, end));
    if (looks == most_looks) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return text.empty() ? "of which nothing is known" : std::string(text);
}

/// What a job that was killed has left there must not be read as this one's. Somebody who reads wrongly loses
/// no lock: a refused write is nothing to end for.
void write_holder(const Descriptor& file) {
  if (::ftruncate(file.get(), 0) != 0) return;
  const auto line = holder();
  (void)!::pwrite(file.get(), line.data(), line.size(), 0);
}

/// Network file systems lock for writing only what is open for writing.
Descriptor open_lock(const fs::path& path) {
  constexpr int flags = O_CREAT | O_NOFOLLOW | O_CLOEXEC;
  Descriptor file(::open(path.c_str(), O_RDWR | flags, 0666));
  // Another user's, on whose folder both may write.
  if (!file && errno == EACCES) file.reset(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  return file;
}

bool is_at(const Descriptor& file, const fs::path& path) {
  struct stat opened {
  }, named{};
  return ::fstat(file.get(), &opened) == 0 && ::stat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

enum class Answer { taken, held_by_another, impossible };

Answer lock(const Descriptor& file, bool shared) {
  int result = 0;
  do
    result = ::flock(file.get(), (shared ? LOCK_SH : LOCK_EX) | LOCK_NB);
  while (result != 0 && errno == EINTR);
  if (result == 0) return Answer::taken;
  return errno == EWOULDBLOCK ? Answer::held_by_another : Answer::impossible;
}

}  // namespace

Claims::~Claims() {
  // Backwards: a folder is empty only once the locks of what lies in it are gone.
  for (auto held = held_.rbegin(); held != held_.rend(); ++held) {
    // The last of several deletes it, while nobody else can have it.
    if (!held->shared || ::flock(held->descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(held->lock.c_str());
    ::close(held->descriptor);
    if (!held->made_folder.empty()) ::rmdir(held->made_folder.c_str());
  }
}

std::vector<base::Violation> Claims::take(std::span<const NamedPath> paths) {
  std::vector<base::Violation> violations;
  for (const auto& named : paths)
    if (named.use != Use::reads && !named.path.empty()) claim(named, violations);
  return violations;
}

void Claims::claim(const NamedPath& named, std::vector<base::Violation>& violations) {
  const bool is_file = named.use == Use::writes, shared = named.use == Use::shares;
  const auto target = is_file ? behind_links(named.path) : named.path;
  const auto lock_path = is_file ? lock_beside(target) : lock_inside(target);
  constexpr int most_tries =
      100;  // where a file's number never agrees with its path's, nothing can be claimed
  for (int tries = 0; tries < most_tries; ++tries) {
    std::error_code error;
    const bool made = !is_file && fs::create_directory(target, error);
    auto file = open_lock(lock_path);
    if (!file && errno == EMFILE)
      violations.push_back({named.role, named.path.string(),
                            "cannot be kept from other jobs: this process may open no more files"});
    const auto answer = file ? lock(file, shared) : Answer::impossible;
    if (answer == Answer::taken && is_at(file, lock_path)) {
      write_holder(file);
      held_.push_back({file.release(), shared, lock_path, made ? target : fs::path()});
      return;
    }
    if (answer == Answer::taken) continue;  // deleted by who had it, between our calls
    if (answer == Answer::held_by_another)
      violations.push_back(
          {named.role, named.path.string(), "is in use by another job: " + read_holder(file)});
    else if (file)
      ::unlink(lock_path.c_str());
    if (made) ::rmdir(target.c_str());
    return;
  }
}

}  // namespace partita::results
