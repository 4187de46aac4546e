/// SHA-256 of data sets, configurations and downloads, through OpenSSL.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace partita::base {

/// Accumulates bytes; `hex` gives the 64 lower-case digits and ends the digest.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  Sha256& update(std::span<const std::byte> bytes);
  Sha256& update(std::string_view text);
  [[nodiscard]] std::string hex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// Digest of a whole file; throws `EnvironmentError` when it cannot be read.
std::string sha256_of_file(const std::filesystem::path&);

}  // namespace partita::base
