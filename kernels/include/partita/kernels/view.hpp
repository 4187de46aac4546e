/// Non-owning, typed views of memory whose element type is known at run time.
///
/// A `View` says nothing of shape: kernels know theirs from their plan. Views of host memory give a span of
/// the element type; asking for another type than the stored one is a broken contract and throws.
#pragma once

#include <span>
#include <type_traits>

#include "partita/kernels/data_type.hpp"

namespace partita::kernels {

/// Broken contracts: std::logic_error, std::out_of_range.
[[noreturn]] void refuse_element_type();
[[noreturn]] void refuse_slice();

template <bool IsConst>
class BasicView {
 public:
  using Pointer = std::conditional_t<IsConst, const void*, void*>;

  constexpr BasicView() = default;
  constexpr BasicView(Pointer data, DataType type, Elements size) : data_(data), type_(type), size_(size) {}
  template <class T, std::size_t Extent>
  requires(IsConst || !std::is_const_v<T>) constexpr BasicView(std::span<T, Extent> values)
      : BasicView(values.data(), data_type_of<std::remove_const_t<T>>(),
                  Elements(static_cast<std::int64_t>(values.size()))) {}
  template <bool OtherIsConst>
  requires(IsConst && !OtherIsConst) constexpr BasicView(const BasicView<OtherIsConst>& other)
      : BasicView(other.data(), other.type(), other.size()) {}

  [[nodiscard]] constexpr Pointer data() const { return data_; }
  [[nodiscard]] constexpr DataType type() const { return type_; }
  [[nodiscard]] constexpr Elements size() const { return size_; }
  [[nodiscard]] constexpr Bytes bytes() const { return bytes_of(type_, size_); }
  [[nodiscard]] constexpr bool empty() const { return size_.value() == 0; }

  /// The elements as host memory of type T.
  template <class T>
  [[nodiscard]] std::span<std::conditional_t<IsConst, const T, T>> as() const {
    if (data_type_of<T>() != type_) refuse_element_type();
    return {static_cast<std::conditional_t<IsConst, const T*, T*>>(data_),
            static_cast<std::size_t>(size_.value())};
  }

  /// Elements [first, first + count) of this view.
  [[nodiscard]] BasicView slice(Elements first, Elements count) const {
    if (first.value() < 0 || count.value() < 0 || first + count > size_) refuse_slice();
    using Byte = std::conditional_t<IsConst, const char, char>;
    return {static_cast<Byte*>(data_) + bytes_of(type_, first).value(), type_, count};
  }

 private:
  Pointer data_ = nullptr;
  DataType type_ = DataType::float32;
  Elements size_{};
};

using View = BasicView<false>;
using ConstView = BasicView<true>;

}  // namespace partita::kernels
