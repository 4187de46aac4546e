/// Sums of buffers, in the order of the terms: the bits of a plain loop, on any boundary, in place or not.
#include "add_buffers.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "launch.hpp"

namespace partita::kernels::cuda {
namespace {

template <class T>
class AddBuffers : public ::testing::Test {
 protected:
  void SetUp() override {
    int devices = 0;
    if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) GTEST_SKIP() << "no CUDA device";
  }

  /// Terms and result in one allocation, each `shift` elements behind a boundary of 256 bytes.
  static void check_sum(std::int64_t n, std::size_t terms, std::int64_t shift, bool in_place) {
    const std::int64_t row = (n + shift + 63) / 64 * 64;
    const auto rows = static_cast<std::int64_t>(terms) + 1;
    std::vector<T> host(static_cast<std::size_t>(row * rows));
    std::mt19937 generator(static_cast<unsigned>(n));
    std::normal_distribution<T> normal;
    for (T& x : host)
      x = normal(generator);
    const std::size_t bytes = host.size() * sizeof(T);
    T* memory = nullptr;
    check(cudaMalloc(&memory, bytes), "cudaMalloc");
    check(cudaMemcpy(memory, host.data(), bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
    const auto at = [&](std::int64_t r) {
      return View(memory + r * row + shift, data_type_of<T>(), Elements(n));
    };
    std::vector<ConstView> views;
    for (std::size_t t = 0; t < terms; ++t)
      views.push_back(at(static_cast<std::int64_t>(t)));
    const std::int64_t target = in_place ? rows - 2 : rows - 1;
    add_buffers<T>(at(target), views, nullptr);
    auto expected = host;
    for (std::int64_t i = shift; i < shift + n; ++i) {
      T sum = host[static_cast<std::size_t>(i)];
      for (std::size_t t = 1; t < terms; ++t)
        sum += host[t * static_cast<std::size_t>(row) + static_cast<std::size_t>(i)];
      expected[static_cast<std::size_t>(target * row + i)] = sum;
    }
    check(cudaMemcpy(host.data(), memory, bytes, cudaMemcpyDeviceToHost), "cudaMemcpy");
    check(cudaFree(memory), "cudaFree");
    EXPECT_EQ(host, expected) << n << " elements, " << terms << " terms, shift " << shift;
  }
};
using Types = ::testing::Types<float, double>;
TYPED_TEST_SUITE(AddBuffers, Types);

TYPED_TEST(AddBuffers, GivesTheBitsOfALoopAndTouchesNothingElse) {
  for (const std::int64_t n : {0, 1, 3, 4, 5, 1023, 5000})
    for (const std::size_t terms : {1, 2, 3, 17})
      for (const std::int64_t shift : {0, 1})
        for (const bool in_place : {false, true})
          this->check_sum(n, terms, shift, in_place);
}

TYPED_TEST(AddBuffers, RefusesWhatIsNoSum) {
  const View none(nullptr, data_type_of<TypeParam>(), Elements(4));
  const View other(nullptr, DataType::int32, Elements(4));
  const ConstView shorter[] = {none, View(nullptr, data_type_of<TypeParam>(), Elements(3))};
  const std::vector<ConstView> many(257, none);
  const ConstView wrong[] = {other};
  EXPECT_THROW(add_buffers<TypeParam>(none, {}, nullptr), std::logic_error);
  EXPECT_THROW(add_buffers<TypeParam>(none, shorter, nullptr), std::logic_error);
  EXPECT_THROW(add_buffers<TypeParam>(none, many, nullptr), std::length_error);
  EXPECT_THROW(add_buffers<TypeParam>(none, wrong, nullptr), std::logic_error);
}

}  // namespace
}  // namespace partita::kernels::cuda
