/// Weighted least squares with bounds, and dynamic programming over the cuts (Bellman and Roth 1969).
#include "partita/calibrate/segments.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace partita::calibrate {
namespace {

constexpr double infinite = std::numeric_limits<double>::infinity();
/// No measurement is better than so, relatively: fewer pieces explain what lies below.
constexpr double noise = 1e-3;

double error_of(const Line& line, std::span<const Point> points) {
  double sum = 0;
  for (const auto& p : points) {
    const double relative = line.at(p.bytes) / p.seconds - 1;
    sum += relative * relative;
  }
  return sum;
}

/// The criterion of `pieces` pieces over n points.
double criterion(double error, double n, int pieces) {
  return n * std::log(error / n + noise * noise) + 3 * pieces * std::log(n);
}

}  // namespace

Line fit_line(std::span<const Point> points) {
  // With x = 1/t and y = b/t: base·x + slope·y = 1, as nearly as can be.
  double xx = 0, xy = 0, yy = 0, x = 0, y = 0;
  for (const auto& p : points) {
    const double px = 1 / p.seconds, py = p.bytes / p.seconds;
    xx += px * px, xy += px * py, yy += py * py, x += px, y += py;
  }
  const double determinant = xx * yy - xy * xy;
  const Line constant{.base = xx > 0 ? x / xx : 0}, proportional{.slope = yy > 0 ? y / yy : 0};
  const Line both{.base = (x * yy - y * xy) / determinant, .slope = (y * xx - x * xy) / determinant};
  // The normal equations of points that differ in bytes by little are no equations.
  if (determinant > 1e-9 * xx * yy && both.base >= 0 && both.slope >= 0) return both;
  return error_of(constant, points) <= error_of(proportional, points) ? constant : proportional;
}

std::vector<Segment> find_segments(std::span<const Point> points, int most, std::size_t least_points) {
  const std::size_t n = points.size();
  if (n == 0) return {{}};
  const auto pieces = static_cast<std::size_t>(most);
  const auto range = [&](std::size_t from, std::size_t to) { return points.subspan(from, to - from); };
  // error[k][e]: the least of the first e points in k + 1 pieces; from[k][e]: where the last of these begins.
  std::vector error(pieces, std::vector<double>(n + 1, infinite));
  std::vector from(pieces, std::vector<std::size_t>(n + 1, 0));
  for (std::size_t end = 1; end <= n; ++end) {
    error[0][end] = error_of(fit_line(range(0, end)), range(0, end));
    for (std::size_t begin = least_points; begin + least_points <= end; ++begin) {
      const double last = error_of(fit_line(range(begin, end)), range(begin, end));
      for (std::size_t k = 1; k < pieces; ++k)
        if (error[k - 1][begin] + last < error[k][end]) {
          error[k][end] = error[k - 1][begin] + last;
          from[k][end] = begin;
        }
    }
  }
  std::size_t best = 0;
  for (std::size_t k = 1; k < pieces; ++k)
    if (criterion(error[k][n], static_cast<double>(n), static_cast<int>(k + 1)) <
        criterion(error[best][n], static_cast<double>(n), static_cast<int>(best + 1)))
      best = k;
  std::vector<Segment> segments;
  for (std::size_t end = n, k = best + 1; k-- > 0;) {
    const auto begin = k > 0 ? from[k][end] : 0;
    segments.push_back({.line = fit_line(range(begin, end))});
    if (begin > 0)
      segments.back().min_bytes = std::ceil(std::sqrt(points[begin - 1].bytes * points[begin].bytes));
    end = begin;
  }
  std::reverse(segments.begin(), segments.end());
  return segments;
}

}  // namespace partita::calibrate
