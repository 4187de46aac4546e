/// Draws `digits`. A sample's random words are counted: [index·1024, +512) shape the strokes, the next 196
/// are the noise of four pixels each. Only + − · ÷ and √ are used, each correctly rounded and never
/// contracted (see CMakeLists.txt), and angles come as tan(θ/2), so the bytes do not depend on the machine or
/// the C library.

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "digit_font.hpp"
#include "partita/base/error.hpp"
#include "partita/data/synthetic.hpp"
#include "partita/kernels/host_pages.hpp"

namespace partita::data {
namespace {

using kernels::RandomPurpose;
using kernels::RandomStream;

constexpr std::uint32_t label_stream = 0, stroke_stream = 1;  // of RandomPurpose::synthetic_data
constexpr std::uint64_t counters_per_sample = 1024, first_noise_counter = 512;
constexpr int pixels_per_digit = static_cast<int>(digit_extent * digit_extent);
constexpr int pieces_per_curve = 4;

/// The ranges of the distortions: what makes the set as hard as it is.
namespace distortion {
constexpr float half_angle = 0.17f;  // of tan(θ/2): up to 19 degrees
constexpr float shear = 0.30f;
constexpr float least_height = 15, most_height = 22;       // pixels
constexpr float least_aspect = 0.75f, most_aspect = 1.2f;  // width over height, times the font's
constexpr float shift = 3.0f;                              // pixels
constexpr float displacement = 0.07f;                      // of control points, share of the height
constexpr float least_radius = 0.6f, most_radius = 1.7f, edge = 1.3f;  // of strokes, pixels
constexpr float least_ink = 0.5f, noise = 0.11f;
constexpr float speck_chance = 0.35f;  // of a short stroke that belongs to no digit
}  // namespace distortion

/// Uniform draws of one sample in the order of asking.
class Draws {
 public:
  Draws(std::uint64_t seed, std::int64_t index)
      : stream_(kernels::random_stream(seed, RandomPurpose::synthetic_data, stroke_stream)),
        counter_(static_cast<std::uint64_t>(index) * counters_per_sample) {}

  /// In [0, 1), 24 bits.
  float uniform() {
    if (used_ == 4) {
      words_ = kernels::random_words(stream_, counter_++);
      used_ = 0;
    }
    return static_cast<float>(words_[used_++] >> 8) * 0x1.0p-24f;
  }
  float between(float low, float high) { return low + (high - low) * uniform(); }
  /// In (−bound, bound), more often near 0.
  float centred(float bound) { return bound * (uniform() + uniform() - 1.0f); }

 private:
  RandomStream stream_;
  std::uint64_t counter_;
  r123::Philox4x32::ctr_type words_{};
  std::size_t used_ = 4;
};

/// From the font's coordinates to pixels.
struct Affine {
  float xx, xy, yx, yy, x, y;
  [[nodiscard]] Point operator()(Point p) const { return {xx * p.x + xy * p.y + x, yx * p.x + yy * p.y + y}; }
};

Affine draw_affine(Draws& draws) {
  using namespace distortion;
  const float t = draws.centred(half_angle);
  const float cosine = (1 - t * t) / (1 + t * t), sine = 2 * t / (1 + t * t);
  const float slant = draws.centred(shear);
  const float height = draws.between(least_height, most_height);
  const float width = height * draws.between(least_aspect, most_aspect);
  const float centre = (static_cast<float>(digit_extent) - 1) / 2;
  const float right = draws.centred(shift), down = draws.centred(shift);
  return {.xx = cosine * width,
          .xy = (cosine * slant - sine) * height,
          .yx = sine * width,
          .yy = (sine * slant + cosine) * height,
          .x = centre + right,
          .y = centre + down};
}

/// The distance of every pixel's centre to the nearest stroke, squared, where it is within `reach`, beyond
/// which there is no ink, else anything larger; segments are added one by one.
class Canvas {
 public:
  explicit Canvas(float reach) : reach_(reach) { squared_.fill(1e6f); }

  void add_segment(Point a, Point b) {
    const float dx = b.x - a.x, dy = b.y - a.y;
    const float length = dx * dx + dy * dy;
    const float inverse = length > 0 ? 1 / length : 0;
    const int first = row_at(std::min(a.y, b.y) - reach_), last = row_at(std::max(a.y, b.y) + reach_);
    for (int row = first; row <= last; ++row) {
      const float qy = static_cast<float>(row) - a.y;
      float* out = squared_.data() + row * digit_extent;
      for (int column = 0; column < digit_extent; ++column) {
        const float qx = static_cast<float>(column) - a.x;
        float t = (qx * dx + qy * dy) * inverse;
        t = t < 0 ? 0 : t;
        t = t > 1 ? 1 : t;
        const float ex = qx - t * dx, ey = qy - t * dy;
        const float distance = ex * ex + ey * ey;
        out[column] = distance < out[column] ? distance : out[column];
      }
    }
  }

  void add_curve(Point from, Point control, Point to) {
    Point last = from;
    for (int i = 1; i <= pieces_per_curve; ++i) {
      const float t = static_cast<float>(i) / pieces_per_curve, s = 1 - t;
      const Point next{s * s * from.x + 2 * s * t * control.x + t * t * to.x,
                       s * s * from.y + 2 * s * t * control.y + t * t * to.y};
      add_segment(last, next);
      last = next;
    }
  }

  [[nodiscard]] const std::array<float, pixels_per_digit>& squared() const { return squared_; }

 private:
  static int row_at(float y) {
    return static_cast<int>(std::clamp(y, 0.0f, static_cast<float>(digit_extent - 1)));
  }

