/// A stream cipher of zeros gives its key stream.
#include "partita/base/key_stream.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "openssl_calls.hpp"
#include "partita/base/handle.hpp"

namespace partita::base {
namespace {

struct CipherTraits {
  using Handle = EVP_CIPHER_CTX*;
  static Handle null() { return nullptr; }
  static void close(Handle handle) noexcept { EVP_CIPHER_CTX_free(handle); }
};

constexpr std::size_t block_bytes = 8192;

constexpr std::array<std::uint8_t, block_bytes> zeros{};

template <class T>
void little_endian(T value, std::uint8_t* to) {
  for (std::size_t i = 0; i < sizeof value; ++i)
    to[i] = static_cast<std::uint8_t>(value >> (8 * i));
}

}  // namespace

struct KeyStream::Cipher {
  UniqueHandle<CipherTraits> context{EVP_CIPHER_CTX_new()};
};

KeyStream::KeyStream(const Key& key) : cipher_(std::make_unique<Cipher>()) {
  require(cipher_->context &&
              EVP_EncryptInit_ex(cipher_->context.get(), EVP_chacha20(), nullptr, key.data(), nullptr) == 1,
          "EVP_EncryptInit_ex(ChaCha20)");
}
KeyStream::~KeyStream() = default;
KeyStream::KeyStream(KeyStream&&) noexcept = default;
KeyStream& KeyStream::operator=(KeyStream&&) noexcept = default;

void KeyStream::begin(const Nonce& nonce) {
  std::array<std::uint8_t, 16> counter_and_nonce{};  // 32 bits count blocks
  little_endian(nonce.step, counter_and_nonce.data() + 4);
  little_endian(nonce.message, counter_and_nonce.data() + 12);
  require(
      EVP_EncryptInit_ex(cipher_->context.get(), nullptr, nullptr, nullptr, counter_and_nonce.data()) == 1,
      "EVP_EncryptInit_ex(nonce)");
}

void KeyStream::fill(std::span<std::uint8_t> bytes) {
  for (std::size_t begin = 0; begin < bytes.size(); begin += block_bytes) {
    const auto count = static_cast<int>(std::min(block_bytes, bytes.size() - begin));
    int written = 0;
    require(
        EVP_EncryptUpdate(cipher_->context.get(), bytes.data() + begin, &written, zeros.data(), count) == 1 &&
            written == count,
        "EVP_EncryptUpdate(ChaCha20)");
  }
}

}  // namespace partita::base
