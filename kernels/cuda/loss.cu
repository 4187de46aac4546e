/// Softmax cross-entropy and mean squared error with their gradients, and the sums of losses.
///
/// A row of logits belongs to one thread where classes are few (a batch of MNIST is one launch of one block),
/// to a warp or to a block where they are many. Exponentials are float32, their sums and the loss float64.
#include <limits>

#include "loss_sums.hpp"
#include "vectors.hpp"

namespace partita::kernels::cuda {
namespace {

constexpr std::int64_t no_class = INT64_MAX;

template <int Threads>
__global__ void softmax_loss(Logits l, std::int64_t of_block, double gradient_scale, float* dlogits,
                             double* sums) {
  using Row = Group<Threads>;
  __shared__ double doubles[block_warps];
  __shared__ float floats[block_warps];
  __shared__ std::int64_t integers[block_warps];
  const std::int64_t begin = blockIdx.x * of_block;
  const std::int64_t end = begin + of_block < l.batch ? begin + of_block : l.batch;
  LossPart part;
  for (std::int64_t first = begin; first < end; first += Row::rows) {
    const std::int64_t i = first + Row::row(), classes = i < end ? l.classes : 0;
    const float* row = l.logits + i * l.classes;
    float largest = -std::numeric_limits<float>::infinity();
    for (std::int64_t j = Row::lane(); j < classes; j += Threads)
      largest = Larger()(largest, row[j]);
    largest = Row::reduce(largest, Larger(), floats);
    double total = 0;
    std::int64_t winner = no_class;
    for (std::int64_t j = Row::lane(); j < classes; j += Threads) {
      total += static_cast<double>(expf(row[j] - largest));
      if (winner == no_class && row[j] == largest) winner = j;
    }
    total = Row::reduce(total, Sum(), doubles);
    winner = Row::reduce(winner, Lower(), integers);
    if (classes == 0) continue;
    const std::int64_t label = l.labels[i];
    if (Row::lane() == 0) {
      const bool known = label >= 0 && label < classes;
      part.loss += known ? log(total) + (static_cast<double>(largest) - static_cast<double>(row[label]))
                         : std::numeric_limits<double>::quiet_NaN();
      part.correct += winner == label ? 1.0 : 0.0;
    }
    if (dlogits == nullptr) continue;
    const auto factor = static_cast<float>(gradient_scale / total), one = static_cast<float>(gradient_scale);
    for (std::int64_t j = Row::lane(); j < classes; j += Threads)
      dlogits[i * classes + j] = fmaf(expf(row[j] - largest), factor, j == label ? -one : 0.0F);
  }
  write_part(part, doubles, sums);
}

template <int Threads>
void issue_softmax(const Logits& l, double gradient_scale, float* dlogits, double* sums,
                   const Scratch& scratch, cudaStream_t stream) {
  const auto cut = cut_loss(l.batch, Group<Threads>::rows);
  issue_loss(cut, sums, scratch, stream, [&](double* parts) {
    launch(softmax_loss<Threads>, {.grid = dim3(cut.blocks), .block = dim3(block_threads)}, stream, l,
           cut.of_block, gradient_scale, dlogits, parts);
  });
}

__global__ void squares(std::int64_t n, std::int64_t of_block, double per_feature, float scale,
                        const float* output, const float* target, float* doutput, double* sums) {
  __shared__ double room[block_warps];
  const std::int64_t begin = blockIdx.x * of_block, end = begin + of_block < n ? begin + of_block : n;
  LossPart part;
  for (std::int64_t i = begin + threadIdx.x; i < end; i += block_threads) {
    const float difference = output[i] - target[i];
    const double exact = static_cast<double>(output[i]) - static_cast<double>(target[i]);
    part.loss = fma(exact, exact, part.loss);
    if (doutput != nullptr) doutput[i] = scale * difference;
  }
  part.loss *= per_feature;
  write_part(part, room, sums);
}

__global__ void sum_parts(unsigned blocks, const double* parts, double* sums) {
  __shared__ double room[block_warps];
  LossPart part;
  for (unsigned i = threadIdx.x; i < blocks; i += block_threads)
    part.loss += parts[2 * i], part.correct += parts[2 * i + 1];
  write_part(part, room, sums);
}

/// One thread: grains and micro-batches are few. The tree is that of a binary counter: what is complete on a
/// level is added to its left neighbour.
__global__ void add_parts(std::int64_t n, const double* parts, bool in_tree, double* total) {
  double loss = 0, correct = 0, waiting[64];
  int depth = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    double part = parts[2 * i];
    correct += parts[2 * i + 1];
    if (in_tree) {
      for (std::int64_t carries = i; carries % 2 == 1; carries /= 2)
        part = waiting[--depth] + part;
      waiting[depth++] = part;
    } else {
      loss += part;
    }
  }
  total[0] = in_tree && n > 0 ? waiting[0] : loss;
  total[1] = correct;
}

}  // namespace

void finish_sums(unsigned blocks, const double* parts, double* sums, cudaStream_t stream) {
  launch(sum_parts, {.block = dim3(block_threads)}, stream, blocks, parts, sums);
}

void cross_entropy(const Logits& l, double gradient_scale, float* dlogits, double* sums,
                   const Scratch& scratch, cudaStream_t stream) {
  const auto issue = l.classes <= 32     ? issue_softmax<1>
                     : l.classes <= 2048 ? issue_softmax<32>
                                         : issue_softmax<256>;
  issue(l, gradient_scale, dlogits, sums, scratch, stream);
}

void mean_squared_error(std::int64_t batch, std::int64_t features, const float* output, const float* target,
                        double gradient_scale, float* doutput, double* sums, const Scratch& scratch,
                        cudaStream_t stream) {
  const std::int64_t n = batch * features;
  const double per_feature = features > 0 ? 1.0 / static_cast<double>(features) : 0.0;
  const auto scale = static_cast<float>(2.0 * per_feature * gradient_scale);
  const auto cut = cut_loss(n, 4 * block_threads);
  issue_loss(cut, sums, scratch, stream, [&](double* parts) {
    launch(squares, {.grid = dim3(cut.blocks), .block = dim3(block_threads)}, stream, n, cut.of_block,
           per_feature, scale, output, target, doutput, parts);
  });
}

void add_sums(std::int64_t n, const double* parts, bool in_tree, double* total, cudaStream_t stream) {
  launch(add_parts, {}, stream, n, parts, in_tree, total);
}

}  // namespace partita::kernels::cuda
