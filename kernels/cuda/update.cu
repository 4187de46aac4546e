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
#include "partita/kernels/optimizer.hpp"
#include "vectors.hpp"

namespace partita::kernels::cuda {
namespace {

constexpr unsigned long long not_finite = 1ULL << 32;  // added to the counter by a block that left such a w

/// What kernels read of a step besides the vectors.
struct Given {
  const StepValues* step;
  const double *sums, *scale, *squares;

  [[nodiscard]] __device__ double factor() const { return scale == nullptr ? 1 : scale[1]; }
  [[nodiscard]] __device__ double trust(const OptimizerSpec& optimizer) const {
    return squares == nullptr ? 1 : trust_of(optimizer, sqrt(squares[0]), factor() * sqrt(squares[1]));
  }
  [[nodiscard]] __device__ bool is_finite() const {
    return (sums == nullptr || std::isfinite(sums[0])) && (scale == nullptr || std::isfinite(scale[1])) &&
           (squares == nullptr || (std::isfinite(squares[0]) && std::isfinite(squares[1])));
  }
};

/// A rule of `OptimizerRule`: `begin` reads what the step brings, `update` changes one element and its
/// states, which `w` is, or into which `u`.
template <bool nesterov>
struct ByVelocity {
  static constexpr int states = 1;
  static constexpr bool directs = false;
  OptimizerSpec optimizer;
  float momentum, decay, rate = 0, factor = 1, trust = 1;

  explicit ByVelocity(const OptimizerSpec& spec)
      : optimizer(spec),
        momentum(static_cast<float>(spec.momentum)),
        decay(static_cast<float>(spec.weight_decay)) {}
  __device__ void begin(const Given& given) {
    rate = static_cast<float>(given.step->learning_rate);
    factor = static_cast<float>(given.factor());
    trust = static_cast<float>(given.trust(optimizer));
  }
  __device__ float update(float w, float g, float (&v)[most_states]) const {
    const float gradient = trust * fmaf(decay, w, factor * g);
    v[0] = fmaf(momentum, v[0], gradient);
    return fmaf(-rate, nesterov ? fmaf(momentum, v[0], gradient) : v[0], w);
  }
};

/// adam, adamw and what comes before lamb. What a step makes of its scalars is computed in double once a
/// thread.
template <bool into_u>
struct ByMoments {
  static constexpr int states = 2;
  static constexpr bool directs = into_u;
  float beta1, others1, beta2, others2, epsilon;
  double weight_decay;
  bool adds_decay, decays_apart;
  float length = 0, correction = 0, of_gradient = 0, of_weight = 0, factor = 1;

  explicit ByMoments(const OptimizerSpec& optimizer)
      : beta1(static_cast<float>(optimizer.beta1)),
        others1(static_cast<float>(1 - optimizer.beta1)),
        beta2(static_cast<float>(optimizer.beta2)),
        others2(static_cast<float>(1 - optimizer.beta2)),
        epsilon(static_cast<float>(optimizer.epsilon)),
        weight_decay(optimizer.weight_decay),
        adds_decay(optimizer.rule == OptimizerRule::adam),
        decays_apart(optimizer.rule == OptimizerRule::adamw) {}
  __device__ void begin(const Given& given) {
    const auto& step = *given.step;
    length = static_cast<float>((directs ? 1 : step.learning_rate) / step.first_correction);
    correction = static_cast<float>(1 / step.second_correction);
    of_gradient = static_cast<float>(adds_decay ? weight_decay : 0);
    of_weight = static_cast<float>(decays_apart ? step.learning_rate * weight_decay : 0);
    factor = static_cast<float>(given.factor());
  }
  __device__ float update(float w, float g, float (&moments)[most_states]) const {
    const float weight = fmaf(-of_weight, w, w), gradient = fmaf(of_gradient, weight, factor * g);
    moments[0] = fmaf(beta1, moments[0], others1 * gradient);
    moments[1] = fmaf(beta2, moments[1], others2 * (gradient * gradient));
    const float change = moments[0] / fmaf(sqrtf(moments[1]), correction, epsilon);
    return directs ? fmaf(static_cast<float>(weight_decay), weight, length * change)
                   : fmaf(-length, change, weight);
  }
};

/// lamb: g is u.
struct ByDirection {
  static constexpr int states = 0;
  static constexpr bool directs = false;
  OptimizerSpec optimizer;
  float length = 0;

