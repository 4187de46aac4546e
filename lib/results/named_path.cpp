/// Whether two paths are one file: by its number on the disk if it exists, else by its real folder and name.
/// The temporary file and the lock of an output count as files of its own.
#include "partita/results/named_path.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <system_error>

#include "claim_path.hpp"
#include "file_calls.hpp"

namespace partita::results {
namespace {

namespace fs = std::filesystem;

/// A path, or what is written beside it on the way, with what tells whether another is the same file.
struct Place {
  std::string role, path;
  bool is_written = false;
  std::string identity;
};

/// Of a file that exists its number on the disk, else its real name.
std::string identity_of(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0)
    return std::to_string(status.st_dev) + " " + std::to_string(status.st_ino);
  std::error_code unresolved;
  const auto target = behind_links(path);
  const auto folder = fs::weakly_canonical(fs::absolute(folder_of(target), unresolved), unresolved);
  return (unresolved ? target : folder / target.filename()).string();
}

void add_places(std::vector<Place>& places, const NamedPath& named) {
  const auto add = [&](const std::string& role, const fs::path& path) {
    places.push_back({role, named.path.string(), named.use != Use::reads, identity_of(path)});
  };
  add(named.role, named.path);
  if (named.use != Use::writes) return;
  const auto target = behind_links(named.path);
  add("the temporary file of " + named.role, temporary_of(target));
  add("the lock of " + named.role, lock_beside(target));
}

}  // namespace

fs::path behind_links(const fs::path& path) {
  constexpr int most_links = 40;  // as the kernel allows
  std::error_code error;
  auto target = path;
  for (int link = 0; link < most_links && fs::is_symlink(target, error); ++link) {
    const auto next = fs::read_symlink(target, error);
    if (error) break;
    target = next.is_absolute() ? next : folder_of(target) / next;
  }
  return target;
}

std::vector<base::Violation> check_roles(std::span<const NamedPath> paths) {
  std::vector<Place> places;
  for (const auto& named : paths)
    if (!named.path.empty()) add_places(places, named);
  std::vector<base::Violation> violations;
  std::map<std::string, const Place*> first, writer;  // of each file
  for (const auto& place : places) {
    const auto* other = place.is_written ? first[place.identity] : writer[place.identity];
    if (other) {
      base::Violation both{place.role, place.path,
                           "is one file with " + other->role + " (" + other->path +
                               "), and one of them is written: each needs a file of its own"};
      if (std::find(violations.begin(), violations.end(), both) == violations.end())
        violations.push_back(std::move(both));
    }
    if (!first[place.identity]) first[place.identity] = &place;
    if (place.is_written && !writer[place.identity]) writer[place.identity] = &place;
  }
  return violations;
}

}  // namespace partita::results
