/// The sum of an all-reduce, each term in the memory of another rank: one pass that reads every term once, at
/// the speed of the link to the farthest. A thread adds the terms of an element in their order, so that the
/// bits do not depend on who adds.
#include <stdexcept>

#include "add_buffers.hpp"
#include "vectors.hpp"

namespace partita::kernels::cuda {
namespace {

constexpr int most_terms = 256;  // ranks of one node; their addresses are the kernel's argument

template <class T>
struct Terms {
  const T* at[most_terms];
  int count;
};

/// What one load takes of a term: 16 bytes where every pointer allows it.
template <class T>
struct Vector;
template <>
struct Vector<float> {
  using Type = float4;
  __device__ static float4 sum(float4 a, float4 b) {
    return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
  }
};
template <>
struct Vector<double> {
  using Type = double2;
  __device__ static double2 sum(double2 a, double2 b) { return make_double2(a.x + b.x, a.y + b.y); }
};

/// No pointer is said to be unaliased: `out` may be a term. The first elements go as `vectors` whole vectors.
template <class T>
__global__ void add(std::int64_t n, std::int64_t vectors, Terms<T> terms, T* out) {
  using V = typename Vector<T>::Type;
  constexpr std::int64_t width = sizeof(V) / sizeof(T);
  const std::int64_t first = thread_index(), step = thread_count();
  for (std::int64_t i = first; i < vectors; i += step) {
    V sum = reinterpret_cast<const V*>(terms.at[0])[i];
#pragma unroll 4
    for (int t = 1; t < terms.count; ++t)
      sum = Vector<T>::sum(sum, reinterpret_cast<const V*>(terms.at[t])[i]);
    reinterpret_cast<V*>(out)[i] = sum;
  }
  for (std::int64_t i = width * vectors + first; i < n; i += step) {
    T sum = terms.at[0][i];
    for (int t = 1; t < terms.count; ++t)
      sum += terms.at[t][i];
    out[i] = sum;
  }
}

template <class T>
void issue(std::int64_t n, const Terms<T>& terms, T* out, cudaStream_t stream) {
  constexpr std::int64_t width = 16 / sizeof(T);
  bool whole = on_vector_boundary(out);
  for (int t = 0; t < terms.count; ++t)
    whole = whole && on_vector_boundary(terms.at[t]);
  const std::int64_t vectors = whole ? n / width : 0;
  launch(
      add<T>,
      {.grid = dim3(blocks_for(std::max(vectors, n - width * vectors))), .block = dim3(elementwise_threads)},
      stream, n, vectors, terms, out);
}

}  // namespace

template <class T>
void add_buffers(View to, std::span<const ConstView> views, cudaStream_t stream) {
  if (views.empty()) throw std::logic_error("a sum has terms");
  if (views.size() > most_terms) throw std::length_error("a sum of more buffers than ranks of a node");
  T* const out = to.as<T>().data();
  const std::int64_t n = to.size().value();
  if (n == 0) return;
  Terms<T> terms{};
  for (const auto& view : views) {
    if (view.size() != to.size()) throw std::logic_error("the terms of a sum are of the same size");
    terms.at[terms.count++] = view.as<T>().data();
  }
  issue(n, terms, out, stream);
}

template void add_buffers<float>(View, std::span<const ConstView>, cudaStream_t);
template void add_buffers<double>(View, std::span<const ConstView>, cudaStream_t);

}  // namespace partita::kernels::cuda
