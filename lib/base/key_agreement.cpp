/// OpenSSL's key agreement and key derivation behind handles that cannot leak.
#include "partita/base/key_agreement.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>

#include <string>
#include <utility>

#include "openssl_calls.hpp"
#include "partita/base/handle.hpp"

namespace partita::base {
namespace {

struct KeyTraits {
  using Handle = EVP_PKEY*;
  static Handle null() { return nullptr; }
  static void close(Handle handle) noexcept { EVP_PKEY_free(handle); }
};
struct KeyContextTraits {
  using Handle = EVP_PKEY_CTX*;
  static Handle null() { return nullptr; }
  static void close(Handle handle) noexcept { EVP_PKEY_CTX_free(handle); }
};
using KeyContext = UniqueHandle<KeyContextTraits>;

}  // namespace

WipedAtEnd::~WipedAtEnd() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

struct KeyPair::Handle {
  UniqueHandle<KeyTraits> key;
};

KeyPair::KeyPair() : handle_(std::make_unique<Handle>()) {
  const KeyContext context(EVP_PKEY_CTX_new_id(EVP_PKEY_X25519, nullptr));
  EVP_PKEY* key = nullptr;
  require(context && EVP_PKEY_keygen_init(context.get()) == 1 && EVP_PKEY_keygen(context.get(), &key) == 1,
          "EVP_PKEY_keygen(X25519)");
  handle_->key.reset(key);
}

KeyPair::KeyPair(const Key& secret) : handle_(std::make_unique<Handle>()) {
  handle_->key.reset(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, secret.data(), secret.size()));
  require(static_cast<bool>(handle_->key), "EVP_PKEY_new_raw_private_key(X25519)");
}

KeyPair::~KeyPair() = default;

Key KeyPair::public_key() const {
  Key key{};
  std::size_t size = key.size();
  require(EVP_PKEY_get_raw_public_key(handle_->key.get(), key.data(), &size) == 1 && size == key.size(),
          "EVP_PKEY_get_raw_public_key");
  return key;
}

Key KeyPair::shared_secret(const Key& public_key) const {
  const UniqueHandle<KeyTraits> peer(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, public_key.data(), public_key.size()));
  const KeyContext context(EVP_PKEY_CTX_new(handle_->key.get(), nullptr));
  Key secret{};
  std::size_t size = secret.size();
  require(peer && context && EVP_PKEY_derive_init(context.get()) == 1 &&
              EVP_PKEY_derive_set_peer(context.get(), peer.get()) == 1 &&
              EVP_PKEY_derive(context.get(), secret.data(), &size) == 1 && size == secret.size(),
          "EVP_PKEY_derive(X25519)");
  return secret;
}

void derive(Bytes secret, Bytes salt, Bytes purpose, std::span<std::uint8_t> key) {
  const KeyContext context(EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, nullptr));
  std::size_t size = key.size();
  const auto length = [](Bytes bytes) { return static_cast<int>(bytes.size()); };
  require(context && EVP_PKEY_derive_init(context.get()) == 1 &&
              EVP_PKEY_CTX_set_hkdf_md(context.get(), EVP_sha256()) == 1 &&
              EVP_PKEY_CTX_set1_hkdf_key(context.get(), secret.data(), length(secret)) == 1 &&
              EVP_PKEY_CTX_set1_hkdf_salt(context.get(), salt.data(), length(salt)) == 1 &&
              EVP_PKEY_CTX_add1_hkdf_info(context.get(), purpose.data(), length(purpose)) == 1 &&
              EVP_PKEY_derive(context.get(), key.data(), &size) == 1 && size == key.size(),
          "EVP_PKEY_derive(HKDF)");
}

Key key_of_pair(const Key& secret, std::string_view config_hash, std::string_view axis, const Key& of_lower,
                const Key& of_higher) {
  const auto bytes = [](std::string_view text) {
    return Bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  };
  std::string purpose = "partita secure sum over " + std::string(axis) + ":";
  for (const auto* key : {&of_lower, &of_higher})
    purpose.append(key->begin(), key->end());
  Key key{};
  derive(secret, bytes(config_hash), bytes(purpose), key);
  return key;
}

}  // namespace partita::base
