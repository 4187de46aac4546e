/// Softmax cross-entropy over classes that are cut into shards, in the two halves of the contract.
///
/// All that the loss of a row is made of are the shards' statistics, and how rows are given to threads
/// depends on the number of classes of the whole only: so every shard issues the same instructions for it and
/// gets the same bits.
#include <limits>
#include <stdexcept>

#include "loss_sums.hpp"

namespace partita::kernels::cuda {
namespace {

constexpr int per_sample = 3;  ///< statistics

__device__ float lowest() { return -std::numeric_limits<float>::infinity(); }

template <int Threads>
__global__ void shard_statistics(Logits l, float* statistics) {
  using Row = Group<Threads>;
  __shared__ double doubles[block_warps];
  __shared__ float floats[block_warps];
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * Row::rows + Row::row();
  const bool present = i < l.batch;
  const std::int64_t classes = present ? l.classes : 0;
  const float* row = l.logits + i * l.classes;
  float largest = lowest();
  for (std::int64_t j = Row::lane(); j < classes; j += Threads)
    largest = Larger()(largest, row[j]);
  largest = Row::reduce(largest, Larger(), floats);
  const float shift = largest == lowest() ? 0.0F : largest;  // what is not a number must stay in the sum
  const std::int64_t label = present ? l.labels[i] - l.first_class : -1;
  const bool mine = label >= 0 && label < classes;
  const float picked = mine ? row[label] : 0.0F;
  double total = 0, lower_ties = 0;
  for (std::int64_t j = Row::lane(); j < classes; j += Threads) {
    total += static_cast<double>(expf(row[j] - shift));
    if (mine && j < label && row[j] == picked) lower_ties = 1;
  }
  total = Row::reduce(total, Sum(), doubles);
  lower_ties = Row::reduce(lower_ties, Sum(), doubles);
  if (!present || Row::lane() != 0) return;
  float* out = statistics + i * per_sample;
  out[0] = largest, out[1] = static_cast<float>(lower_ties > 0 ? -total : total), out[2] = picked;
}

struct Shards {
  int count = 0;
  std::int32_t offsets[most_shards + 1] = {};
};

/// What all shards together know of a sample; the loss is NaN where the label is no class.
struct Whole {
  float largest = 0;
  double total = 0, loss = 0;
  bool correct = false;
};

__device__ Whole combine(const float* statistics, std::int64_t batch, const Shards& shards,
                         std::int64_t label) {
  const std::int64_t step = batch * per_sample;
  Whole whole{.largest = lowest()};
  for (int s = 0; s < shards.count; ++s)
    whole.largest = Larger()(whole.largest, statistics[s * step]);
  int owner = -1;
  bool lower_shard_as_large = false;
  for (int s = 0; s < shards.count; ++s) {
    const float* shard = statistics + s * step;
    // An empty shard adds 0 · exp(−∞ − largest) = 0.
    whole.total = fma(fabs(static_cast<double>(shard[1])),
                      static_cast<double>(expf(shard[0] - whole.largest)), whole.total);
    if (label >= shards.offsets[s] && label < shards.offsets[s + 1]) owner = s;
    if (owner < 0 && shards.offsets[s] < shards.offsets[s + 1])
      lower_shard_as_large = lower_shard_as_large || shard[0] == whole.largest;
  }
  if (owner < 0) {
    whole.loss = std::numeric_limits<double>::quiet_NaN();
    return whole;
  }
  const float* mine = statistics + owner * step;
  whole.loss = log(whole.total) + (static_cast<double>(whole.largest) - static_cast<double>(mine[2]));
  whole.correct = mine[2] == whole.largest && !(mine[1] < 0) && !lower_shard_as_large;
  return whole;
}

template <int Threads>
__global__ void shard_finish(Logits l, Shards shards, const float* statistics, std::int64_t of_block,
                             double gradient_scale, float* dlogits, double* sums) {
  using Row = Group<Threads>;
  __shared__ double room[block_warps];
  const std::int64_t begin = blockIdx.x * of_block;
  const std::int64_t end = begin + of_block < l.batch ? begin + of_block : l.batch;
  LossPart part;
  for (std::int64_t i = begin + Row::row(); i < end; i += Row::rows) {
    const std::int64_t label = l.labels[i];
    const Whole whole = combine(statistics + i * per_sample, l.batch, shards, label);
    if (Row::lane() == 0) part.loss += whole.loss, part.correct += whole.correct ? 1.0 : 0.0;
    if (dlogits == nullptr) continue;
    const auto factor = static_cast<float>(gradient_scale / whole.total),
               one = static_cast<float>(gradient_scale);
    for (std::int64_t j = Row::lane(); j < l.classes; j += Threads) {
      const float e = expf(l.logits[i * l.classes + j] - whole.largest);
      dlogits[i * l.classes + j] = fmaf(e, factor, j + l.first_class == label ? -one : 0.0F);
    }
  }
  write_part(part, room, sums);
}

template <int Threads>
void issue_statistics(const Logits& l, float* statistics, cudaStream_t stream) {
  constexpr std::int64_t rows = Group<Threads>::rows;
  launch(shard_statistics<Threads>,
         {.grid = dim3(static_cast<unsigned>((l.batch + rows - 1) / rows)), .block = dim3(block_threads)},
         stream, l, statistics);
}

template <int Threads>
void issue_finish(const Logits& l, const Shards& shards, const float* statistics, double gradient_scale,
                  float* dlogits, double* sums, const Scratch& scratch, cudaStream_t stream) {
  const auto cut = cut_loss(l.batch, Group<Threads>::rows);
  issue_loss(cut, sums, scratch, stream, [&](double* parts) {
    launch(shard_finish<Threads>, {.grid = dim3(cut.blocks), .block = dim3(block_threads)}, stream, l, shards,
           statistics, cut.of_block, gradient_scale, dlogits, parts);
  });
}

}  // namespace

void cross_entropy_statistics(const Logits& l, float* statistics, cudaStream_t stream) {
  (l.classes <= 32     ? issue_statistics<1>
   : l.classes <= 2048 ? issue_statistics<32>
                       : issue_statistics<256>)(l, statistics, stream);
}

void cross_entropy_finish(const Logits& l, std::span<const std::int64_t> class_offsets,
                          const float* statistics, double gradient_scale, float* dlogits, double* sums,
                          const Scratch& scratch, cudaStream_t stream) {
  if (class_offsets.size() > most_shards + 1)
    throw std::length_error("classes are cut into more shards than 512");
  Shards shards{.count = static_cast<int>(class_offsets.size()) - 1};
  for (std::size_t s = 0; s < class_offsets.size(); ++s)
    shards.offsets[s] = static_cast<std::int32_t>(class_offsets[s]);
  const std::int64_t classes = class_offsets.back();  // of the whole: the same on all shards
  const auto issue = classes <= 32 ? issue_finish<1> : classes <= 2048 ? issue_finish<32> : issue_finish<256>;
  issue(l, shards, statistics, gradient_scale, dlogits, sums, scratch, stream);
}

}  // namespace partita::kernels::cuda
