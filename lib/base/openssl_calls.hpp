/// What OpenSSL refuses is the environment's failure.
#pragma once

#include <openssl/err.h>

#include <source_location>
#include <string_view>

#include "partita/base/error.hpp"

namespace partita::base {

inline void require(bool succeeded, std::string_view call,
                    std::source_location where = std::source_location::current()) {
  if (succeeded) return;
  const auto code = ERR_get_error();
  char text[256];
  ERR_error_string_n(code, text, sizeof text);
  throw EnvironmentError(call, static_cast<long>(code), text, where);
}

}  // namespace partita::base
