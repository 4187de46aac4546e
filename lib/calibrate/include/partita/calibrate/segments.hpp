/// Where a curve of times over bytes bends: the piecewise linear function that explains it best, with as many
/// pieces as it takes and no more.
#pragma once

#include <span>
#include <vector>

namespace partita::calibrate {

struct Point {
  double bytes = 0, seconds = 0;
};

/// base + slope · bytes, neither below 0.
struct Line {
  double base = 0, slope = 0;
  [[nodiscard]] double at(double bytes) const { return base + slope * bytes; }
};

/// The line with the least sum of squared relative errors. Of no points: 0.
Line fit_line(std::span<const Point>);

/// A line and from where it holds.
struct Segment {
  double min_bytes = 0;
  Line line;
};

/// Points in order of their bytes; the first segment begins at 0, another in the (geometric) middle between
/// the last point before and the first point in it. Among all cuts into at most `most` pieces of at least
/// `least_points` the one with the least Bayesian information criterion: n·ln(squared relative errors ÷ n) +
/// 3 parameters a piece · ln n.
std::vector<Segment> find_segments(std::span<const Point>, int most, std::size_t least_points = 4);

}  // namespace partita::calibrate
