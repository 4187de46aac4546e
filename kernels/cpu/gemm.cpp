/// Matrix products by oneDNN's matmul on plain row-major operands, with alpha, beta, bias and ReLU fused;
/// masks and row sums are passes of their own.
#include "elementwise.hpp"
#include "engine.hpp"
#include "partita/kernels/cpu/yardstick.hpp"

namespace partita::kernels::cpu {
namespace {

using onednn::memory;

/// Sums of the rows of op(A): its columns where A is stored transposed and dense.
void sum_rows_of(const GemmShape& s, ConstView a, View sums) {
  const auto A = a.as<float>();
  const auto r = sums.as<float>();
  if (s.transpose_a && s.leading_a() == s.m && s.alpha == 1 && (s.beta == 0 || s.beta == 1))
    return sum_rows(s.k, s.m, A, r, s.beta == 0 ? Write::overwrite : Write::accumulate);
  const std::int64_t to_row = s.transpose_a ? 1 : s.leading_a(), to_next = s.transpose_a ? s.leading_a() : 1;
  for (std::int64_t i = 0; i < s.m; ++i) {
    float sum = 0;
    for (std::int64_t k = 0; k < s.k; ++k)
      sum += A[static_cast<std::size_t>(i * to_row + k * to_next)];
    float& target = r[static_cast<std::size_t>(i)];
    target = static_cast<float>(s.alpha) * sum + (s.beta == 0 ? 0.0F : static_cast<float>(s.beta) * target);
  }
}

/// A vector whose values lie apart. oneDNN 3.7 reads such a row of A as if it were dense and, given such a
/// column C, writes between its values: the library gets a dense copy in the workspace instead.
class Apart {
 public:
  Apart() = default;
  Apart(std::int64_t count, std::int64_t stride, WorkspaceLayout& layout)
      : count_(count), stride_(stride), at_(layout.add(static_cast<std::size_t>(count) * sizeof(float))) {}
  [[nodiscard]] bool needed() const { return count_ > 0; }
  float* gather(std::span<const float> from, Workspace w) const {
    float* const dense = in(w);
    for (std::int64_t i = 0; i < count_; ++i)
      dense[i] = from[static_cast<std::size_t>(i * stride_)];
    return dense;
  }
  void scatter(Workspace w, std::span<float> to) const {
    for (std::int64_t i = 0; i < count_; ++i)
      to[static_cast<std::size_t>(i * stride_)] = in(w)[i];
  }
  float* in(Workspace w) const { return reinterpret_cast<float*>(w.data() + at_); }

 private:
  std::int64_t count_ = 0, stride_ = 1;
  std::size_t at_ = 0;
};

class CpuGemm final : public Gemm {
 public:
  explicit CpuGemm(const GemmShape& s) : s_(s) {
    if (s.m == 0 || s.n == 0 || s.k == 0) return;
    const auto matrix = [](std::int64_t rows, std::int64_t columns, bool transposed, std::int64_t leading) {
      return memory::desc({rows, columns}, f32,
                          transposed ? memory::dims{1, leading} : memory::dims{leading, 1});
    };
    if (s.m == 1 && s.transpose_a && s.leading_a() > 1) row_ = Apart(s.k, s.leading_a(), layout_);
    if (s.n == 1 && s.leading_c() > 1) column_ = Apart(s.m, s.leading_c(), layout_);
    const auto a = matrix(s.m, s.k, s.transpose_a, row_.needed() ? 1 : s.leading_a()),
               b = matrix(s.k, s.n, s.transpose_b, s.leading_b()),
               c = matrix(s.m, s.n, false, column_.needed() ? 1 : s.leading_c());
    const memory::desc bias({1, s.n}, f32, memory::dims{s.n, 1});
    const auto attributes = attributes_of(s, bias);
    using Product = onednn::matmul::primitive_desc;
    const auto primitive = s.bias && !adds_bias_afterwards() ? Product(engine(), a, b, bias, c, attributes)
                                                             : Product(engine(), a, b, c, attributes);
    product_ = Bound(onednn::matmul(primitive));
    product_.argument(DNNL_ARG_SRC, a).argument(DNNL_ARG_WEIGHTS, b).argument(DNNL_ARG_DST, c);
    if (s.bias) product_.argument(bias_argument(), bias);
    product_.argument(DNNL_ARG_SCRATCHPAD, primitive.scratchpad_desc());
    scratch_ = layout_.add(primitive.scratchpad_desc().get_size());
  }

