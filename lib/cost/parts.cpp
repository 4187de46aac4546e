/// What kernels do, by their names and shapes: the parts that their time is a sum of, and in what those
/// differ that take more or less than their parts.
#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <numeric>

#include "kernel_family.hpp"
#include "partita/cost/reuse.hpp"
#include "partita/kernels/shape.hpp"

namespace partita::cost {
namespace {

using Of = Part::Of;

/// Whole vectors of 16 lanes, to which kernels pad channels and features.
double padded(double extent) { return 16 * std::ceil(extent / 16); }

std::vector<Part> of_linear(const std::vector<double>& s, double bytes) {
  const double samples = s[0], in = s[1], out = s[2];
  return {{Of::calls, 1},
          {Of::flops, 2 * samples * in * out},
          {Of::flops, 2 * samples * in * padded(out), false},
          {Of::flops, 2 * samples * padded(in) * out, false},
          {Of::bytes, bytes * samples * (in + out)},
          {Of::bytes, bytes * in * out}};
}

double windows_of(const Extents& s, std::size_t kernel, std::int64_t padding_h, std::int64_t padding_w) {
  return static_cast<double>(kernels::windows(s[2] + 2 * padding_h, s[kernel], s[kernel + 2]) *
                             kernels::windows(s[3] + 2 * padding_w, s[kernel + 1], s[kernel + 3]));
}

/// Own loops compute whole vectors of filters, and nothing besides.
std::vector<Part> of_conv(const Run& run, const std::vector<double>& s, double bytes) {
  const auto& shape = run.shape;
  const bool is_own = run.own_flops > 0;
  const double samples = s[0], channels = s[1], filters = s[4], area = s[5] * s[6];
  const double outputs = samples * windows_of(shape, 5, shape[9], shape[10]), sums = outputs * area;
  return {
      {Of::calls, 1},
      {Of::flops, is_own ? 0 : 2 * sums * channels * filters},
      {Of::flops, is_own ? run.own_flops : 2 * sums * channels * padded(filters), false},
      {Of::flops, is_own ? 0 : 2 * sums * padded(channels) * filters, false},
      {Of::bytes, bytes * (samples * channels * s[2] * s[3] + outputs * filters + area * channels * filters)},
      {Of::bytes, bytes * sums * channels, false}};
}

std::vector<Part> of_pooling(const Extents& shape, const std::vector<double>& s, double bytes) {
  const double outputs = s[0] * s[1] * windows_of(shape, 4, 0, 0);
  return {{Of::calls, 1},
          {Of::flops, outputs * s[4] * s[5]},
          {Of::bytes, bytes * s[0] * s[1] * s[2] * s[3]},
          {Of::bytes, bytes * outputs},
          {Of::bytes, bytes * s[0] * padded(s[1]) * s[2] * s[3], false}};
}

std::vector<Part> parts_in_caches(const std::string& kernel, const Run& run, kernels::Bytes of_element) {
  const auto& shape = run.shape;
  const std::vector<double> s(shape.begin(), shape.end());
  const auto bytes = static_cast<double>(of_element.value());
  const auto kind = kernel.substr(0, kernel.find('+'));
  if (kind == "linear" && s.size() == 3) return of_linear(s, bytes);
  if (kind == "conv" && s.size() == 11) return of_conv(run, s, bytes);
  if (kind.ends_with("pool") && s.size() == 8) return of_pooling(shape, s, bytes);
  if (s.size() == 3 && (kind == "pack" || kind == "unpack" || kind == "convert"))
    return {{Of::calls, 1},
            {Of::bytes, 2 * bytes * s[0]},
            {Of::bytes, bytes * s[1], false},
            {Of::bytes, bytes * s[2]}};
  if (s.size() == 2 && (kind == "norm" || kind == "update"))
    return {{Of::calls, s[1]}, {Of::bytes, bytes * s[0]}};
  // By powersgd each value enters a product for each column of the factors.
  if (s.size() == 2 && (kind == "encode" || kind == "decode"))
    return {{Of::calls, s[1]}, {Of::bytes, bytes * s[0]}, {Of::flops, s[0] * s[1], false}};
  // Element by element; what comes with each sample besides is small.
  std::vector<Part> parts{{Of::calls, 1},
                          {Of::bytes, bytes * std::accumulate(s.begin(), s.end(), 1.0, std::multiplies<>())}};
  if (s.size() > 1) parts.push_back({Of::bytes, bytes * s[0], false});
  return parts;
}

/// Half of an e-fold apart are whole vectors and others: different code computes them.
double broken(double extent) { return padded(extent) == extent ? 0 : 0.5; }

/// An extent of 0 lies as far below 1 as 2 lies above.
double log_of(double extent) { return std::log(extent > 0 ? extent : 0.5); }

/// Samples and pixels count less than features and channels: kernels go through them one after the other.
constexpr double of_samples = 0.5, of_pixels = 0.7;
/// Pooling has nothing but channels to make vectors of.
constexpr double of_pooling_vectors = 4;
/// Other code altogether.
constexpr double of_own_loops = 2;

}  // namespace

std::vector<Part> parts_of(const std::string& kernel, const Run& run, kernels::Bytes of_element) {
  constexpr std::size_t most = 8;
  auto parts = parts_in_caches(kernel, run, of_element);
  auto touched = static_cast<double>(code_bytes.value());
  for (const auto& part : parts)
    if (part.of == Of::bytes && part.is_modelled) touched += part.amount;
  const auto& beyond = run.beyond;
  const auto outer = std::min(beyond.size(), most - parts.size());  // what is farthest takes longest
  for (std::size_t c = beyond.size() - outer; c < beyond.size(); ++c)
    parts.push_back({Of::bytes, touched * static_cast<double>(beyond[c]) / 100, false});
  return parts;
}

std::vector<double> extents_of(const Run& run) {
  std::vector<double> extents(run.shape.begin(), run.shape.end());
  extents.insert(extents.end(), run.marks.begin(), run.marks.end());
  extents.insert(extents.end(), run.beyond.begin(), run.beyond.end());
  extents.push_back(run.active_ranks);
  extents.push_back(run.own_flops > 0 ? 1 : 0);
  return extents;
}

std::vector<double> coordinates_of(const std::string& kernel, const Run& run) {
  constexpr double of_marks = 0.7, of_caches = 3;
  const std::vector<double> s(run.shape.begin(), run.shape.end());
  const auto kind = kernel.substr(0, kernel.find('+'));
  std::vector<double> at;
  if (kind == "linear" && s.size() == 3)
    at = {of_samples * log_of(s[0]), log_of(s[1]), log_of(s[2]), broken(s[1]), broken(s[2])};
  else if (kind == "conv" && s.size() == 11)
    at = {of_samples * log_of(s[0]),
          log_of(s[1]),
          of_pixels * log_of(s[2] * s[3]),
          log_of(s[4]),
          log_of(s[5] * s[6]),
          log_of(s[7] * s[8]),
          std::min(s[9], 1.0),
          broken(s[1]),
          broken(s[4]),
          run.own_flops > 0 ? of_own_loops : 0};
  else if (kind.ends_with("pool") && s.size() == 8)
    at = {of_samples * log_of(s[0]), log_of(s[1]),        of_pixels * log_of(s[2] * s[3]),
          log_of(s[4] * s[5]),       log_of(s[6] * s[7]), of_pooling_vectors * broken(s[1])};
  else
    std::ranges::transform(s, std::back_inserter(at), log_of);
  for (const double mark : run.marks)
    at.push_back(of_marks * mark);
  at.push_back(std::log2(run.active_ranks));
  for (const auto percent : run.beyond)
    at.push_back(of_caches * static_cast<double>(percent) / 100);
  return at;
}

}  // namespace partita::cost
