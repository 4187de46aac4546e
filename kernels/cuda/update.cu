/// An optimizer's update of a whole bucket of parameters in one launch, with its guard: nothing is updated
/// where the step is not finite.
///
/// Every block looks at the same loss and the same few elements of g and so decides alike, without a launch
/// or a round trip to the host before it. Whether w is finite afterwards is known when all blocks are done:
/// each tells so when it adds itself to a counter, and the last one writes it down; until then
/// *non_finite_step is as all blocks found it. Fused multiply-adds are written out, so that an element gets
/// the same bits singly and in a vector.
#include <cmath>

#include "issue.hpp"
#include "vectors.hpp"

namespace partita::kernels::cuda {
namespace {

constexpr unsigned long long not_finite = 1ULL << 32;  // added to the counter by a block that left such a w

/// A rule of `OptimizerRule`: `begin` reads what the step brings, `update` changes one element and its states
/// and tells whether the element is finite.
template <bool nesterov>
struct ByVelocity {
  static constexpr int states = 1;
  float momentum, decay, rate = 0;

  explicit ByVelocity(const OptimizerSpec& optimizer)
      : momentum(static_cast<float>(optimizer.momentum)), decay(static_cast<float>(optimizer.weight_decay)) {}
  __device__ void begin(const StepValues& step) { rate = static_cast<float>(step.learning_rate); }
  __device__ bool update(float& w, float g, float (&v)[states]) const {
    const float gradient = fmaf(decay, w, g);
    v[0] = fmaf(momentum, v[0], gradient);
    w = fmaf(-rate, nesterov ? fmaf(momentum, v[0], gradient) : v[0], w);
    return std::isfinite(w);
  }
};

/// adam and adamw. What a step makes of its scalars is computed in double once a thread.
struct ByMoments {
  static constexpr int states = 2;
  float beta1, others1, beta2, others2, epsilon;
  double weight_decay;
  bool decays_apart;
  float length = 0, correction = 0, of_gradient = 0, of_weight = 0;

