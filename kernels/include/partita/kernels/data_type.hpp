/// Element types of buffers, and how many bytes a number of elements takes.
#pragma once

#include <string_view>

#include "partita/kernels/count.hpp"

namespace partita::kernels {

enum class DataType { uint8, int32, int64, float32, float64 };

constexpr std::int64_t size_of(DataType type) {
  switch (type) {
    case DataType::uint8:
      return 1;
    case DataType::int32:
    case DataType::float32:
      return 4;
    case DataType::int64:
    case DataType::float64:
      return 8;
  }
  return 0;
}

constexpr Bytes bytes_of(DataType type, Elements n) { return Bytes(n.value() * size_of(type)); }

constexpr std::string_view to_string(DataType type) {
  switch (type) {
    case DataType::uint8:
      return "uint8";
    case DataType::int32:
      return "int32";
    case DataType::int64:
      return "int64";
    case DataType::float32:
      return "float32";
    case DataType::float64:
      return "float64";
  }
  return "unknown";
}

template <class T>
constexpr DataType data_type_of();
template <>
constexpr DataType data_type_of<std::uint8_t>() {
  return DataType::uint8;
}
template <>
constexpr DataType data_type_of<std::int32_t>() {
  return DataType::int32;
}
template <>
constexpr DataType data_type_of<std::int64_t>() {
  return DataType::int64;
}
template <>
constexpr DataType data_type_of<float>() {
  return DataType::float32;
}
template <>
constexpr DataType data_type_of<double>() {
  return DataType::float64;
}

}  // namespace partita::kernels
