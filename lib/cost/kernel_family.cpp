/// Fits what a kernel takes for each of its parts, and interpolates what the rows differ from that (kriging:
/// Krige 1951; Matheron 1963, doi:10.2113/gsecongeo.58.8.1246).
#include "kernel_family.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "partita/base/error.hpp"

namespace partita::cost {
namespace {

using Matrix = std::vector<std::vector<double>>;
using Place = std::span<const double>;  // coordinates

/// Rows that speak for a run; how far they reach, in e-folds of an extent; how much of what rows differ is
/// their own, and says nothing of others, however well it was measured.
constexpr std::size_t nearest_rows = 32;
constexpr double correlation_length = 6, own_share = 0.03;
/// Of the logarithm by which rows differ from what is fitted, at least.
constexpr double least_variance = 0.01;

/// How much the model's opinion counts against one row's: decides what rows leave open.
constexpr double weight_of_model = 1e-3;

/// Of each of many places from one. `places`: the first coordinate of all, then the second, and so on, so
/// that a processor computes several distances at a time.
void squared_distances(Place places, Place from, std::span<double> squared) {
  std::ranges::fill(squared, 0.0);
  for (std::size_t c = 0; c < from.size(); ++c)
    for (std::size_t p = 0; p < squared.size(); ++p) {
      const double apart = places[c * squared.size() + p] - from[c];
      squared[p] += apart * apart;
    }
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

double likeness(double squared_distance) {
  return std::exp(-std::sqrt(squared_distance) / correlation_length);
}

/// Replaces b by x of Ax = b for a symmetric, positive definite A [n, n], of which the upper half is given
/// (Cholesky: A = UᵀU takes its place, row by row, each of which a processor subtracts from those below).
void solve(std::span<double> a, std::span<double> b) {
  const auto n = b.size();
  for (std::size_t i = 0; i < n; ++i) {
    double* const row = &a[i * n];
    const double pivot = std::sqrt(row[i]);
    for (std::size_t k = i; k < n; ++k)
      row[k] /= pivot;
    b[i] /= pivot;
    for (std::size_t j = i + 1; j < n; ++j) {
      double* const below = &a[j * n];
      for (std::size_t k = j; k < n; ++k)
        below[k] -= row[j] * row[k];
      b[j] -= row[j] * b[i];
    }
  }
  for (std::size_t i = n; i-- > 0;) {
    for (std::size_t k = i + 1; k < n; ++k)
      b[i] -= a[i * n + k] * b[k];
    b[i] /= a[i * n + i];
  }
}

/// What each part takes by the machine's rates.
std::vector<double> modelled(const std::vector<Part>& parts, const machine::Machine& machine) {
  const double bytes_per_second = std::isinf(machine.cache_bytes_per_second) ? machine.main_bytes_per_second
                                                                             : machine.cache_bytes_per_second;
  std::vector<double> seconds;
  for (const auto& part : parts) {
    const double each = part.of == Part::Of::calls   ? machine.call_seconds
                        : part.of == Part::Of::flops ? 1 / machine.flops_per_second
                                                     : 1 / bytes_per_second;
    seconds.push_back(part.is_modelled ? each : 0);
  }
  return seconds;
}

std::vector<double> amounts(const std::vector<Part>& parts) {
  std::vector<double> all;
  for (const auto& part : parts)
    all.push_back(part.amount);
  return all;
}

/// x ≥ 0 that minimises Σ (row·x − 1)² + w Σ (m_j (x_j − x⁰_j))², m_j the mean of column j: relative errors,
/// and how far each part strays from the model. One unknown at a time (the function is convex).
std::vector<double> fit(const Matrix& rows, const std::vector<double>& model) {
  const auto n = model.size();
  std::vector<double> x = model;
  Matrix a(n, std::vector<double>(n));
  std::vector<double> b(n);
  for (std::size_t j = 0; j < n; ++j) {
    double mean = 0;
    for (const auto& row : rows) {
      for (std::size_t k = 0; k < n; ++k)
        a[j][k] += row[j] * row[k];
      b[j] += row[j];
      mean += row[j] / static_cast<double>(rows.size());
    }
    a[j][j] += weight_of_model * mean * mean;
    b[j] += weight_of_model * mean * mean * model[j];
  }
  constexpr int most_sweeps = 20000;
  constexpr double precise = 1e-12;
  double change = 1;
  for (int sweep = 0; sweep < most_sweeps && change > precise; ++sweep) {
    change = 0;
    for (std::size_t j = 0; j < n; ++j) {
      if (a[j][j] == 0) continue;
      const double next = std::max(0.0, x[j] + (b[j] - dot(a[j], x)) / a[j][j]);
      change = std::max(change, std::abs(next - x[j]) * std::sqrt(a[j][j]));
      x[j] = next;
    }
  }
  return x;
}

/// The model, as much faster or slower as the rows are than it on average.
std::vector<double> scaled(std::vector<double> model, const Matrix& rows) {
  double sum = 0;
  for (const auto& row : rows)  // amounts ÷ measured seconds
    if (const double share = dot(row, model); share > 0) sum += std::log(share);
  for (auto& seconds : model)
    seconds *= std::exp(-sum / static_cast<double>(rows.size()));
  return model;
}

/// Rows count the less the less sure they are.
Matrix weighted(Matrix relative, const std::vector<KernelFamily::Row>& rows) {
  for (std::size_t i = 0; i < rows.size(); ++i)
    for (auto& amount : relative[i])
      amount *= std::sqrt(least_variance / (least_variance + rows[i].variance));
  return relative;
}

/// The square of the median deviation, as that of a normal distribution.
double squared_deviation(std::vector<double> values, double middle) {
  constexpr double of_normal = 1.4826;
  for (auto& value : values)
    value = std::abs(value - middle);
  const auto median = values.begin() + std::ssize(values) / 2;
  std::ranges::nth_element(values, median);
  return of_normal * *median * of_normal * *median;
}

}  // namespace

KernelFamily::KernelFamily(std::string kernel, kernels::Bytes of_element, std::vector<Row> rows,
                           const machine::Machine& machine)
    : kernel_(std::move(kernel)), of_element_(of_element) {
  base::expect(!rows.empty(), "a kernel has rows");
  Matrix relative;
  for (const auto& row : rows) {
    relative.push_back(amounts(parts_of(kernel_, row.run, of_element_)));
    for (auto& amount : relative.back())
      amount /= row.seconds;
  }
  const auto model = modelled(parts_of(kernel_, rows.front().run, of_element_), machine);
  seconds_of_parts_ = fit(weighted(relative, rows), scaled(model, relative));
  std::vector<double> excesses;
  const auto count = rows.size();
  for (std::size_t r = 0; r < count; ++r) {
    auto& row = rows[r];
    const auto extents = extents_of(row.run);
    if (points_.empty()) least_ = most_ = extents;
    for (std::size_t i = 0; i < extents.size(); ++i) {
      least_[i] = std::min(least_[i], extents[i]);
      most_[i] = std::max(most_[i], extents[i]);
    }
    excesses.push_back(std::log(row.seconds / fitted(row.run)));
    const auto at = coordinates_of(kernel_, row.run);
    coordinates_.resize(at.size() * count);
    for (std::size_t c = 0; c < at.size(); ++c)
      coordinates_[c * count + r] = at[c];
    points_.push_back({.row = std::move(row), .log_excess = excesses.back()});
  }
  const auto middle = excesses.begin() + std::ssize(excesses) / 2;
  std::ranges::nth_element(excesses, middle);
  usual_excess_ = *middle;
  variance_ = std::max(least_variance, squared_deviation(std::move(excesses), usual_excess_));
}

double KernelFamily::fitted(const Run& run) const {
  return dot(amounts(parts_of(kernel_, run, of_element_)), seconds_of_parts_);
}

bool KernelFamily::encloses(const Run& run) const {
  const auto extents = extents_of(run);
  for (std::size_t i = 0; i < extents.size(); ++i)
    if (extents[i] < least_[i] || extents[i] > most_[i]) return false;
  return true;
}

std::vector<KernelFamily::Near> KernelFamily::distances_from(Place at) const {
  std::vector<double> squared(points_.size());
  squared_distances(coordinates_, at, squared);
  std::vector<Near> near;
  near.reserve(squared.size());
  for (std::size_t p = 0; p < squared.size(); ++p)
    near.push_back({squared[p], p});
  return near;
}

double KernelFamily::excess_at(std::vector<Near> near) const {
  const auto count = std::min(nearest_rows, near.size());
  std::ranges::partial_sort(near, near.begin() + static_cast<std::ptrdiff_t>(count), {}, &Near::squared);
  const auto dimensions = coordinates_.size() / points_.size();
  std::vector<double> places(dimensions * count), place(dimensions);
  for (std::size_t c = 0; c < dimensions; ++c)
    for (std::size_t i = 0; i < count; ++i)
      places[c * count + i] = coordinates_[c * points_.size() + near[i].point];
  std::array<double, nearest_rows * nearest_rows> likenesses;
  std::array<double, nearest_rows> squared, weights;
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t c = 0; c < dimensions; ++c)
      place[c] = places[c * count + i];
    squared_distances(places, place, std::span(squared).first(count));
    for (std::size_t j = i + 1; j < count; ++j)
      likenesses[i * count + j] = likeness(squared[j]);
    likenesses[i * count + i] = 1 + own_share + points_[near[i].point].row.variance / variance_;
    weights[i] = likeness(near[i].squared);
  }
  solve(std::span(likenesses).first(count * count), std::span(weights).first(count));
  double excess = usual_excess_;
  for (std::size_t i = 0; i < count; ++i)
    excess += weights[i] * (points_[near[i].point].log_excess - usual_excess_);
  return excess;
}

KernelFamily::Time KernelFamily::at(const Run& run) const {
  auto near = distances_from(coordinates_of(kernel_, run));
  for (const auto& [squared, point] : near)
    if (squared == 0 && points_[point].row.run == run) return {points_[point].row.seconds, Basis::measured};
  return {fitted(run) * std::exp(excess_at(std::move(near))),
          encloses(run) ? Basis::interpolated : Basis::extrapolated};
}

const KernelFamily::Row& KernelFamily::nearest(const Run& run) const {
  const auto near = distances_from(coordinates_of(kernel_, run));
  return points_[std::ranges::min_element(near, {}, &Near::squared)->point].row;
}

}  // namespace partita::cost
