/// Activations: y[i] = f(x[i]) and dx[i] = f(y[i], dy[i]), at the speed of memory. Four elements a thread
/// (one 16-byte load and store each way) where the views allow it.
#include "issue.hpp"
#include "vectors.hpp"

namespace partita::kernels::cuda {
namespace {

struct Relu {
  __device__ float operator()(float x, float) const { return x < 0.0F ? 0.0F : x; }  // NaN stays
};
struct ReluGradient {
  __device__ float operator()(float y, float dy) const { return y > 0.0F ? dy : 0.0F; }
};
struct Tanh {
  __device__ float operator()(float x, float) const { return tanhf(x); }
};
struct TanhGradient {
  __device__ float operator()(float y, float dy) const { return dy * fmaf(-y, y, 1.0F); }
};

/// out[i] = f(a[i], b[i]); the first 4·vectors elements as float4. `out` may be `a` or `b`.
template <class F>
__global__ void map(std::int64_t n, std::int64_t vectors, const float* a, const float* b, float* out) {
  const F f;
  const std::int64_t first = thread_index(), step = thread_count();
  for (std::int64_t i = first; i < vectors; i += step) {
    const float4 x = reinterpret_cast<const float4*>(a)[i], y = reinterpret_cast<const float4*>(b)[i];
    reinterpret_cast<float4*>(out)[i] = make_float4(f(x.x, y.x), f(x.y, y.y), f(x.z, y.z), f(x.w, y.w));
  }
  for (std::int64_t i = 4 * vectors + first; i < n; i += step)
    out[i] = f(a[i], b[i]);
}

template <class F>
void issue_map(std::int64_t n, const float* a, const float* b, float* out, cudaStream_t stream) {
  if (n == 0) return;
  const std::int64_t vectors = on_vector_boundary(a, b, out) ? n / 4 : 0;
  const std::int64_t work = std::max(vectors, n - 4 * vectors);
  launch(map<F>, {.grid = dim3(blocks_for(work)), .block = dim3(elementwise_threads)}, stream, n, vectors, a,
         b, out);
}

}  // namespace

void relu_forward(std::int64_t n, const float* x, float* y, cudaStream_t stream) {
  issue_map<Relu>(n, x, x, y, stream);
}

void relu_backward(std::int64_t n, const float* y, const float* dy, float* dx, cudaStream_t stream) {
  issue_map<ReluGradient>(n, y, dy, dx, stream);
}

void tanh_forward(std::int64_t n, const float* x, float* y, cudaStream_t stream) {
  issue_map<Tanh>(n, x, x, y, stream);
}

void tanh_backward(std::int64_t n, const float* y, const float* dy, float* dx, cudaStream_t stream) {
  issue_map<TanhGradient>(n, y, dy, dx, stream);
}

}  // namespace partita::kernels::cuda
