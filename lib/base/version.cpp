/// The versions that the build recorded beside those that run now; where they differ, both are told.
#include "partita/base/version.hpp"

#include <openssl/crypto.h>

#include <sstream>

#include "dependencies.hpp"
#include "partita/base/error.hpp"

namespace partita::base {
namespace {

std::string openssl_version() {
  const std::string text = OpenSSL_version(OPENSSL_VERSION);  // "OpenSSL 3.0.17 1 Jul 2025"
  const auto number = text.find(' ') + 1;
  return text.substr(number, text.find(' ', number) - number);
}

}  // namespace

Versions dependency_versions(Versions running) {
  running.emplace("openssl", openssl_version());
  Versions versions;
  for (const auto& [name, built] : built_with)
    versions.emplace(name, built);
  for (auto& [name, text] : running) {
    const auto found = versions.find(name);
    expect(found != versions.end(), "what is running is a dependency", name);
    if (found->second != text) found->second = text + " (built with " + found->second + ")";
  }
  return versions;
}

std::string version_text(std::string_view program, const Versions& running) {
  const auto build = version();
  std::ostringstream text;
  text << program << " " << build.software_version << " (" << build.git_commit
       << (build.git_dirty ? ", modified" : "") << ")\n";
  for (const auto& [name, version] : dependency_versions(running))
    text << "  " << name << ": " << version << "\n";
  return text.str();
}

}  // namespace partita::base