  explicit ByDirection(const OptimizerSpec& spec) : optimizer(spec) {}
  __device__ void begin(const Given& given) {
    length = static_cast<float>(given.step->learning_rate * given.trust(optimizer));
  }
  __device__ float update(float w, float u, float*) const { return fmaf(-length, u, w); }
};

/// A bucket's vectors, [n] each.
template <class Rule>
struct Bucket {
  std::int64_t n;
  float* w;
  const float* g;
  float* states[most_states];
  float* written;  ///< w, or u
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
  Elements w = reinterpret_cast<Elements*>(bucket.w)[i], states[most_states];
  const Elements g = reinterpret_cast<const Elements*>(bucket.g)[i];
#pragma unroll
  for (int s = 0; s < Rule::states; ++s)
    states[s] = reinterpret_cast<Elements*>(bucket.states[s])[i];
  unsigned bad = 0;
#pragma unroll
  for (int e = 0; e < count; ++e) {
    float own[most_states];
#pragma unroll
    for (int s = 0; s < Rule::states; ++s)
      own[s] = states[s].of[e];
    w.of[e] = rule.update(w.of[e], g.of[e], own);
    if (!std::isfinite(w.of[e])) bad |= 1U << e;
#pragma unroll
    for (int s = 0; s < Rule::states; ++s)
      states[s].of[e] = own[s];
  }
  reinterpret_cast<Elements*>(bucket.written)[i] = w;
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
__global__ void update_bucket(Rule rule, Given given, Bucket<Rule> bucket, std::int64_t vectors,
                              std::int64_t* non_finite_step, unsigned long long* done) {
  __shared__ int seen_bad, left_bad;
  const bool not_finite_before = *non_finite_step >= 0;
  if (threadIdx.x == 0) seen_bad = !given.is_finite(), left_bad = 0;
  __syncthreads();
  const std::int64_t stride = bucket.n > looked_at ? bucket.n / looked_at : 1;
  // Where u takes the place of g other blocks may have written some of it.
  for (std::int64_t i = threadIdx.x * stride; !Rule::directs && i < bucket.n; i += blockDim.x * stride)
    if (!std::isfinite(bucket.g[i])) seen_bad = 1;
  __syncthreads();
  const bool updates = !not_finite_before && seen_bad == 0;
  rule.begin(given);
  if (updates && !update_share(rule, bucket, vectors, stride)) left_bad = 1;
  __syncthreads();
  if (threadIdx.x != 0 || not_finite_before) return;
  const bool bad = seen_bad != 0 || left_bad != 0;
  const unsigned long long before = atomicAdd(done, 1 + (bad ? not_finite : 0ULL));
  if (before % not_finite + 1 < gridDim.x) return;
  *done = 0;
  if (bad || before >= not_finite) *non_finite_step = given.step->step;
}

template <class Rule>
void launch_update(const Rule& rule, const UpdateViews& on, float* written, const Scratch& scratch,
                   cudaStream_t stream) {
  Bucket<Rule> bucket{.n = on.n, .w = on.w, .g = on.g, .states = {}, .written = written};
  bool by_fours = on_vector_boundary(on.w, on.g, written);
  for (int s = 0; s < Rule::states; ++s) {
    bucket.states[s] = static_cast<float*>(on.states[static_cast<std::size_t>(s)].data());
    by_fours = by_fours && on_vector_boundary(bucket.states[s]);
  }
  const std::int64_t vectors = by_fours ? on.n / 4 : 0;
  const std::int64_t work = std::max(vectors, on.n - 4 * vectors);
  launch(update_bucket<Rule>, {.grid = dim3(blocks_for(work, 2048)), .block = dim3(elementwise_threads)},
         stream, rule, Given{on.step, on.sums, on.scale, on.squares}, bucket, vectors, on.non_finite_step,
         scratch.done);
}

}  // namespace

void update(const OptimizerSpec& optimizer, const UpdateViews& on, const Scratch& scratch,
            cudaStream_t stream) {
  switch (optimizer.rule) {
    case OptimizerRule::sgd:
    case OptimizerRule::lars:
      return launch_update(ByVelocity<false>(optimizer), on, on.w, scratch, stream);
    case OptimizerRule::nesterov:
      return launch_update(ByVelocity<true>(optimizer), on, on.w, scratch, stream);
    case OptimizerRule::adam:
    case OptimizerRule::adamw:
      return launch_update(ByMoments<false>(optimizer), on, on.w, scratch, stream);
    case OptimizerRule::lamb:
      return launch_update(ByDirection(optimizer), on, on.w, scratch, stream);
  }
}

void direct(const OptimizerSpec& optimizer, const UpdateViews& on, float* u, const Scratch& scratch,
            cudaStream_t stream) {
  launch_update(ByMoments<true>(optimizer), on, u, scratch, stream);
}

}  // namespace partita::kernels::cuda
