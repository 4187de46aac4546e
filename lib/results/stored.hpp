/// How members of records look in a file: whole numbers as int64, real ones as float64, names as text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "hdf5_bounds.hpp"
#include "partita/kernels/data_type.hpp"
#include "partita/kernels/shape.hpp"
#include "partita/results/record.hpp"

namespace partita::results {

template <class E>
inline constexpr E last_of = E{};
template <>
inline constexpr auto last_of<Status> = Status::invalid;
template <>
inline constexpr auto last_of<topology::Axis> = topology::Axis::world;
template <>
inline constexpr auto last_of<collective::Operation> = collective::Operation::barrier;
template <>
inline constexpr auto last_of<kernels::DataType> = kernels::DataType::float64;
template <>
inline constexpr auto last_of<collective::Activity> = collective::Activity::record;
template <>
inline constexpr auto last_of<collective::Purpose> = collective::Purpose::control;

template <class Tag>
std::int64_t to_stored(kernels::Count<Tag> count) {
  return count.value();
}
/// A count that nobody knows is −1 in a file.
template <class Tag>
std::int64_t to_stored(const std::optional<kernels::Count<Tag>>& count) {
  return count ? count->value() : -1;
}
inline std::int64_t to_stored(std::int64_t value) { return value; }
inline std::int64_t to_stored(int value) { return value; }
inline std::int64_t to_stored(bool value) { return value ? 1 : 0; }
inline std::uint64_t to_stored(std::uint64_t value) { return value; }
inline double to_stored(double value) { return value; }
inline const std::string& to_stored(const std::string& value) { return value; }
template <class E>
requires std::is_enum_v<E> std::string to_stored(E value) { return std::string(to_string(value)); }
inline std::string to_stored(const topology::GridExtent& grid) { return to_string(grid); }
inline std::string to_stored(const kernels::Shape& shape) { return to_string(shape); }

template <class T>
using stored_type = std::remove_cvref_t<decltype(to_stored(std::declval<const std::remove_cvref_t<T>&>()))>;

template <class Tag>
void from_stored(std::int64_t stored, kernels::Count<Tag>& value) {
  if (stored < 0) throw hdf5::Failure("a count is negative (" + std::to_string(stored) + ")");
  value = kernels::Count<Tag>(stored);
}
template <class Tag>
void from_stored(std::int64_t stored, std::optional<kernels::Count<Tag>>& value) {
  if (stored == -1) return value.reset();
  from_stored(stored, value.emplace());
}
inline void from_stored(std::int64_t stored, std::int64_t& value) { value = stored; }
inline void from_stored(std::int64_t stored, int& value) {
  if (!std::in_range<int>(stored))
    throw hdf5::Failure("a number is out of range (" + std::to_string(stored) + ")");
  value = static_cast<int>(stored);
}
inline void from_stored(std::int64_t stored, bool& value) { value = stored != 0; }
inline void from_stored(std::uint64_t stored, std::uint64_t& value) { value = stored; }
inline void from_stored(double stored, double& value) { value = stored; }
inline void from_stored(const std::string& stored, std::string& value) { value = stored; }
template <class E>
requires std::is_enum_v<E>
void from_stored(const std::string& stored, E& value) {
  for (int i = 0; i <= static_cast<int>(last_of<E>); ++i)
    if (to_string(static_cast<E>(i)) == stored) return void(value = static_cast<E>(i));
  throw hdf5::Failure("unknown name " + hdf5::quoted(stored));
}
void from_stored(const std::string& stored, topology::GridExtent& grid);
void from_stored(const std::string& stored, kernels::Shape& shape);

}  // namespace partita::results
