/// OpenSSL's digest behind a handle that cannot leak, and files read a MiB at a time.
#include "partita/base/digest.hpp"

#include <openssl/evp.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/base/handle.hpp"

namespace partita::base {
namespace {

struct DigestTraits {
  using Handle = EVP_MD_CTX*;
  static Handle null() { return nullptr; }
  static void close(Handle handle) noexcept { EVP_MD_CTX_free(handle); }
};

}  // namespace

struct Sha256::Context {
  UniqueHandle<DigestTraits> handle{EVP_MD_CTX_new()};
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  expect(EVP_DigestInit_ex(context_->handle.get(), EVP_sha256(), nullptr) == 1, "OpenSSL offers SHA-256");
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

Sha256& Sha256::update(std::span<const std::byte> bytes) {
  expect(EVP_DigestUpdate(context_->handle.get(), bytes.data(), bytes.size()) == 1, "a digest accepts bytes");
  return *this;
}

Sha256& Sha256::update(std::string_view text) { return update(std::as_bytes(std::span(text))); }

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  expect(EVP_DigestFinal_ex(context_->handle.get(), digest, &length) == 1, "a digest can be ended once");
  static constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (unsigned int i = 0; i < length; ++i)
    text += {digits[digest[i] >> 4], digits[digest[i] & 15]};
  return text;
}

std::string sha256_of_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw EnvironmentError("open " + path.string(), errno, std::strerror(errno));
  Sha256 digest;
  std::vector<char> buffer(1 << 20);
  while (file) {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    digest.update(std::string_view(buffer.data(), static_cast<std::size_t>(file.gcount())));
  }
  if (file.bad()) throw EnvironmentError("read " + path.string(), errno, std::strerror(errno));
  return digest.hex();
}

}  // namespace partita::base
