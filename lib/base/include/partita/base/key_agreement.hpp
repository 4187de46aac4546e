/// How two ranks come to a key that nobody else has: a Diffie-Hellman exchange on Curve25519 (X25519: RFC
/// 7748), and what HKDF with SHA-256 (RFC 5869) makes of it. All of it is OpenSSL's.
///
/// Public keys are not signed: who can change what ranks send each other can stand between them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace partita::base {

/// 256 bits: a secret or public key of X25519, or a key of a stream.
using Key = std::array<std::uint8_t, 32>;

/// Overwrites bytes at the end of its life: what was secret does not stay in memory.
class WipedAtEnd {
 public:
  explicit WipedAtEnd(std::span<std::uint8_t> bytes) : bytes_(bytes) {}
  ~WipedAtEnd();
  WipedAtEnd(const WipedAtEnd&) = delete;
  WipedAtEnd& operator=(const WipedAtEnd&) = delete;

 private:
  std::span<std::uint8_t> bytes_;
};

/// A secret and the public key that belongs to it.
class KeyPair {
 public:
  /// Drawn from the system's randomness.
  KeyPair();
  explicit KeyPair(const Key& secret);
  ~KeyPair();
  KeyPair(const KeyPair&) = delete;
  KeyPair& operator=(const KeyPair&) = delete;

  [[nodiscard]] Key public_key() const;
  /// What this pair's owner and that of another public key compute alike. A public key that leaves nothing
  /// secret is an `EnvironmentError`.
  [[nodiscard]] Key shared_secret(const Key& public_key) const;

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

using Bytes = std::span<const std::uint8_t>;

/// HKDF: fills `key` from a secret, a salt and what the key is for.
void derive(Bytes secret, Bytes salt, Bytes purpose, std::span<std::uint8_t> key);

/// The key of two ranks for the sums along an axis of a run: from their secret, salted with the hash of
/// the configuration, for the axis and both public keys, the lower rank's first.
Key key_of_pair(const Key& secret, std::string_view config_hash, std::string_view axis, const Key& of_lower,
                const Key& of_higher);

}  // namespace partita::base
