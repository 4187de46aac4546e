/// The key stream of ChaCha20, which is OpenSSL's: words that are as good as random to whoever lacks the key.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "partita/base/key_agreement.hpp"

namespace partita::base {

/// Which words of a key's stream are meant: no two messages under one key may have the same. As 96 bits: a
/// message's step and number, the lowest byte first.
struct Nonce {
  std::uint64_t step = 0;
  std::uint32_t message = 0;
};

/// The stream of ChaCha20 (RFC 8439, section 2.4, from block 0): up to 256 GiB a nonce.
class KeyStream {
 public:
  explicit KeyStream(const Key&);
  ~KeyStream();
  KeyStream(KeyStream&&) noexcept;
  KeyStream& operator=(KeyStream&&) noexcept;

  void begin(const Nonce&);
  /// The next bytes.
  void fill(std::span<std::uint8_t>);

 private:
  struct Cipher;
  std::unique_ptr<Cipher> cipher_;
};

}  // namespace partita::base
