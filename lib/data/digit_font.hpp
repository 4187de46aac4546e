/// The stroke font of `digits`: each digit in one or more ways of writing it, as control points.
///
/// Coordinates: x to the right, y downwards, the digit about 1 high and 0.65 wide around the origin.
#pragma once

#include <span>
#include <vector>

namespace partita::data {

struct Point {
  float x = 0, y = 0;
};

/// How control points become a line: straight pieces, a quadratic B-spline that starts and ends on its outer
/// points, or a closed one.
enum class StrokeForm { straight, curved, closed };

struct Stroke {
  StrokeForm form;
  std::vector<Point> points;
};

using Glyph = std::vector<Stroke>;

/// The ways of writing one digit, 0 to 9.
std::span<const Glyph> glyphs_of(int digit);

}  // namespace partita::data
