/// Cross-entropy over classes in shards against that of the whole.
#include <numeric>
#include <type_traits>
#include <utility>

#include "compare.hpp"

namespace partita::tests {
namespace {

using Offsets = std::vector<std::int64_t>;

/// Every way of cutting `classes` into 1 to 4 shards, empty ones included; a sample of them for many classes.
std::vector<Offsets> cuts_of(std::int64_t classes) {
  std::vector<Offsets> all{{0, classes}};
  const std::int64_t step = classes > 5 ? 3 : 1;
  for (std::int64_t a = 0; a <= classes; a += step) {
    all.push_back({0, a, classes});
    for (std::int64_t b = a; b <= classes; b += step) {
      all.push_back({0, a, b, classes});
      for (std::int64_t c = b; c <= classes; c += step)
        all.push_back({0, a, b, c, classes});
    }
  }
  return all;
}

template <class T>
std::vector<T> columns(const std::vector<T>& whole, std::int64_t classes, std::int64_t first,
                       std::int64_t end) {
  std::vector<T> part;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const auto column = static_cast<std::int64_t>(i) % classes;
    if (column >= first && column < end) part.push_back(whole[i]);
  }
  return part;
}

/// What all shards return, their gradients put together, and their statistics.
template <class T>
struct Sharded {
  std::vector<LossSums> sums;
  std::vector<T> gradient, statistics;
};

template <class T>
Sharded<T> run(Backend& backend, std::int64_t batch, std::int64_t classes, const Offsets& cut,
               const std::vector<T>& logits, const std::vector<std::int32_t>& labels) {
  const T nan = std::numeric_limits<T>::quiet_NaN();
  const auto shards = cut.size() - 1, values = static_cast<std::size_t>(batch) * 3;
  Sharded<T> result{.sums = {},
                    .gradient = std::vector<T>(logits.size(), nan),
                    .statistics = std::vector<T>(shards * values, nan)};
  const std::span<const std::int32_t> l(labels);
  for (std::size_t s = 0; s < shards; ++s) {
    const auto part = columns(logits, classes, cut[s], cut[s + 1]);
    backend.cross_entropy_statistics(batch, cut[s + 1] - cut[s], cut[s], std::span(part), l,
                                     std::span(result.statistics).subspan(s * values, values));
  }
  for (std::size_t s = 0; s < shards; ++s) {
    const auto part = columns(logits, classes, cut[s], cut[s + 1]);
    std::vector<T> gradient(part.size(), nan);
    for (const View out : {View(std::span(gradient)), View()})
      result.sums.push_back(finish_cross_entropy(backend, batch, cut[s + 1] - cut[s], cut[s], cut,
                                                 std::span(std::as_const(result.statistics)), std::span(part),
                                                 l, 0.1, out));
    std::size_t next = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const auto column = static_cast<std::int64_t>(i) % classes;
      if (column >= cut[s] && column < cut[s + 1]) result.gradient[i] = gradient[next++];
    }
  }
  return result;
}

/// `kind` 0: logits from a normal distribution, 1: with many ties of the largest, 2: far apart, 3: some −∞.
template <class T>
void check(Backend& backend, std::int64_t batch, std::int64_t classes, int kind, double tolerance) {
  Values random(batch * classes), gradient(batch * classes);
  std::vector<std::int32_t> labels(static_cast<std::size_t>(batch));
  for (std::size_t i = 0; i < labels.size(); ++i)
    labels[i] = static_cast<std::int32_t>((i * 7 + i / 3) % static_cast<std::size_t>(classes));
  for (std::size_t i = 0; i < random.twice.size(); ++i) {
    auto& value = random.twice[i];
    const auto own = static_cast<std::size_t>(labels[i / static_cast<std::size_t>(classes)]);
    if (kind == 1) value = value > -0.3 ? 2 : 1;
    if (kind == 2) value *= 3000;
    if (kind == 3 && value < 0 && i % static_cast<std::size_t>(classes) != own)
      value = -std::numeric_limits<double>::infinity();
    value = static_cast<float>(value);
  }
  const std::vector<T> logits(random.twice.begin(), random.twice.end());
  const std::span<const std::int32_t> l(labels);
  const auto reference = oracle();
  const auto whole = cross_entropy(*reference, batch, classes, random.d(), l, 0.1, gradient.d());
  EXPECT_EQ(cross_entropy(backend, batch, classes, std::span(logits), l, 0.1, {}).correct, whole.correct);
  int turn = 0;
  for (const auto& cut : cuts_of(classes)) {
    if (turn++ % every_case() != 0) continue;
    const auto sharded = run(backend, batch, classes, cut, logits, labels);
    std::string what = std::string(backend.name()) + " batch " + std::to_string(batch) + " kind " +
                       std::to_string(kind) + " cut";
    for (const auto offset : cut)
      what += " " + std::to_string(offset);
    for (const auto& sums : sharded.sums) {
      EXPECT_NEAR(sums.loss, whole.loss, tolerance * (1 + whole.loss)) << what;
      EXPECT_EQ(sums.loss, sharded.sums[0].loss) << what << ": differs between shards";
      EXPECT_EQ(sums.correct, whole.correct) << what;
    }
    for (std::size_t i = 0; i < logits.size(); ++i)
      ASSERT_NEAR(static_cast<double>(sharded.gradient[i]), gradient.twice[i], tolerance)
          << what << " at " << i;
    for (std::size_t s = 0; s + 1 < cut.size(); ++s)
      for (std::size_t i = 0; cut[s] == cut[s + 1] && i < labels.size(); ++i) {
        const T* found = &sharded.statistics[(s * labels.size() + i) * 3];
        ASSERT_EQ(found[0], -std::numeric_limits<T>::infinity()) << what;
        ASSERT_EQ(found[1], 0) << what;
        ASSERT_EQ(found[2], 0) << what;
      }
  }
}

