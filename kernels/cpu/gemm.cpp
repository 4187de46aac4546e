/// Matrix products by oneDNN's matmul on plain row-major operands, with bias, ReLU and accumulation fused.
#include "engine.hpp"
#include "partita/kernels/cpu/yardstick.hpp"

namespace partita::kernels::cpu {
namespace {

using dnnl::memory;

class CpuGemm final : public Gemm {
 public:
  explicit CpuGemm(const GemmShape& s) : s_(s) {
    if (s.m == 0 || s.n == 0 || s.k == 0) return;
    const auto matrix = [](std::int64_t rows, std::int64_t columns, bool transposed) {
      return memory::desc({rows, columns}, f32,
                          transposed ? memory::dims{1, rows} : memory::dims{columns, 1});
    };
    const auto a = matrix(s.m, s.k, s.transpose_a), b = matrix(s.k, s.n, s.transpose_b),
               c = matrix(s.m, s.n, false);
    const memory::desc bias({1, s.n}, f32, memory::dims{s.n, 1});
    auto attributes = user_scratchpad();
    dnnl::post_ops after;
    if (s.write == Write::accumulate) after.append_sum(1.0F);
    if (s.epilogue == Epilogue::relu) after.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
    attributes.set_post_ops(after);
    const auto operation = s.bias ? dnnl::matmul::desc(a, b, bias, c) : dnnl::matmul::desc(a, b, c);
    const dnnl::matmul::primitive_desc primitive(operation, attributes, engine());
    product_ = Bound(dnnl::matmul(primitive));
    product_.argument(DNNL_ARG_SRC, a).argument(DNNL_ARG_WEIGHTS, b).argument(DNNL_ARG_DST, c);
    if (s.bias) product_.argument(DNNL_ARG_BIAS, bias);
    product_.argument(DNNL_ARG_SCRATCHPAD, primitive.scratchpad_desc());
    layout_.add(primitive.scratchpad_desc().get_size());
  }

  Bytes workspace() const override { return layout_.total(); }

  void run(ConstView a, ConstView b, ConstView bias, View c, Workspace workspace) override {
    if (s_.m == 0 || s_.n == 0) return;
    if (s_.k == 0) return without_product(bias, c);
    product_.at(DNNL_ARG_SRC, a.data()).at(DNNL_ARG_WEIGHTS, b.data()).at(DNNL_ARG_DST, c.data());
    if (s_.bias) product_.at(DNNL_ARG_BIAS, bias.data());
    product_.at(DNNL_ARG_SCRATCHPAD, workspace.data()).run();
  }

 private:
  /// k = 0: only the bias and the epilogue remain.
  void without_product(ConstView bias, View c) const {
    const auto C = c.as<float>();
    for (std::size_t i = 0; i < C.size(); ++i) {
      float value = s_.bias ? bias.as<float>()[i % static_cast<std::size_t>(s_.n)] : 0.0F;
      if (s_.write == Write::accumulate) value += C[i];
      C[i] = s_.epilogue == Epilogue::relu && value < 0 ? 0.0F : value;
    }
  }

  GemmShape s_;
  Bound product_;
  WorkspaceLayout layout_;
};

}  // namespace

void library_sgemm(const GemmShape& s, ConstView a, ConstView b, View c) {
  dnnl::sgemm(s.transpose_a ? 'T' : 'N', s.transpose_b ? 'T' : 'N', s.m, s.n, s.k, 1.0F, a.as<float>().data(),
              s.transpose_a ? s.m : s.k, b.as<float>().data(), s.transpose_b ? s.k : s.n, 0.0F,
              c.as<float>().data(), s.n);
}

std::unique_ptr<Gemm> plan_gemm(const GemmShape& shape) { return std::make_unique<CpuGemm>(shape); }

}  // namespace partita::kernels::cpu
