/// Momentum SGD over a whole bucket of parameters in one launch, with its guard: v ← µv + (g + λw), w ← w −
/// ηv, unless the step is lost.
///
/// Every block looks at the same loss and the same few elements of g and so decides alike, without a launch
/// or a round trip to the host before it. Whether w is finite afterwards is known when all blocks are done:
/// each tells so when it adds itself to a counter, and the last one writes it down; until then *lost is as
/// all blocks found it. Fused multiply-adds are written out, so that an element gets the same bits singly and
/// in a vector.
#include <cmath>

#include "issue.hpp"
#include "vectors.hpp"

namespace partita::kernels::cuda {
namespace {

constexpr unsigned long long not_finite = 1ULL << 32;  // added to the counter by a block that left such a w

struct Rates {
  float rate, momentum, decay;
};

__device__ bool update(const Rates& by, float& w, float g, float& v) {
  v = fmaf(by.momentum, v, fmaf(by.decay, w, g));
  w = fmaf(-by.rate, v, w);
  return std::isfinite(w);
}

/// Updates this thread's share; whether those of its elements that are looked at (every `stride`-th) are
/// finite. Who is looked at is asked where a value is not finite only: that takes a division.
__device__ bool update_share(const Rates& by, std::int64_t n, std::int64_t vectors, std::int64_t stride,
                             float* w, const float* g, float* v) {
  bool finite = true;
  for (std::int64_t i = thread_index(); i < vectors; i += thread_count()) {
    float4 W = reinterpret_cast<float4*>(w)[i], V = reinterpret_cast<float4*>(v)[i];
    const float4 G = reinterpret_cast<const float4*>(g)[i];
    const bool each[4] = {update(by, W.x, G.x, V.x), update(by, W.y, G.y, V.y), update(by, W.z, G.z, V.z),
                          update(by, W.w, G.w, V.w)};
    reinterpret_cast<float4*>(w)[i] = W, reinterpret_cast<float4*>(v)[i] = V;
    if (each[0] && each[1] && each[2] && each[3]) continue;
    for (int j = 0; j < 4; ++j)
      if (!each[j] && (4 * i + j) % stride == 0) finite = false;
  }
  for (std::int64_t i = 4 * vectors + thread_index(); i < n; i += thread_count())
    if (!update(by, w[i], g[i], v[i]) && i % stride == 0) finite = false;
  return finite;
}

__global__ void sgd(const StepValues* step, const double* sums, std::int64_t n, std::int64_t vectors,
                    float* w, const float* g, float* v, std::int64_t* lost, unsigned long long* done) {
  __shared__ int seen_bad, left_bad;
  const bool lost_before = *lost >= 0;
  if (threadIdx.x == 0) seen_bad = sums != nullptr && !std::isfinite(sums[0]), left_bad = 0;
  __syncthreads();
  const std::int64_t stride = n > looked_at ? n / looked_at : 1;
  for (std::int64_t i = threadIdx.x * stride; i < n; i += blockDim.x * stride)
    if (!std::isfinite(g[i])) seen_bad = 1;
  __syncthreads();
  const bool updates = !lost_before && seen_bad == 0;
  const Rates by{static_cast<float>(step->learning_rate), static_cast<float>(step->momentum),
                 static_cast<float>(step->weight_decay)};
  if (updates && !update_share(by, n, vectors, stride, w, g, v)) left_bad = 1;
  __syncthreads();
  if (threadIdx.x != 0 || lost_before) return;
  const bool bad = seen_bad != 0 || left_bad != 0;
  const unsigned long long before = atomicAdd(done, 1 + (bad ? not_finite : 0ULL));
  if (before % not_finite + 1 < gridDim.x) return;
  *done = 0;
  if (bad || before >= not_finite) *lost = step->step;
}

}  // namespace

void sgd_update(const StepValues* step, const double* sums, std::int64_t n, float* w, const float* g,
                float* v, std::int64_t* lost, const Scratch& scratch, cudaStream_t stream) {
  const std::int64_t vectors = on_vector_boundary(w, g, v) ? n / 4 : 0;
  const std::int64_t work = std::max(vectors, n - 4 * vectors);
  launch(sgd, {.grid = dim3(blocks_for(work, 2048)), .block = dim3(elementwise_threads)}, stream, step, sums,
         n, vectors, w, g, v, lost, scratch.done);
}

}  // namespace partita::kernels::cuda
