/// Keys and key streams against what their standards publish, and what a key of two ranks depends on.
#include "partita/base/key_agreement.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "partita/base/error.hpp"
#include "partita/base/key_stream.hpp"

namespace partita::base {
namespace {

std::vector<std::uint8_t> bytes_of(const std::string& hex) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  return bytes;
}
Key key_of(const std::string& hex) {
  Key key{};
  const auto bytes = bytes_of(hex);
  std::copy(bytes.begin(), bytes.end(), key.begin());
  return key;
}

/// RFC 7748, section 6.1.
TEST(KeyAgreement, AgreesAsPublished) {
  const KeyPair alice(key_of("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")),
      bob(key_of("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"));
  EXPECT_EQ(alice.public_key(), key_of("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
  EXPECT_EQ(bob.public_key(), key_of("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
  const auto secret = key_of("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
  EXPECT_EQ(alice.shared_secret(bob.public_key()), secret);
  EXPECT_EQ(bob.shared_secret(alice.public_key()), secret);
}

/// A point of small order leaves nothing secret.
TEST(KeyAgreement, RefusesAPublicKeyThatLeavesNothingSecret) {
  EXPECT_THROW(static_cast<void>(KeyPair().shared_secret(Key{})), EnvironmentError);
}

TEST(KeyAgreement, DrawsNewKeys) { EXPECT_NE(KeyPair().public_key(), KeyPair().public_key()); }

/// RFC 5869, appendix A.1.
TEST(KeyAgreement, DerivesAsPublished) {
  std::vector<std::uint8_t> key(42);
  derive(bytes_of("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"), bytes_of("000102030405060708090a0b0c"),
         bytes_of("f0f1f2f3f4f5f6f7f8f9"), key);
  EXPECT_EQ(key, bytes_of("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                          "34007208d5b887185865"));
}

TEST(KeyAgreement, GivesAPairAKeyForEachRunAndAxis) {
  const KeyPair a, b;
  const auto secret = a.shared_secret(b.public_key());
  const auto key = [&](const char* run, const char* axis) {
    return key_of_pair(secret, run, axis, a.public_key(), b.public_key());
  };
  EXPECT_EQ(key("run", "data"), key("run", "data"));
  EXPECT_NE(key("run", "data"), key("other", "data"));
  EXPECT_NE(key("run", "data"), key("run", "world"));
  EXPECT_NE(key("run", "data"), key_of_pair(secret, "run", "data", b.public_key(), a.public_key()));
}

/// RFC 8439, appendix A.1: test vectors 1, 4 (its third block) and 5.
TEST(KeyStream, IsAsPublished) {
  const auto blocks = [](const Key& key, const Nonce& nonce, std::size_t count) {
    std::vector<std::uint8_t> stream(64 * count);
    KeyStream cipher(key);
    cipher.begin({.step = 9, .message = 9});  // what another nonce began is forgotten
    cipher.fill(std::span(stream).first(5));
    cipher.begin(nonce);
    cipher.fill(std::span(stream).first(21));  // in two pieces
    cipher.fill(std::span(stream).subspan(21));
    return std::vector<std::uint8_t>(stream.end() - 64, stream.end());
  };
  EXPECT_EQ(blocks({}, {}, 1), bytes_of("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
                                        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"));
  EXPECT_EQ(blocks({0, 0xff}, {}, 3),
            bytes_of("72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
                     "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096"));
  EXPECT_EQ(blocks({}, {.message = 2U << 24}, 1),
            bytes_of("c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7"
                     "8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d"));
}

TEST(KeyStream, DiffersByStepAndMessage) {
  KeyStream cipher(KeyPair().public_key());
  std::vector<std::vector<std::uint8_t>> streams;
  for (const Nonce nonce : {Nonce{}, Nonce{.step = 1}, Nonce{.step = 1ULL << 32}, Nonce{.message = 1}}) {
    cipher.begin(nonce);
    cipher.fill(streams.emplace_back(64));
    for (std::size_t i = 0; i + 1 < streams.size(); ++i)
      EXPECT_NE(streams[i], streams.back());
  }
}

}  // namespace
}  // namespace partita::base
