/// The library behind the CPU back-end.
#pragma once

#include <string>

namespace partita::kernels::cpu {

/// Of oneDNN in use: "3.7.2".
std::string onednn_version();

}  // namespace partita::kernels::cpu
