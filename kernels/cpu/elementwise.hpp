/// Loops over elements in float32, written so that the compiler vectorises them.
#pragma once

#include "partita/kernels/backend.hpp"

namespace partita::kernels::cpu {

void relu(std::span<const float> x, std::span<float> y);
void mask_by_positive(std::span<const float> y, std::span<const float> dy, std::span<float> dx);
void tanh_gradient(std::span<const float> y, std::span<const float> dy, std::span<float> dx);
void sum_rows(std::int64_t rows, std::int64_t columns, std::span<const float> x, std::span<float> b, Write);
void dropout(const DropoutShape&, RandomStream, Samples first, std::span<const float> x, std::span<float> y);
/// Of a block that is not empty.
void copy_block(const BlockExtents&, const StridedBlock& from, std::span<const float> x,
                const StridedBlock& to, std::span<float> y, Write);
void reorder(std::int64_t batch, const Shape& image, Layout from, Layout to, std::span<const float> x,
             std::span<float> y);
LossSums cross_entropy(std::int64_t batch, std::int64_t classes, std::span<const float> logits,
                       std::span<const std::int32_t> labels, double gradient_scale, std::span<float> dlogits);
/// The columns [first_class, first_class + classes) of the logits of a batch.
struct LogitsShard {
  std::int64_t batch, classes, first_class;
};
void cross_entropy_statistics(const LogitsShard&, std::span<const float> logits,
                              std::span<const std::int32_t> labels, std::span<float> statistics);
LossSums cross_entropy_finish(const LogitsShard&, std::span<const std::int64_t> class_offsets,
                              std::span<const float> statistics, std::span<const float> logits,
                              std::span<const std::int32_t> labels, double gradient_scale,
                              std::span<float> dlogits);
LossSums mean_squared_error(std::int64_t features, std::span<const float> output,
                            std::span<const float> target, double gradient_scale, std::span<float> doutput);
void update(const OptimizerSpec&, const Update&);
/// u may be the gradient.
void direct(const OptimizerSpec&, const Update&, std::span<float> u);
double squares(std::span<const float> x);

}  // namespace partita::kernels::cpu