TEST(ShardedCrossEntropy, IsThatOfTheWholeOnEveryCut) {
  const auto twice = oracle();
  for (const std::int64_t batch : {0, 1, 7, 40})
    for (const std::int64_t classes : {1, 5, 10, 33})
      for (int kind = 0; kind < 4; ++kind) {
        check<double>(*twice, batch, classes, kind, 1e-12);
        for (const auto& backend : backends())
          check<float>(*backend, batch, classes, kind, 4e-6);
      }
}

TEST(ShardedCrossEntropy, TellsOfTiesByTheSignOfTheSum) {
  const std::vector<float> logits{3, 1, 3, 3, 1, 0, 0, 2};
  const std::vector<std::int32_t> labels{4,
                                         3};  // of classes 2 to 5: 4 equals 2 below it, 3 equals 4 above it
  for (const auto& backend : backends()) {
    std::vector<float> found(6);
    backend->cross_entropy_statistics(2, 4, 2, std::span(logits), std::span(labels), std::span(found));
    EXPECT_EQ(found[0], 3);
    EXPECT_NEAR(found[1], -(3 + std::exp(-2.0)), 1e-6);
    EXPECT_EQ(found[2], 3);
    EXPECT_EQ(found[3], 2);
    EXPECT_NEAR(found[4], 1 + std::exp(-1.0) + 2 * std::exp(-2.0), 1e-6) << "the lowest of its value";
    EXPECT_EQ(found[5], 0);
  }
}

TEST(ShardedCrossEntropy, LetsNaNThrough) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::int32_t> labels{1};
  for (const auto& backend : backends())
    for (const auto& logits : {std::vector<float>{0, 1, nan, 2}, std::vector<float>{0, 1, nan, nan}})
      for (const Offsets& cut : {Offsets{0, 4}, Offsets{0, 2, 4}, Offsets{0, 0, 3, 4}})
        for (const auto& sums : run(*backend, 1, 4, cut, logits, labels).sums)
          EXPECT_TRUE(std::isnan(sums.loss)) << backend->name();
}

TEST(ShardedCrossEntropy, RefusesStatisticsOfAnotherShapeAndUnknownLabels) {
  const std::vector<float> logits{0, 1, 2}, statistics(6);
  const Offsets cut{0, 3};
  for (const auto& backend : backends()) {
    const auto finish = [&](std::size_t values, std::int32_t label) {
      const std::vector<std::int32_t> labels{label};
      return finish_cross_entropy(*backend, 1, 3, 0, cut, std::span(statistics).first(values),
                                  std::span(logits), std::span(labels), 1, {});
    };
    EXPECT_NO_THROW(finish(3, 2));
    EXPECT_THROW(finish(6, 2), std::logic_error) << backend->name();
    for (const std::int32_t label : {3, -1})
      if (backend->device().is_host())
        EXPECT_THROW(finish(3, label), std::logic_error) << backend->name();
      else
        EXPECT_TRUE(std::isnan(finish(3, label).loss)) << backend->name();
  }
}

TEST(ShardedCrossEntropy, OfAShardWithoutClassesNeedsNoLogits) {
  const std::vector<std::int32_t> labels{1};
  const Offsets cut{0, 2, 2};
  const auto check_empty = [&]<class T>(Backend& backend, T) {
    const std::vector<T> logits{1, 2};
    std::vector<T> statistics(6);
    const auto part = std::span(statistics);
    backend.cross_entropy_statistics(1, 2, 0, std::span(logits), std::span(labels), part.first(3));
    backend.cross_entropy_statistics(1, 0, 2, {}, std::span(labels), part.last(3));
    const auto sums = finish_cross_entropy(backend, 1, 0, 2, cut, part, {}, std::span(labels), 1, {});
    EXPECT_NEAR(sums.loss, std::log(1 + std::exp(-1.0)), 1e-6);
    EXPECT_EQ(sums.correct, 1);
  };
  check_empty(*oracle(), 0.0);
  for (const auto& backend : backends())
    check_empty(*backend, 0.0F);
}

}  // namespace
}  // namespace partita::tests
