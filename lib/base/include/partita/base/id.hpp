/// Numbers of things in a list, of a type of their own for each kind of thing; and the lists, which no other
/// number indexes.
#pragma once

#include <compare>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <ostream>
#include <utility>
#include <vector>

namespace partita::base {

/// The place of an `Of` in its list, counted from 0. Construction is explicit; where there may be none, use a
/// std::optional.
template <class Of>
class Id {
 public:
  constexpr Id() = default;
  constexpr explicit Id(int value) : value_(value) {}
  constexpr explicit Id(std::size_t index) : value_(static_cast<int>(index)) {}

  [[nodiscard]] constexpr int value() const { return value_; }
  [[nodiscard]] constexpr std::size_t index() const { return static_cast<std::size_t>(value_); }
  /// The one `steps` places later, or earlier.
  friend constexpr Id operator+(Id id, int steps) { return Id(id.value_ + steps); }
  friend constexpr Id operator-(Id id, int steps) { return Id(id.value_ - steps); }
  friend constexpr auto operator<=>(Id, Id) = default;
  friend std::ostream& operator<<(std::ostream& out, Id id) { return out << id.value_; }

 private:
  int value_ = 0;
};

/// The numbers from `first` to before `end`, one after the other.
template <class Key>
class IdRange {
 public:
  constexpr IdRange(Key first, Key end) : IdRange(first, end, 1) {}

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Key;
    using difference_type = std::ptrdiff_t;
    using pointer = const Key*;
    using reference = Key;
    constexpr Iterator() = default;
    constexpr Iterator(Key at, int step) : at_(at), step_(step) {}
    constexpr Key operator*() const { return at_; }
    constexpr Iterator& operator++() { return at_ = at_ + step_, *this; }
    constexpr Iterator operator++(int) { return std::exchange(*this, Iterator(at_ + step_, step_)); }
    friend constexpr bool operator==(const Iterator& a, const Iterator& b) { return a.at_ == b.at_; }
    friend constexpr bool operator!=(const Iterator& a, const Iterator& b) { return !(a == b); }

   private:
    Key at_;
    int step_ = 1;
  };
  [[nodiscard]] constexpr Iterator begin() const { return {first_, step_}; }
  [[nodiscard]] constexpr Iterator end() const { return {end_, step_}; }
  [[nodiscard]] constexpr bool empty() const { return first_ == end_; }
  /// The same numbers, the last one first.
  [[nodiscard]] constexpr IdRange reversed() const { return {end_ - step_, first_ - step_, -step_}; }

 private:
  constexpr IdRange(Key first, Key end, int step) : first_(first), end_(end), step_(step) {}
  Key first_, end_;
  int step_;
};

/// A vector with an element for each `Key`, which alone indexes it.
template <class Key, class T>
class IdVector {
 public:
  IdVector() = default;
  IdVector(std::initializer_list<T> all) : all_(all) {}
  explicit IdVector(std::size_t size, const T& value = T()) : all_(size, value) {}

  [[nodiscard]] auto& operator[](Key key) { return all_[key.index()]; }
  [[nodiscard]] const auto& operator[](Key key) const { return all_[key.index()]; }
  [[nodiscard]] std::size_t size() const { return all_.size(); }
  [[nodiscard]] bool empty() const { return all_.empty(); }
  /// Whether there is an element of this number.
  [[nodiscard]] bool has(Key key) const { return key >= Key() && key < end_id(); }
  /// The number of the element that is added next.
  [[nodiscard]] Key end_id() const { return Key(all_.size()); }
  /// All numbers, in ascending order.
  [[nodiscard]] IdRange<Key> ids() const { return {Key(), end_id()}; }

  /// Adds an element and returns its number.
  Key push_back(T element) {
    all_.push_back(std::move(element));
    return end_id() - 1;
  }
  void resize(std::size_t size) { all_.resize(size); }

  [[nodiscard]] auto begin() { return all_.begin(); }
  [[nodiscard]] auto end() { return all_.end(); }
  [[nodiscard]] auto begin() const { return all_.begin(); }
  [[nodiscard]] auto end() const { return all_.end(); }
  [[nodiscard]] const T& front() const { return all_.front(); }
  [[nodiscard]] const T& back() const { return all_.back(); }

 private:
  std::vector<T> all_;
};

}  // namespace partita::base
