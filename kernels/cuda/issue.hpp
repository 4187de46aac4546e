/// What the kernels beside products, convolutions and pooling are issued with: each function puts its work on
/// a stream and returns. Pointers are to device memory; the formulae are those of `kernels::Backend`.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <span>

#include "partita/kernels/operations.hpp"
#include "partita/kernels/strided_block.hpp"
#include "partita/kernels/view.hpp"

namespace partita::kernels {
class Shape;
struct OptimizerSpec;
}  // namespace partita::kernels

namespace partita::kernels::cuda {

/// Memory for parts of sums, of one back-end: its kernels run one after the other on one stream and may all
/// use it.
struct Scratch {
  static constexpr std::int64_t floats = 1 << 18;
  static constexpr std::int64_t blocks = 1024;  ///< that a loss is summed over at most
  float* rows = nullptr;                        ///< [floats]: parts of sums over rows
  double* sums = nullptr;                       ///< [blocks, 2]: parts of `LossSums`
  unsigned long long* done = nullptr;           ///< blocks of an update that are done; 0 between updates
};

void relu_forward(std::int64_t n, const float* x, float* y, cudaStream_t);
void relu_backward(std::int64_t n, const float* y, const float* dy, float* dx, cudaStream_t);
void tanh_forward(std::int64_t n, const float* x, float* y, cudaStream_t);
void tanh_backward(std::int64_t n, const float* y, const float* dy, float* dx, cudaStream_t);

void dropout(const DropoutShape&, const StepValues* step, std::uint32_t layer, Samples first_sample,
             const float* x, float* y, cudaStream_t);
/// What becomes of the columns [channels, pixels] of a table: c's by scale[c] and shift[c]; null leaves them.
struct ChannelScales {
  std::int64_t channels = 1, pixels = 0;
  const double *scale = nullptr, *shift = nullptr;
};
/// `Out` is float from uint8 and float tables, int32 from int32 tables; an index beyond the table gives NaN
/// or −1.
template <class In, class Out>
void gather(std::int64_t table_rows, const In* table, const ChannelScales&, std::int64_t rows,
            const std::int64_t* indices, Out* out, cudaStream_t);

void reorder(std::int64_t batch, const Shape& image, Layout from, Layout to, const float* x, float* y,
             cudaStream_t);
/// Of a block that is not empty and lies in its views.
void copy_block(const BlockExtents&, const StridedBlock& from, const float* x, const StridedBlock& to,
                float* y, Write, cudaStream_t);
void sum_rows(std::int64_t rows, std::int64_t columns, const float* x, float* b, Write, const Scratch&,
              cudaStream_t);

/// The columns [first_class, first_class + classes) of the logits of a batch, and the labels.
struct Logits {
  std::int64_t batch = 0, classes = 0, first_class = 0;
  const float* logits = nullptr;
  const std::int32_t* labels = nullptr;
};
/// Null for `dlogits` asks for the sums only. A label that is no class makes the loss NaN.
void cross_entropy(const Logits&, double gradient_scale, float* dlogits, double* sums, const Scratch&,
                   cudaStream_t);
void cross_entropy_statistics(const Logits&, float* statistics, cudaStream_t);
/// Throws std::length_error for more than `most_shards`.
inline constexpr std::size_t most_shards = 512;
void cross_entropy_finish(const Logits&, std::span<const std::int64_t> class_offsets, const float* statistics,
                          double gradient_scale, float* dlogits, double* sums, const Scratch&, cudaStream_t);
void mean_squared_error(std::int64_t batch, std::int64_t features, const float* output, const float* target,
                        double gradient_scale, float* doutput, double* sums, const Scratch&, cudaStream_t);
void add_sums(std::int64_t n, const double* parts, bool in_tree, double* total, cudaStream_t);

/// What an update of a bucket works on; vectors are [n]. `sums` may be null: a rank without the loss looks at
/// gradients only.
struct UpdateViews {
  const StepValues* step;
  const double* sums;
  const double* scale;    ///< of a gradient that is clipped; else null
  const double* squares;  ///< of a rule that takes norms; else null
  std::int64_t n;
  float* w;
  const float* g;
  std::span<const View> states;
  std::int64_t* non_finite_step;
};
void update(const OptimizerSpec&, const UpdateViews&, const Scratch&, cudaStream_t);
void direct(const OptimizerSpec&, const UpdateViews&, float* u, const Scratch&, cudaStream_t);

/// Σ x² to one double.
void sum_squares(std::int64_t n, const float* x, double* sum, Write, const Scratch&, cudaStream_t);
void add_rows(std::int64_t rows, std::int64_t columns, const double* x, double* total, cudaStream_t);
void clip(std::int64_t n, std::int64_t parts, const double* squares, double limit, double* scale,
          cudaStream_t);

}  // namespace partita::kernels::cuda