  float reach_;
  std::array<float, pixels_per_digit> squared_;
};

Point middle(Point a, Point b) { return {(a.x + b.x) / 2, (a.y + b.y) / 2}; }

void add_stroke(Canvas& canvas, StrokeForm form, std::span<const Point> p) {
  const std::size_t n = p.size();
  if (form == StrokeForm::straight) {
    for (std::size_t i = 0; i + 1 < n; ++i)
      canvas.add_segment(p[i], p[i + 1]);
  } else if (form == StrokeForm::closed) {
    for (std::size_t i = 0; i < n; ++i)
      canvas.add_curve(middle(p[(i + n - 1) % n], p[i]), p[i], middle(p[i], p[(i + 1) % n]));
  } else {
    for (std::size_t i = 1; i + 1 < n; ++i)
      canvas.add_curve(i == 1 ? p[0] : middle(p[i - 1], p[i]), p[i],
                       i + 2 == n ? p[n - 1] : middle(p[i], p[i + 1]));
  }
}

void add_glyph(Canvas& canvas, const Glyph& glyph, const Affine& place, Draws& draws) {
  std::array<Point, 16> points;
  for (const auto& stroke : glyph) {
    base::expect(stroke.points.size() <= points.size(), "a stroke of the font has at most 16 points");
    for (std::size_t i = 0; i < stroke.points.size(); ++i) {
      const float right = draws.centred(distortion::displacement),
                  down = draws.centred(distortion::displacement);
      points[i] = place({stroke.points[i].x + right, stroke.points[i].y + down});
    }
    add_stroke(canvas, stroke.form, std::span(points).first(stroke.points.size()));
  }
}

/// A short stroke somewhere, as dust or a neighbour's serif would be.
void maybe_add_speck(Canvas& canvas, Draws& draws) {
  const bool wanted = draws.uniform() < distortion::speck_chance;
  const auto edge = static_cast<float>(digit_extent);
  const Point from{draws.between(0, edge), draws.between(0, edge)};
  const Point to{from.x + draws.centred(6), from.y + draws.centred(6)};
  if (wanted) canvas.add_segment(from, to);
}

/// Sums of a word's four bytes: nearly normal (Irwin–Hall), in units of the standard deviation.
float noise_of(std::uint32_t word) {
  const auto sum = (word & 255) + ((word >> 8) & 255) + ((word >> 16) & 255) + (word >> 24);
  return (static_cast<float>(sum) - 510.0f) * (1 / 147.8f);
}

void ink(const Canvas& canvas, float radius, float strength, std::array<float, pixels_per_digit>& levels) {
  const auto& squared = canvas.squared();
  for (std::size_t i = 0; i < pixels_per_digit; ++i) {
    float cover = (radius + distortion::edge / 2 - std::sqrt(squared[i])) * (1 / distortion::edge);
    cover = cover < 0 ? 0 : cover;
    cover = cover > 1 ? 1 : cover;
    levels[i] = strength * cover * cover * (3 - 2 * cover);
  }
}

}  // namespace

std::int32_t digit_label(std::uint64_t seed, std::int64_t index) {
  const auto stream = kernels::random_stream(seed, RandomPurpose::synthetic_data, label_stream);
  std::array<std::int32_t, 10> order{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  const auto block = static_cast<std::uint64_t>(index / 10) * 16;
  for (std::uint32_t i = 9; i > 0; --i)
    std::swap(order[i], order[kernels::random_bits(stream, block + i) % (i + 1)]);
  return order[static_cast<std::size_t>(index % 10)];
}

void draw_digit(std::uint64_t seed, std::int64_t index, std::span<std::uint8_t> pixels) {
  base::expect(pixels.size() == pixels_per_digit && index >= 0, "a digit has 784 pixels", pixels.size(),
               index);
  Draws draws(seed, index);
  const auto ways = glyphs_of(digit_label(seed, index));
  const auto way = static_cast<std::size_t>(draws.uniform() * static_cast<float>(ways.size()));
  const Affine place = draw_affine(draws);
  const float radius = draws.between(distortion::least_radius, distortion::most_radius);
  const float strength = draws.between(distortion::least_ink, 1);
  Canvas canvas(radius + distortion::edge);
  add_glyph(canvas, ways[way], place, draws);
  maybe_add_speck(canvas, draws);
  std::array<float, pixels_per_digit> levels;
  ink(canvas, radius, strength, levels);

  const auto stream = kernels::random_stream(seed, RandomPurpose::synthetic_data, stroke_stream);
  const auto noise = static_cast<std::uint64_t>(index) * counters_per_sample + first_noise_counter;
  for (std::size_t i = 0; i < pixels_per_digit; i += 4) {
    const auto words = kernels::random_words(stream, noise + i / 4);
    for (std::size_t j = 0; j < 4; ++j) {
      const float level = (levels[i + j] + distortion::noise * noise_of(words[j])) * 255 + 0.5f;
      pixels[i + j] = static_cast<std::uint8_t>(level < 0 ? 0 : level > 255 ? 255 : level);
    }
  }
}

Dataset make_digits(std::uint64_t seed, kernels::Samples first, kernels::Samples count) {
  Dataset set{.name = "digits",
              .task = Task::classification,
              .samples = count,
              .sample_shape = {1, digit_extent, digit_extent},
              .target_shape = {},
              .classes = 10,
              .class_names = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}};
  const auto n = static_cast<std::size_t>(count.value());
  kernels::reserve_huge_pages(set.images, n * pixels_per_digit);
  set.images.resize(n * pixels_per_digit);
  set.labels.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    const auto index = first.value() + static_cast<std::int64_t>(i);
    set.labels[i] = digit_label(seed, index);
    draw_digit(seed, index, std::span(set.images).subspan(i * pixels_per_digit, pixels_per_digit));
  }
  return set;
}

}  // namespace partita::data