  Bytes workspace() const override { return layout_.total(); }

  void run(const GemmViews& views, Workspace workspace) override {
    if (s_.row_sums) sum_rows_of(s_, views.a, views.row_sums);
    if (s_.m == 0 || s_.n == 0) return;
    if (s_.k == 0) {
      without_product(views.bias, views.c);
    } else {
      multiply(views, workspace);
    }
    if (s_.epilogue == Epilogue::relu_mask) apply_mask(views.mask, views.c);
  }

 private:
  /// oneDNN adds its own bias to the product, before all else; with an alpha it must come after the scaling.
  [[nodiscard]] bool adds_bias_afterwards() const { return s_.alpha != 1; }
  [[nodiscard]] int bias_argument() const {
    if (!adds_bias_afterwards()) return DNNL_ARG_BIAS;
    return DNNL_ARG_ATTR_MULTIPLE_POST_OP(s_.beta != 0 ? 2 : 1) | DNNL_ARG_SRC_1;
  }

  [[nodiscard]] onednn::primitive_attr attributes_of(const GemmShape& s, const memory::desc& bias) const {
    auto attributes = user_scratchpad();
    onednn::post_ops after;
    if (s.alpha != 1) after.append_eltwise(onednn::algorithm::eltwise_linear, static_cast<float>(s.alpha), 0);
    if (s.beta != 0) after.append_sum(static_cast<float>(s.beta));
    if (s.bias && adds_bias_afterwards()) after.append_binary(onednn::algorithm::binary_add, bias);
    if (s.epilogue == Epilogue::relu) after.append_eltwise(onednn::algorithm::eltwise_relu, 0, 0);
    attributes.set_post_ops(after);
    return attributes;
  }

  void multiply(const GemmViews& views, Workspace w) {
    const void* a = views.a.data();
    void* c = views.c.data();
    if (row_.needed()) a = row_.gather(views.a.as<float>(), w);
    if (column_.needed()) c = s_.beta != 0 ? column_.gather(views.c.as<float>(), w) : column_.in(w);
    product_.at(DNNL_ARG_SRC, a).at(DNNL_ARG_WEIGHTS, views.b.data()).at(DNNL_ARG_DST, c);
    if (s_.bias) product_.at(bias_argument(), views.bias.data());
    product_.at(DNNL_ARG_SCRATCHPAD, w.data() + scratch_).run();
    if (column_.needed()) column_.scatter(w, views.c.as<float>());
  }

  /// k = 0: only beta·C, the bias and the epilogue remain.
  void without_product(ConstView bias, View c) const {
    const auto C = c.as<float>();
    for (std::int64_t i = 0; i < s_.m; ++i)
      for (std::int64_t j = 0; j < s_.n; ++j) {
        float& target = C[static_cast<std::size_t>(i * s_.leading_c() + j)];
        float value = s_.bias ? bias.as<float>()[static_cast<std::size_t>(j)] : 0.0F;
        if (s_.beta != 0) value += static_cast<float>(s_.beta) * target;
        target = s_.epilogue == Epilogue::relu && value < 0 ? 0.0F : value;
      }
  }

  void apply_mask(ConstView mask, View c) const {
    for (std::int64_t i = 0; i < s_.m; ++i) {
      const auto row = static_cast<std::size_t>(i * s_.leading_c()), n = static_cast<std::size_t>(s_.n);
      const auto part = c.as<float>().subspan(row, n);
      mask_by_positive(mask.as<float>().subspan(row, n), part, part);
    }
  }

  GemmShape s_;
  Bound product_;
  WorkspaceLayout layout_;
  Apart row_, column_;  ///< A or C where its values lie apart
  std::size_t scratch_ = 0;
};

}  // namespace

void library_sgemm(const GemmShape& s, ConstView a, ConstView b, View c) {
  onednn::sgemm(s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', s.m, s.n, s.k, 1.0F,
                a.as<float>().data(), s.leading_a(), b.as<float>().data(), s.leading_b(), 0.0F,
                c.as<float>().data(), s.leading_c());
}

std::unique_ptr<Gemm> plan_gemm(const GemmShape& shape) { return std::make_unique<CpuGemm>(shape); }

}  // namespace partita::kernels::cpu
