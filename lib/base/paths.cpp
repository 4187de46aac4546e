/// Each question by the form of its call that takes an error code.
#include "partita/base/paths.hpp"

#include <system_error>

namespace partita::base {

namespace fs = std::filesystem;

bool exists(const fs::path& path) {
  std::error_code unseen;
  return fs::exists(path, unseen);
}

std::string path_problem(const fs::path& path) {
  std::error_code error;
  const auto status = fs::status(path, error);
  return status.type() == fs::file_type::not_found || !error ? "" : error.message();
}

fs::path absolute(const fs::path& path) {
  std::error_code error;
  const auto whole = fs::absolute(path, error);
  return (error ? path : whole).lexically_normal();
}

}  // namespace partita::base