  explicit ByMoments(const OptimizerSpec& optimizer)
      : beta1(static_cast<float>(optimizer.beta1)),
        others1(static_cast<float>(1 - optimizer.beta1)),
        beta2(static_cast<float>(optimizer.beta2)),
        others2(static_cast<float>(1 - optimizer.beta2)),
        epsilon(static_cast<float>(optimizer.epsilon)),
        weight_decay(optimizer.weight_decay),
        decays_apart(optimizer.rule == OptimizerRule::adamw) {}
  __device__ void begin(const StepValues& step) {
    length = static_cast<float>(step.learning_rate / step.first_correction);
    correction = static_cast<float>(1 / step.second_correction);
    of_gradient = static_cast<float>(decays_apart ? 0 : weight_decay);
    of_weight = static_cast<float>(decays_apart ? step.learning_rate * weight_decay : 0);
  }
  __device__ bool update(float& w, float g, float (&moments)[states]) const {
    const float weight = fmaf(-of_weight, w, w), gradient = fmaf(of_gradient, weight, g);
    moments[0] = fmaf(beta1, moments[0], others1 * gradient);
    moments[1] = fmaf(beta2, moments[1], others2 * (gradient * gradient));
    w = fmaf(-length, moments[0] / fmaf(sqrtf(moments[1]), correction, epsilon), weight);
    return std::isfinite(w);
  }
};

/// A bucket's vectors, [n] each.
template <class Rule>
struct Bucket {
  std::int64_t n;
  float* w;
  const float* g;
  float* states[Rule::states];
};

/// Elements that are read and written by one access to each vector.
struct One {
  float of[1];
};
struct alignas(sizeof(float4)) Four {
  float of[4];
};

/// Whether the elements of `bad`, by bit, from `first` on are none that is looked at (every `stride`-th is):
/// asked where one is not finite only, for it takes a division.
__device__ bool unseen(unsigned bad, std::int64_t first, std::int64_t stride) {
  for (; bad != 0; bad >>= 1U, ++first)
    if ((bad & 1U) != 0 && first % stride == 0) return false;
  return true;
}

/// Updates the i-th Elements of a bucket; whether what is looked at of them is finite.
template <class Elements, class Rule>
__device__ bool update_elements(const Rule& rule, const Bucket<Rule>& bucket, std::int64_t i,
                                std::int64_t stride) {
  constexpr int count = sizeof(Elements) / sizeof(float);
  Elements w = reinterpret_cast<Elements*>(bucket.w)[i], states[Rule::states];
  const Elements g = reinterpret_cast<const Elements*>(bucket.g)[i];
#pragma unroll
  for (int s = 0; s < Rule::states; ++s)
    states[s] = reinterpret_cast<Elements*>(bucket.states[s])[i];
  unsigned bad = 0;
#pragma unroll
  for (int e = 0; e < count; ++e) {
    float own[Rule::states];
#pragma unroll
    for (int s = 0; s < Rule::states; ++s)
      own[s] = states[s].of[e];
    if (!rule.update(w.of[e], g.of[e], own)) bad |= 1U << e;
#pragma unroll
    for (int s = 0; s < Rule::states; ++s)
      states[s].of[e] = own[s];
  }
  reinterpret_cast<Elements*>(bucket.w)[i] = w;
#pragma unroll
  for (int s = 0; s < Rule::states; ++s)
    reinterpret_cast<Elements*>(bucket.states[s])[i] = states[s];
  return unseen(bad, count * i, stride);
}

/// Updates this thread's share, of which the first 4 · `vectors` elements of the bucket go by fours.
template <class Rule>
__device__ bool update_share(const Rule& rule, const Bucket<Rule>& bucket, std::int64_t vectors,
                             std::int64_t stride) {
  bool finite = true;
  for (std::int64_t i = thread_index(); i < vectors; i += thread_count())
    if (!update_elements<Four>(rule, bucket, i, stride)) finite = false;
  for (std::int64_t i = 4 * vectors + thread_index(); i < bucket.n; i += thread_count())
    if (!update_elements<One>(rule, bucket, i, stride)) finite = false;
  return finite;
}

template <class Rule>
__global__ void update_bucket(Rule rule, const StepValues* step, const double* sums, Bucket<Rule> bucket,
                              std::int64_t vectors, std::int64_t* non_finite_step, unsigned long long* done) {
  __shared__ int seen_bad, left_bad;
  const bool not_finite_before = *non_finite_step >= 0;
  if (threadIdx.x == 0) seen_bad = sums != nullptr && !std::isfinite(sums[0]), left_bad = 0;
  __syncthreads();
  const std::int64_t stride = bucket.n > looked_at ? bucket.n / looked_at : 1;
  for (std::int64_t i = threadIdx.x * stride; i < bucket.n; i += blockDim.x * stride)
    if (!std::isfinite(bucket.g[i])) seen_bad = 1;
  __syncthreads();
  const bool updates = !not_finite_before && seen_bad == 0;
  rule.begin(*step);
  if (updates && !update_share(rule, bucket, vectors, stride)) left_bad = 1;
  __syncthreads();
  if (threadIdx.x != 0 || not_finite_before) return;
  const bool bad = seen_bad != 0 || left_bad != 0;
  const unsigned long long before = atomicAdd(done, 1 + (bad ? not_finite : 0ULL));
  if (before % not_finite + 1 < gridDim.x) return;
  *done = 0;
  if (bad || before >= not_finite) *non_finite_step = step->step;
}

template <class Rule>
void launch_update(const Rule& rule, const UpdateViews& on, const Scratch& scratch, cudaStream_t stream) {
  Bucket<Rule> bucket{.n = on.n, .w = on.w, .g = on.g, .states = {}};
  bool by_fours = on_vector_boundary(on.w, on.g);
  for (int s = 0; s < Rule::states; ++s) {
    bucket.states[s] = static_cast<float*>(on.states[static_cast<std::size_t>(s)].data());
    by_fours = by_fours && on_vector_boundary(bucket.states[s]);
  }
  const std::int64_t vectors = by_fours ? on.n / 4 : 0;
  const std::int64_t work = std::max(vectors, on.n - 4 * vectors);
  launch(update_bucket<Rule>, {.grid = dim3(blocks_for(work, 2048)), .block = dim3(elementwise_threads)},
         stream, rule, on.step, on.sums, bucket, vectors, on.non_finite_step, scratch.done);
}

}  // namespace

void update(const OptimizerSpec& optimizer, const UpdateViews& on, const Scratch& scratch,
            cudaStream_t stream) {
  switch (optimizer.rule) {
    case OptimizerRule::sgd:
      return launch_update(ByVelocity<false>(optimizer), on, scratch, stream);
    case OptimizerRule::nesterov:
      return launch_update(ByVelocity<true>(optimizer), on, scratch, stream);
    case OptimizerRule::adam:
    case OptimizerRule::adamw:
      return launch_update(ByMoments(optimizer), on, scratch, stream);
  }
}

}  // namespace partita::kernels::cuda
