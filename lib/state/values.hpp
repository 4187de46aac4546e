/// Elements of a view of parameters, in whichever of their two types.
#pragma once

#include <cstdint>

#include "partita/kernels/view.hpp"

namespace partita::state {

inline double value_at(kernels::ConstView view, std::int64_t i) {
  const auto at = static_cast<std::size_t>(i);
  return view.type() == kernels::DataType::float64 ? view.as<double>()[at]
                                                   : static_cast<double>(view.as<float>()[at]);
}

inline void set_value(kernels::View view, std::int64_t i, double value) {
  const auto at = static_cast<std::size_t>(i);
  if (view.type() == kernels::DataType::float64)
    view.as<double>()[at] = value;
  else
    view.as<float>()[at] = static_cast<float>(value);
}

}  // namespace partita::state
